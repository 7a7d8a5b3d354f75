#include "tpm/credential.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <array>
#include <memory>

#include "base/crypto.h"

namespace assay::tpm {
namespace {

constexpr std::string_view kIdentity{"IDENTITY\0", 9};  // the label includes its NUL

struct PkeyCtxDelete {
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
};
struct CipherDelete {
  void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }
};
using PkeyCtxPtr = std::unique_ptr<EVP_PKEY_CTX, PkeyCtxDelete>;

// What follows from the EK's template: its name algorithm, its curve and the key that protects.
struct Sizes {
  HashAlg name = HashAlg::kSha256;
  std::size_t coordinate = 32, aes_key = 16;  // bytes
  const EVP_MD* md() const { return name == HashAlg::kSha384 ? EVP_sha384() : EVP_sha256(); }
  std::size_t seed() const { return DigestSize(name); }
};

Bytes Hmac(const Sizes& sizes, ByteView key, ByteView data) {
  Bytes out(sizes.seed());
  HMAC(sizes.md(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(), nullptr);
  return out;
}

// KDFa (part 1, clause 11.4.10.2) for at most the bits of the hash, which is one block.
Bytes Kdfa(const Sizes& sizes, ByteView key, std::string_view label, ByteView context, std::uint32_t bits) {
  Bytes out = Hmac(sizes, key, Writer().U32Be(1).Put(label).U8(0).Put(context).U32Be(bits).bytes());
  out.resize(bits / 8);
  return out;
}

struct Seed {
  Bytes seed;       // the seed, which both sides get
  Bytes encrypted;  // the seed, encrypted for the TPM
};

// Annex B.10.4: OAEP with the EK's name algorithm.
Result<Seed> RsaSeed(const Sizes& sizes, const PublicKey& ek) {
  Seed out;
  ASSAY_ASSIGN(out.seed, RandomBytes(sizes.seed()));
  const PkeyCtxPtr ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, ek.get(), nullptr));
  void* label = OPENSSL_memdup(kIdentity.data(), kIdentity.size());
  if (!ctx || label == nullptr || EVP_PKEY_encrypt_init(ctx.get()) <= 0 ||
      EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_OAEP_PADDING) <= 0 ||
      EVP_PKEY_CTX_set_rsa_oaep_md(ctx.get(), sizes.md()) <= 0 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md(ctx.get(), sizes.md()) <= 0 ||
      EVP_PKEY_CTX_set0_rsa_oaep_label(ctx.get(), label, static_cast<int>(kIdentity.size())) <= 0) {
    OPENSSL_free(label);
    return Fail(OpenSslError("credential: OAEP"));
  }
  std::size_t size = 0;
  if (EVP_PKEY_encrypt(ctx.get(), nullptr, &size, out.seed.data(), out.seed.size()) <= 0)
    return Fail(OpenSslError("credential: OAEP"));
  out.encrypted.resize(size);
  if (EVP_PKEY_encrypt(ctx.get(), out.encrypted.data(), &size, out.seed.data(), out.seed.size()) <= 0)
    return Fail(OpenSslError("credential: OAEP"));
  out.encrypted.resize(size);
  return out;
}

// x and y of a point.
Result<std::pair<Bytes, Bytes>> Point(const Sizes& sizes, EVP_PKEY* key) {
  Bytes encoded(1 + 2 * sizes.coordinate);
  std::size_t size = 0;
  if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, encoded.data(), encoded.size(),
                                      &size) != 1 ||
      size != encoded.size())
    return Fail(OpenSslError("credential: point"));
  const ByteView point(encoded);
  return std::pair{ToBytes(point.subspan(1, sizes.coordinate)), ToBytes(point.subspan(1 + sizes.coordinate))};
}

// Annex C.6.4: one-pass ECDH with an ephemeral key, KDFe.
Result<Seed> EccSeed(const Sizes& sizes, const PublicKey& ek) {
  ASSAY_ASSIGN(const auto theirs, Point(sizes, ek.get()));
  while (true) {
    const EvpPkeyPtr ephemeral(EVP_EC_gen(sizes.coordinate == 48 ? "P-384" : "P-256"));
    if (!ephemeral) return Fail(OpenSslError("credential: ephemeral key"));
    ASSAY_ASSIGN(const auto ours, Point(sizes, ephemeral.get()));
    const PkeyCtxPtr ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, ephemeral.get(), nullptr));
    Bytes z(sizes.coordinate);
    std::size_t size = z.size();
    if (!ctx || EVP_PKEY_derive_init(ctx.get()) <= 0 || EVP_PKEY_derive_set_peer(ctx.get(), ek.get()) <= 0 ||
        EVP_PKEY_derive(ctx.get(), z.data(), &size) <= 0 || size != z.size())
      return Fail(OpenSslError("credential: ECDH"));
    // TPMs treat a leading zero byte differently, so values with one are not used.
    if (z[0] == 0 || ours.first[0] == 0) continue;
    Hasher kdfe(sizes.name);
    kdfe.Update(Writer().U32Be(1).Put(z).Put(kIdentity).Put(ours.first).Put(theirs.first).bytes());
    const Digest seed = kdfe.Finish();
    const auto size_of_each = static_cast<std::uint16_t>(sizes.coordinate);
    return Seed{.seed = ToBytes(seed.view()),
                .encrypted =
                    Writer().U16Be(size_of_each).Put(ours.first).U16Be(size_of_each).Put(ours.second).Take()};
  }
}

Result<Bytes> AesCfb(ByteView key, ByteView plain) {
  const std::unique_ptr<EVP_CIPHER_CTX, CipherDelete> ctx(EVP_CIPHER_CTX_new());
  const std::array<std::uint8_t, 16> iv{};
  Bytes out(plain.size());
  int n = 0;
  if (!ctx ||
      EVP_EncryptInit_ex2(ctx.get(), key.size() == 32 ? EVP_aes_256_cfb128() : EVP_aes_128_cfb128(),
                          key.data(), iv.data(), nullptr) != 1 ||
      EVP_EncryptUpdate(ctx.get(), out.data(), &n, plain.data(), static_cast<int>(plain.size())) != 1 ||
      static_cast<std::size_t>(n) != plain.size())
    return Fail(OpenSslError("credential: AES"));
  return out;
}

}  // namespace

Result<Credential> MakeCredential(const KeyPublic& ek, ByteView name, ByteView secret) {
  ASSAY_TRY(CheckEkTemplate(ek));
  if (secret.empty() || secret.size() > kCredentialSecret)
    return Fail(UsageError("a credential's secret has 1 to 32 bytes"));
  ASSAY_ASSIGN(const PublicKey key, ek.Key());
  const bool ecc = ek.kind == KeyPublic::Kind::kEccP256 || ek.kind == KeyPublic::Kind::kEccP384;
  const bool large = ek.kind == KeyPublic::Kind::kEccP384 || ek.kind == KeyPublic::Kind::kRsa3072;
  const Sizes sizes = large ? Sizes{.name = HashAlg::kSha384, .coordinate = 48, .aes_key = 32} : Sizes{};
  ASSAY_ASSIGN(Seed seed, ecc ? EccSeed(sizes, key) : RsaSeed(sizes, key));
  const Bytes storage =
      Kdfa(sizes, seed.seed, "STORAGE", name, static_cast<std::uint32_t>(sizes.aes_key * 8));
  const Bytes integrity =
      Kdfa(sizes, seed.seed, "INTEGRITY", {}, static_cast<std::uint32_t>(sizes.seed() * 8));
  ASSAY_ASSIGN(
      const Bytes hidden,
      AesCfb(storage, Writer().U16Be(static_cast<std::uint16_t>(secret.size())).Put(secret).bytes()));
  const Bytes hmac = Hmac(sizes, integrity, Writer().Put(hidden).Put(name).bytes());
  return Credential{
      .blob = Writer().U16Be(static_cast<std::uint16_t>(hmac.size())).Put(hmac).Put(hidden).Take(),
      .secret = std::move(seed.encrypted)};
}

}  // namespace assay::tpm
