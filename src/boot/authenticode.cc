#include "boot/authenticode.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/crypto.h"
#include "boot/errors.h"

namespace assay::boot {
namespace {

struct Pkcs7Delete {
  void operator()(PKCS7* p) const { PKCS7_free(p); }
  void operator()(X509_SIG* p) const { X509_SIG_free(p); }
  void operator()(X509_STORE* p) const { X509_STORE_free(p); }
};
using Pkcs7Ptr = std::unique_ptr<PKCS7, Pkcs7Delete>;

Error Malformed(std::string what) { return StateError(BootError::kAuthenticode, std::move(what)); }

struct Opened {
  Pkcs7Ptr pkcs7;
  ByteView content;  // of SpcIndirectDataContent, without its tag and length: the signed bytes
};

// The content of the DER element at the start, which must be a SEQUENCE.
Result<ByteView> SequenceContent(ByteView der, std::string_view what) {
  const unsigned char* p = der.data();
  long length = 0;
  int tag = 0, xclass = 0;
  const int form = ASN1_get_object(&p, &length, &tag, &xclass, static_cast<long>(der.size()));
  // Bit 0x80 means an error, and bit 0x01 BER's indefinite length.
  if ((form & 0x81) != 0 || tag != V_ASN1_SEQUENCE || xclass != V_ASN1_UNIVERSAL) {
    ERR_clear_error();
    return Fail(Malformed(std::string(what) + " is not a sequence"));
  }
  return ByteView(p, static_cast<std::size_t>(length));
}

Result<Opened> OpenSignature(ByteView der) {
  Opened out;
  const unsigned char* p = der.data();
  out.pkcs7.reset(d2i_PKCS7(nullptr, &p, static_cast<long>(der.size())));
  if (!out.pkcs7) return Fail(OpenSslError("reading a signature"));
  if (!PKCS7_type_is_signed(out.pkcs7.get())) return Fail(Malformed("there is no signed data"));
  const PKCS7* inner = out.pkcs7->d.sign != nullptr ? out.pkcs7->d.sign->contents : nullptr;
  char oid[32] = {};
  if (inner == nullptr || OBJ_obj2txt(oid, sizeof(oid), inner->type, 1) <= 0 ||
      std::string_view(oid) != "1.3.6.1.4.1.311.2.1.4")
    return Fail(Malformed("the signature is not over an image's digest"));
  const ASN1_TYPE* other = inner->d.other;
  if (other == nullptr || other->type != V_ASN1_SEQUENCE) return Fail(Malformed("no content"));
  const ByteView whole(ASN1_STRING_get0_data(other->value.sequence),
                       static_cast<std::size_t>(ASN1_STRING_length(other->value.sequence)));
  ASSAY_ASSIGN(out.content, SequenceContent(whole, "the content"));
  return out;
}

}  // namespace

Result<Digest> SignedDigest(ByteView pkcs7) {
  ASSAY_ASSIGN(const Opened opened, OpenSignature(pkcs7));
  // First comes SpcAttributeTypeAndOptionalValue, which only says that the digest is of a PE image, and then
  // DigestInfo.
  ASSAY_ASSIGN(const ByteView attribute, SequenceContent(opened.content, "the attribute"));
  const std::size_t used =
      static_cast<std::size_t>(attribute.data() - opened.content.data()) + attribute.size();
  const ByteView rest = opened.content.subspan(used);
  const unsigned char* p = rest.data();
  const std::unique_ptr<X509_SIG, Pkcs7Delete> info(
      d2i_X509_SIG(nullptr, &p, static_cast<long>(rest.size())));
  if (!info) return Fail(OpenSslError("reading the image's digest"));
  const X509_ALGOR* algorithm = nullptr;
  const ASN1_OCTET_STRING* digest = nullptr;
  X509_SIG_get0(info.get(), &algorithm, &digest);
  const ASN1_OBJECT* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, algorithm);
  const int nid = OBJ_obj2nid(object);
  const HashAlg alg = nid == NID_sha384   ? HashAlg::kSha384
                      : nid == NID_sha512 ? HashAlg::kSha512
                                          : HashAlg::kSha256;
  if (nid != NID_sha256 && nid != NID_sha384 && nid != NID_sha512)
    return Fail(Malformed("the digest is neither SHA-256 nor SHA-384 nor SHA-512"));
  return Digest::Of(alg,
                    {ASN1_STRING_get0_data(digest), static_cast<std::size_t>(ASN1_STRING_length(digest))});
}

bool IsSignedBy(ByteView pkcs7, ByteView certificate) {
  const auto opened = OpenSignature(pkcs7);
  if (!opened) return false;
  const unsigned char* p = certificate.data();
  const X509Ptr anchor(d2i_X509(nullptr, &p, static_cast<long>(certificate.size())));
  const std::unique_ptr<X509_STORE, Pkcs7Delete> store(X509_STORE_new());
  const BioPtr content(BIO_new_mem_buf(opened->content.data(), static_cast<int>(opened->content.size())));
  bool good = anchor && store && content && X509_STORE_add_cert(store.get(), anchor.get()) == 1;
  if (good) {
    // As in EDK2, an intermediate certificate in db is a trust anchor too, and times are not checked because
    // firmware has no reliable clock.
    X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
    X509_STORE_set_purpose(store.get(), X509_PURPOSE_ANY);
    good = PKCS7_verify(opened->pkcs7.get(), nullptr, store.get(), content.get(), nullptr, PKCS7_BINARY) == 1;
  }
  ERR_clear_error();
  return good;
}

}  // namespace assay::boot
