#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/crypto.h"
#include "base/text.h"
#include "boot/efi.h"

namespace assay::boot {
namespace {

constexpr std::string_view kFormat = "efi";
constexpr std::size_t kListHeader = 28;  // GUID, list size, header size, signature size
constexpr std::size_t kOwner = 16;

struct SignatureType {
  std::string_view guid;
  std::string_view name;
};
constexpr SignatureType kTypes[] = {
    {"a5c059a1-94e4-4aa7-87b5-ab155c2bf072", "x509"},
    {"c1c41626-504c-4092-aca9-41f936934328", "sha256"},
    {"3bd2a492-96c0-4079-b420-fcf98ef103ed", "x509-sha256"},
    {"7076876e-80c2-4ee6-aad2-28b349a6865b", "x509-sha384"},
    {"446dbf63-2502-4cda-bcfa-2465d2b0fe9d", "x509-sha512"},
    {"826ca512-cf10-4ac9-b187-be01496631bd", "sha1"},
    {"0b6e5233-a65c-44c9-9407-d9ab83bfc8bd", "sha224"},
    {"ff3e5307-9fd0-48c9-85f1-8ad56c701e01", "sha384"},
    {"093e0fae-a6c4-4f50-9f1b-d41e2b89c19a", "sha512"},
    {"3c5766e8-269c-4e34-aa14-ed776e85b3b6", "rsa2048"},
    {"e2b36190-879b-4a3d-ad8d-f2e7bba32784", "rsa2048-sha256"},
    {"67f8444f-8743-48f1-a328-1eaab8736080", "rsa2048-sha1"},
    {"4aafd29d-68df-49ee-8aa9-347d375665a7", "pkcs7"},
};

std::string TypeName(const Guid& guid) {
  std::string text = guid.ToString();
  for (const SignatureType& type : kTypes) {
    if (type.guid == text) return std::string(type.name);
  }
  return text;
}

std::string BioText(BIO* bio) {
  char* data = nullptr;
  const long n = BIO_get_mem_data(bio, &data);
  return n > 0 ? Printable(std::string_view(data, static_cast<std::size_t>(n))) : std::string();
}

std::string NameText(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  // Names are escaped according to RFC 2253, but UTF-8 stays readable.
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) return {};
  return BioText(bio.get());
}

std::string TimeText(const ASN1_TIME* time) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || ASN1_TIME_print_ex(bio.get(), time, ASN1_DTFLGS_ISO8601) != 1) return {};
  return BioText(bio.get());
}

std::string SerialText(const X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  return Hex({ASN1_STRING_get0_data(serial), static_cast<std::size_t>(ASN1_STRING_length(serial))});
}

Result<> ParseList(Reader& lists, SignatureDatabase& out) {
  const std::uint64_t at = lists.offset();
  ASSAY_ASSIGN(const ByteView type_bytes, lists.Take(16, "signature type"));
  const Guid type = GuidFrom(type_bytes);
  ASSAY_ASSIGN(const std::uint32_t list_size, lists.U32Le("signature list size"));
  ASSAY_ASSIGN(const std::uint32_t header_size, lists.U32Le("signature header size"));
  ASSAY_ASSIGN(const std::uint32_t signature_size, lists.U32Le("signature size"));
  if (list_size < kListHeader || header_size > list_size - kListHeader)
    return Fail(lists.BadAt(at + 16, "signature list size"));
  ASSAY_TRY(lists.Take(header_size, "signature header"));
  const std::size_t body_size = list_size - kListHeader - header_size;
  ASSAY_ASSIGN(const ByteView body, lists.Take(body_size, "signatures"));
  if (body.empty()) return {};
  if (signature_size <= kOwner || body_size % signature_size != 0)
    return Fail(lists.BadAt(at + 24, "signature size"));
  const std::string type_name = TypeName(type);
  for (std::size_t i = 0; i < body.size(); i += signature_size) {
    Signature s;
    s.type = type;
    s.type_name = type_name;
    s.owner = GuidFrom(body.subspan(i, kOwner));
    s.data = body.subspan(i + kOwner, signature_size - kOwner);
    if (type_name == "x509") {
      if (auto certificate = ParseCertificate(s.data)) s.certificate = std::move(*certificate);
    }
    out.signatures.push_back(std::move(s));
  }
  return {};
}

}  // namespace

Result<Certificate> ParseCertificate(ByteView der) {
  const unsigned char* p = der.data();
  const X509Ptr x509(d2i_X509(nullptr, &p, static_cast<long>(der.size())));
  if (!x509) return Fail(OpenSslError("reading an X.509 certificate"));
  Certificate c;
  c.subject = NameText(X509_get_subject_name(x509.get()));
  c.issuer = NameText(X509_get_issuer_name(x509.get()));
  c.serial = SerialText(x509.get());
  c.not_before = TimeText(X509_get0_notBefore(x509.get()));
  c.not_after = TimeText(X509_get0_notAfter(x509.get()));
  c.fingerprint = Hash(HashAlg::kSha256, der.first(static_cast<std::size_t>(p - der.data())));
  ERR_clear_error();  // names and times that can't be printed leave entries in the error queue
  return c;
}

Result<SignatureDatabase> ParseSignatureDatabase(ByteView value) {
  SignatureDatabase out;
  Reader lists(value, kFormat);
  while (!lists.done()) ASSAY_TRY(ParseList(lists, out));
  return out;
}

}  // namespace assay::boot
