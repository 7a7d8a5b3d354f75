#include "base/crypto.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "base/errors.h"

namespace assay {

void OpenSslDelete::operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
void OpenSslDelete::operator()(X509* p) const { X509_free(p); }
void OpenSslDelete::operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
void OpenSslDelete::operator()(SSL* p) const { SSL_free(p); }
void OpenSslDelete::operator()(BIO* p) const { BIO_free_all(p); }

namespace {

struct MoreDelete {
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
  void operator()(ECDSA_SIG* p) const { ECDSA_SIG_free(p); }
  void operator()(OSSL_PARAM_BLD* p) const { OSSL_PARAM_BLD_free(p); }
  void operator()(OSSL_PARAM* p) const { OSSL_PARAM_free(p); }
  void operator()(BIGNUM* p) const { BN_free(p); }
};
template <typename T>
using Ptr = std::unique_ptr<T, MoreDelete>;

BioPtr ReadBio(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string TakeText(BIO* bio) {
  char* data = nullptr;
  const long n = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(n));
}

const EVP_MD* Md(HashAlg alg) {
  switch (alg) {
    case HashAlg::kSha1:
      return EVP_sha1();
    case HashAlg::kSha256:
      return EVP_sha256();
    case HashAlg::kSha384:
      return EVP_sha384();
    case HashAlg::kSha512:
      return EVP_sha512();
    default:
      return nullptr;
  }
}

Result<EvpPkeyPtr> FromParams(const char* type, OSSL_PARAM_BLD* builder, std::string_view doing) {
  Ptr<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder));
  Ptr<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !ctx || EVP_PKEY_fromdata_init(ctx.get()) != 1 ||
      EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return Fail(OpenSslError(doing));
  return EvpPkeyPtr(key);
}

// DER ECDSA-Sig-Value from two big-endian integers.
Result<Bytes> EcdsaDer(ByteView r, ByteView s) {
  Ptr<ECDSA_SIG> sig(ECDSA_SIG_new());
  BIGNUM* rn = BN_bin2bn(r.data(), static_cast<int>(r.size()), nullptr);
  BIGNUM* sn = BN_bin2bn(s.data(), static_cast<int>(s.size()), nullptr);
  if (!sig || !rn || !sn || ECDSA_SIG_set0(sig.get(), rn, sn) != 1) {
    BN_free(rn);
    BN_free(sn);
    return Fail(OpenSslError("ECDSA signature"));
  }
  unsigned char* der = nullptr;
  const int n = i2d_ECDSA_SIG(sig.get(), &der);
  if (n <= 0) return Fail(OpenSslError("ECDSA signature"));
  Bytes out(der, der + n);
  OPENSSL_free(der);
  return out;
}

Result<> VerifyDigest(EVP_PKEY* key, const Digest& digest, ByteView signature, int rsa_padding) {
  const EVP_MD* md = Md(digest.alg());
  Ptr<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new(key, nullptr));
  if (!md || !ctx || EVP_PKEY_verify_init(ctx.get()) != 1) return Fail(OpenSslError("verify"));
  if (rsa_padding != 0 && EVP_PKEY_CTX_set_rsa_padding(ctx.get(), rsa_padding) != 1)
    return Fail(OpenSslError("verify"));
  if (EVP_PKEY_CTX_set_signature_md(ctx.get(), md) != 1) return Fail(OpenSslError("verify"));
  if (EVP_PKEY_verify(ctx.get(), signature.data(), signature.size(), digest.view().data(), digest.size()) !=
      1) {
    ERR_clear_error();
    return Fail(StateError(CryptoError::kBadSignature, "the signature does not verify"));
  }
  return {};
}

bool IsOn(EVP_PKEY* key, std::string_view curve) {
  char group[32] = {};
  return EVP_PKEY_get_group_name(key, group, sizeof(group), nullptr) == 1 && std::string_view(group) == curve;
}
bool IsP256(EVP_PKEY* key) { return IsOn(key, "prime256v1"); }

}  // namespace

Error OpenSslError(std::string_view doing) {
  unsigned long newest = 0;
  while (const unsigned long e = ERR_get_error()) newest = e;
  char text[256] = "failed";
  if (newest != 0) ERR_error_string_n(newest, text, sizeof(text));
  return LibError("openssl", std::string(doing) + ": " + text);
}

Result<PublicKey> PublicKey::FromPem(std::string_view pem) {
  BioPtr bio = ReadBio(pem);
  EvpPkeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (!key) return Fail(OpenSslError("public key"));
  return PublicKey(std::move(key));
}

Result<PublicKey> PublicKey::FromEc(const char* group, std::size_t size, ByteView x, ByteView y) {
  if (x.size() > size || y.size() > size || x.empty() || y.empty())
    return Fail(ParseError("ec-point", 0, "a coordinate is not of 1 to " + std::to_string(size) + " bytes"));
  Bytes point(1 + 2 * size, 0);
  point[0] = POINT_CONVERSION_UNCOMPRESSED;
  std::copy(x.begin(), x.end(), point.begin() + static_cast<long>(1 + size - x.size()));
  std::copy(y.begin(), y.end(), point.begin() + static_cast<long>(1 + 2 * size - y.size()));
  Ptr<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) !=
          1)
    return Fail(OpenSslError("EC key"));
  ASSAY_ASSIGN(EvpPkeyPtr key, FromParams("EC", builder.get(), "EC key"));
  return PublicKey(std::move(key));
}

Result<PublicKey> PublicKey::FromEcP256(ByteView x, ByteView y) { return FromEc("prime256v1", 32, x, y); }
Result<PublicKey> PublicKey::FromEcP384(ByteView x, ByteView y) { return FromEc("secp384r1", 48, x, y); }

Result<PublicKey> PublicKey::FromRsa(ByteView modulus, std::uint32_t exponent) {
  if (modulus.size() < 256 || modulus.size() > 512)
    return Fail(ParseError("rsa-key", 0, "the modulus is not of 2048 to 4096 bits"));
  Ptr<BIGNUM> n(BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr));
  Ptr<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!n || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_uint(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent == 0 ? 65537 : exponent) != 1)
    return Fail(OpenSslError("RSA key"));
  ASSAY_ASSIGN(EvpPkeyPtr key, FromParams("RSA", builder.get(), "RSA key"));
  return PublicKey(std::move(key));
}

std::string PublicKey::Pem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PUBKEY(bio.get(), key_.get());
  return TakeText(bio.get());
}

Bytes PublicKey::Der() const {
  unsigned char* der = nullptr;
  const int n = i2d_PUBKEY(key_.get(), &der);
  if (n <= 0) return {};
  Bytes out(der, der + n);
  OPENSSL_free(der);
  return out;
}

Result<> PublicKey::VerifyEs256(ByteView data, ByteView r_s) const {
  if (r_s.size() != 64)
    return Fail(StateError(CryptoError::kBadSignature, "an ES256 signature has 64 bytes"));
  if (!IsP256(key_.get())) return Fail(StateError(CryptoError::kWrongKey, "not an ECDSA P-256 key"));
  return VerifyEcdsaDigest(Hash(HashAlg::kSha256, data), r_s.first(32), r_s.last(32));
}

Result<> PublicKey::VerifyEcdsaDigest(const Digest& digest, ByteView r, ByteView s) const {
  if (!IsP256(key_.get()) && !IsOn(key_.get(), "secp384r1"))
    return Fail(StateError(CryptoError::kWrongKey, "not an ECDSA key on P-256 or P-384"));
  ASSAY_ASSIGN(Bytes der, EcdsaDer(r, s));
  return VerifyDigest(key_.get(), digest, der, 0);
}

Result<> PublicKey::VerifyRsaDigest(const Digest& digest, ByteView signature, bool pss) const {
  if (EVP_PKEY_get_base_id(key_.get()) != EVP_PKEY_RSA)
    return Fail(StateError(CryptoError::kWrongKey, "not an RSA key"));
  return VerifyDigest(key_.get(), digest, signature, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING);
}

Result<PrivateKey> PrivateKey::GenerateP256() {
  EvpPkeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return Fail(OpenSslError("making a key"));
  return PrivateKey(std::move(key));
}

Result<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  BioPtr bio = ReadBio(pem);
  // The callback answers 'no passphrase', so that an encrypted key is an error and not a prompt.
  EvpPkeyPtr key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr));
  if (!key) return Fail(OpenSslError("private key"));
  return PrivateKey(std::move(key));
}

std::string PrivateKey::Pem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return TakeText(bio.get());
}

PublicKey PrivateKey::Public() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  i2d_PUBKEY_bio(bio.get(), key_.get());
  return PublicKey(EvpPkeyPtr(d2i_PUBKEY_bio(bio.get(), nullptr)));
}

Result<Bytes> PrivateKey::SignEs256(ByteView data) const {
  if (!IsP256(key_.get())) return Fail(StateError(CryptoError::kWrongKey, "not an ECDSA P-256 key"));
  Ptr<EVP_MD_CTX> ctx(EVP_MD_CTX_new());
  std::size_t n = 0;
  if (!ctx ||
      EVP_DigestSignInit_ex(ctx.get(), nullptr, "SHA2-256", nullptr, nullptr, key_.get(), nullptr) != 1 ||
      EVP_DigestSign(ctx.get(), nullptr, &n, data.data(), data.size()) != 1)
    return Fail(OpenSslError("sign"));
  Bytes der(n);
  if (EVP_DigestSign(ctx.get(), der.data(), &n, data.data(), data.size()) != 1)
    return Fail(OpenSslError("sign"));
  const unsigned char* p = der.data();
  Ptr<ECDSA_SIG> sig(d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(n)));
  Bytes out(64);
  if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig.get()), out.data(), 32) != 32 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(sig.get()), out.data() + 32, 32) != 32)
    return Fail(OpenSslError("sign"));
  return out;
}

Result<std::string> MakeCertificatePem(const PrivateKey& subject, const CertificateRequest& request,
                                       const PrivateKey* ca_key, std::string_view ca_pem) {
  X509Ptr cert(X509_new());
  X509Ptr ca;
  if (ca_key) {
    ASSAY_ASSIGN(ca, CertificateFromPem(ca_pem));
  }
  ASSAY_ASSIGN(Bytes serial, RandomBytes(16));
  serial[0] &= 0x7f;
  Ptr<BIGNUM> number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  const PublicKey public_key = subject.Public();
  X509_NAME* name = X509_get_subject_name(cert.get());
  bool ok = cert && X509_set_version(cert.get(), X509_VERSION_3) == 1 &&
            BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert.get())) != nullptr &&
            X509_gmtime_adj(X509_getm_notBefore(cert.get()), -300) != nullptr &&
            X509_gmtime_adj(X509_getm_notAfter(cert.get()),
                            std::chrono::duration_cast<std::chrono::seconds>(request.valid_for).count()) !=
                nullptr &&
            X509_set_pubkey(cert.get(), public_key.get()) == 1 &&
            X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                       reinterpret_cast<const unsigned char*>(request.common_name.data()),
                                       static_cast<int>(request.common_name.size()), -1, 0) == 1 &&
            X509_set_issuer_name(cert.get(), ca ? X509_get_subject_name(ca.get()) : name) == 1;
  const auto add = [&](int nid, const char* value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, ca ? ca.get() : cert.get(), cert.get(), nullptr, nullptr, 0);
    X509_EXTENSION* ext = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value);
    ok = ok && ext && X509_add_ext(cert.get(), ext, -1) == 1;
    X509_EXTENSION_free(ext);
  };
  add(NID_basic_constraints, request.is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
  add(NID_key_usage, request.is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
  if (!request.is_ca) add(NID_ext_key_usage, "serverAuth,clientAuth");
  ok = ok && X509_sign(cert.get(), ca_key ? ca_key->get() : subject.get(), EVP_sha256()) > 0;
  if (!ok) return Fail(OpenSslError("making a certificate"));
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), cert.get()) != 1) return Fail(OpenSslError("making a certificate"));
  return TakeText(bio.get());
}

Result<X509Ptr> CertificateFromPem(std::string_view pem) {
  BioPtr bio = ReadBio(pem);
  X509Ptr cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!cert) return Fail(OpenSslError("certificate"));
  return cert;
}

Fingerprint CertificateFingerprint(const X509* certificate) {
  std::array<std::uint8_t, Fingerprint::kSize> sha256{};
  unsigned int n = 0;
  X509_digest(certificate, EVP_sha256(), sha256.data(), &n);
  return Fingerprint::Of(sha256).value();
}

std::string CertificateCommonName(const X509* certificate) {
  const X509_NAME* name = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return "";
  unsigned char* utf8 = nullptr;
  const int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (n < 0) return "";
  std::string out(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(n));
  OPENSSL_free(utf8);
  return out;
}

Result<Validity> CertificateValidity(const X509* certificate) {
  const auto text = [](const ASN1_TIME* time) -> Result<std::string> {
    std::tm t{};
    if (time == nullptr || ASN1_TIME_to_tm(time, &t) != 1)
      return Fail(OpenSslError("a certificate's validity"));
    char out[32];
    return std::string(out, std::strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%SZ", &t));
  };
  Validity v;
  ASSAY_ASSIGN(v.not_before, text(X509_get0_notBefore(certificate)));
  ASSAY_ASSIGN(v.not_after, text(X509_get0_notAfter(certificate)));
  return v;
}

Result<Bytes> RandomBytes(std::size_t n) {
  Bytes out(n);
  if (RAND_bytes(out.data(), static_cast<int>(n)) != 1) return Fail(OpenSslError("random bytes"));
  return out;
}

}  // namespace assay
