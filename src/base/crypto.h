// Keys, signatures and certificates: the few operations the other rooms need, over OpenSSL EVP.
//
//   // given: ByteView data
//   ASSAY_ASSIGN(PrivateKey key, PrivateKey::GenerateP256());
//   ASSAY_ASSIGN(Bytes signature, key.SignEs256(data));           // r || s, 64 bytes, RFC 7518 section 3.4
//   ASSAY_TRY(key.Public().VerifyEs256(data, signature));
//
// Contract: an OpenSSL type appears in no public header but this one, as an opaque pointer. A function that
// verifies returns Result<>: every failure is an error, and there is no third answer.
#pragma once

#include <openssl/types.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/fingerprint.h"

namespace assay {

struct OpenSslDelete {
  void operator()(EVP_PKEY* p) const;
  void operator()(X509* p) const;
  void operator()(SSL_CTX* p) const;
  void operator()(SSL* p) const;
  void operator()(BIO* p) const;
};
using EvpPkeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDelete>;
using X509Ptr = std::unique_ptr<X509, OpenSslDelete>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, OpenSslDelete>;
using SslPtr = std::unique_ptr<SSL, OpenSslDelete>;
using BioPtr = std::unique_ptr<BIO, OpenSslDelete>;

// The text of the newest error in OpenSSL's queue, which is emptied.
Error OpenSslError(std::string_view doing);

class PublicKey {
 public:
  static Result<PublicKey> FromPem(std::string_view pem);       // SubjectPublicKeyInfo
  static Result<PublicKey> FromEcP256(ByteView x, ByteView y);  // big-endian, at most 32 bytes each
  static Result<PublicKey> FromEcP384(ByteView x, ByteView y);  // at most 48
  static Result<PublicKey> FromRsa(ByteView modulus, std::uint32_t exponent);  // big-endian
  explicit PublicKey(EvpPkeyPtr key) : key_(std::move(key)) {}
  std::string Pem() const;
  Bytes Der() const;  // SubjectPublicKeyInfo
  // ECDSA P-256 over SHA-256(data), signature r || s.
  Result<> VerifyEs256(ByteView data, ByteView r_s) const;
  // Over a computed digest: ECDSA on P-256 or P-384 (r, s big-endian), or RSASSA-PKCS1-v1_5 / RSAPSS.
  Result<> VerifyEcdsaDigest(const Digest& digest, ByteView r, ByteView s) const;
  Result<> VerifyRsaDigest(const Digest& digest, ByteView signature, bool pss) const;
  EVP_PKEY* get() const { return key_.get(); }

 private:
  static Result<PublicKey> FromEc(const char* group, std::size_t size, ByteView x, ByteView y);
  EvpPkeyPtr key_;
};

class PrivateKey {
 public:
  static Result<PrivateKey> GenerateP256();
  static Result<PrivateKey> FromPem(std::string_view pem);
  explicit PrivateKey(EvpPkeyPtr key) : key_(std::move(key)) {}
  std::string Pem() const;  // PKCS#8, unencrypted: write it with mode 0600
  PublicKey Public() const;
  Result<Bytes> SignEs256(ByteView data) const;  // r || s, 64 bytes
  EVP_PKEY* get() const { return key_.get(); }

 private:
  EvpPkeyPtr key_;
};

// A self-made certificate for mutual TLS (peers are pinned by fingerprint or by a CA of the owner's).
struct CertificateRequest {
  std::string common_name;
  std::chrono::hours valid_for{24 * 365};
  bool is_ca = false;
};
Result<std::string> MakeCertificatePem(const PrivateKey& subject, const CertificateRequest& request,
                                       const PrivateKey* ca_key,
                                       std::string_view ca_pem);  // null CA: self-signed
Result<X509Ptr> CertificateFromPem(std::string_view pem);
Fingerprint CertificateFingerprint(const X509* certificate);
std::string CertificateCommonName(const X509* certificate);
struct Validity {
  std::string not_before, not_after;  // RFC 3339, UTC
};
Result<Validity> CertificateValidity(const X509* certificate);

Result<Bytes> RandomBytes(std::size_t n);

}  // namespace assay
