#include "base/digest.h"

#include <openssl/evp.h>

#include <cassert>
#include <cstring>

namespace assay {
namespace {

struct AlgInfo {
  HashAlg alg;
  std::uint8_t size;
  std::string_view name;
  const char* openssl;  // null: recognised, not computed
};

// Names: Linux crypto/hash_info.c; sizes: TPM 2.0 part 2.
constexpr AlgInfo kAlgs[] = {
    {HashAlg::kSha1, 20, "sha1", "SHA1"},          {HashAlg::kSha256, 32, "sha256", "SHA2-256"},
    {HashAlg::kSha384, 48, "sha384", "SHA2-384"},  {HashAlg::kSha512, 64, "sha512", "SHA2-512"},
    {HashAlg::kSm3_256, 32, "sm3_256", nullptr},   {HashAlg::kSha3_256, 32, "sha3-256", nullptr},
    {HashAlg::kSha3_384, 48, "sha3-384", nullptr}, {HashAlg::kSha3_512, 64, "sha3-512", nullptr},
};

const AlgInfo& Info(HashAlg alg) {
  for (const AlgInfo& i : kAlgs)
    if (i.alg == alg) return i;
  assert(false && "a HashAlg outside its enumeration");
  return kAlgs[1];
}

// Fetched once and kept for the life of the process: fetching for each digest costs more than a small digest.
const EVP_MD* Md(HashAlg alg) {
  static const EVP_MD* const mds[] = {
      EVP_MD_fetch(nullptr, "SHA1", nullptr), EVP_MD_fetch(nullptr, "SHA2-256", nullptr),
      EVP_MD_fetch(nullptr, "SHA2-384", nullptr), EVP_MD_fetch(nullptr, "SHA2-512", nullptr)};
  switch (alg) {
    case HashAlg::kSha1:
      return mds[0];
    case HashAlg::kSha256:
      return mds[1];
    case HashAlg::kSha384:
      return mds[2];
    case HashAlg::kSha512:
      return mds[3];
    default:
      return nullptr;
  }
}

}  // namespace

std::size_t DigestSize(HashAlg alg) { return Info(alg).size; }
std::string_view HashName(HashAlg alg) { return Info(alg).name; }
bool CanHash(HashAlg alg) { return Info(alg).openssl != nullptr; }

std::optional<HashAlg> HashFromName(std::string_view name) {
  for (const AlgInfo& i : kAlgs)
    if (i.name == name) return i.alg;
  if (name == "sm3") return HashAlg::kSm3_256;
  if (name.starts_with("sha-")) return HashFromName("sha" + std::string(name.substr(4)));
  if (name.starts_with("sha3_")) return HashFromName("sha3-" + std::string(name.substr(5)));
  return std::nullopt;
}

std::optional<HashAlg> HashFromTpmAlg(std::uint16_t tpm_alg) {
  for (const AlgInfo& i : kAlgs)
    if (static_cast<std::uint16_t>(i.alg) == tpm_alg) return i.alg;
  return std::nullopt;
}

Result<Digest> Digest::Of(HashAlg alg, ByteView bytes) {
  if (bytes.size() != DigestSize(alg))
    return Fail(ParseError("digest", 0,
                           std::string(HashName(alg)) + " with " + std::to_string(bytes.size()) + " bytes"));
  Digest d;
  d.alg_ = alg;
  d.size_ = static_cast<std::uint8_t>(bytes.size());
  std::memcpy(d.bytes_.data(), bytes.data(), bytes.size());
  return d;
}

Digest Digest::Filled(HashAlg alg, std::uint8_t byte) {
  Digest d;
  d.alg_ = alg;
  d.size_ = static_cast<std::uint8_t>(DigestSize(alg));
  std::memset(d.bytes_.data(), byte, d.size_);
  return d;
}

bool Digest::AllBytes(std::uint8_t byte) const {
  for (std::uint8_t b : view())
    if (b != byte) return false;
  return size_ != 0;
}

struct Hasher::Impl {
  HashAlg alg;
  EVP_MD_CTX* ctx;
};

Hasher::Hasher(HashAlg alg) : impl_(new Impl{alg, EVP_MD_CTX_new()}) {
  assert(CanHash(alg));
  EVP_DigestInit_ex2(impl_->ctx, Md(alg), nullptr);
}
Hasher::~Hasher() {
  if (impl_) EVP_MD_CTX_free(impl_->ctx);
}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&& o) noexcept {
  std::swap(impl_, o.impl_);
  return *this;
}

Hasher& Hasher::Update(ByteView data) {
  EVP_DigestUpdate(impl_->ctx, data.data(), data.size());
  return *this;
}

Digest Hasher::Finish() {
  Digest d = Digest::Filled(impl_->alg, 0);
  unsigned int n = 0;
  EVP_DigestFinal_ex(impl_->ctx, d.data(), &n);
  EVP_DigestInit_ex2(impl_->ctx, nullptr, nullptr);
  return d;
}

Digest Hash(HashAlg alg, ByteView data) {
  // One hasher for each thread and algorithm: making a context costs as much as a small digest.
  thread_local std::array<std::unique_ptr<Hasher>, 4> hashers;
  const std::size_t slot = alg == HashAlg::kSha1     ? 0
                           : alg == HashAlg::kSha256 ? 1
                           : alg == HashAlg::kSha384 ? 2
                                                     : 3;
  if (!hashers[slot]) hashers[slot] = std::make_unique<Hasher>(alg);
  return hashers[slot]->Update(data).Finish();
}

Digest ExtendPcr(const Digest& old, const Digest& event) {
  std::array<std::uint8_t, 2 * kMaxDigestSize> buffer;
  std::memcpy(buffer.data(), old.view().data(), old.size());
  std::memcpy(buffer.data() + old.size(), event.view().data(), event.size());
  return Hash(old.alg(), {buffer.data(), old.size() + event.size()});
}

}  // namespace assay
