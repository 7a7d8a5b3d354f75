// This file uses OpenSSL's low-level SHA functions, because an EVP call costs about 300 ns before it hashes a
// byte, and a replay consists of digests of one to three blocks. It is the same code underneath. They are
// deprecated since OpenSSL 3.0, and no other file uses them, so that only this file has to change when
// OpenSSL removes them.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/digest.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <cassert>
#include <cstdlib>
#include <cstring>

namespace assay {
namespace {

struct AlgInfo {
  HashAlg alg;
  std::string_view name;
  bool computed;  // false: the algorithm is only recognised
};

// Names: Linux crypto/hash_info.c; sizes: TPM 2.0 part 2.
constexpr AlgInfo kAlgs[] = {
    {HashAlg::kSha1, "sha1", true},          {HashAlg::kSha256, "sha256", true},
    {HashAlg::kSha384, "sha384", true},      {HashAlg::kSha512, "sha512", true},
    {HashAlg::kSm3_256, "sm3_256", false},   {HashAlg::kSha3_256, "sha3-256", false},
    {HashAlg::kSha3_384, "sha3-384", false}, {HashAlg::kSha3_512, "sha3-512", false},
};

const AlgInfo& Info(HashAlg alg) {
  for (const AlgInfo& i : kAlgs)
    if (i.alg == alg) return i;
  assert(false && "a HashAlg outside its enumeration");
  return kAlgs[1];
}

// Ends the program: the caller must check CanHash() or CanReplay() first.
[[noreturn]] void NotComputed() { std::abort(); }

union State {
  SHA_CTX sha1;
  SHA256_CTX sha256;
  SHA512_CTX sha512;  // SHA-384 too
  EVP_MD_CTX* sm3;    // from Begin() to End() or Drop()
};

// OpenSSL has no low-level functions for SM3, and can be built without SM3.
const EVP_MD* Sm3() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SM3", nullptr);
  return md;
}

void BeginSm3(State& s) {
  s.sm3 = Sm3() != nullptr ? EVP_MD_CTX_new() : nullptr;
  if (s.sm3 == nullptr || EVP_DigestInit_ex(s.sm3, Sm3(), nullptr) != 1) NotComputed();
}

void Drop(HashAlg alg, State& s) {
  if (alg == HashAlg::kSm3_256) EVP_MD_CTX_free(s.sm3);
}

void Begin(HashAlg alg, State& s) {
  switch (alg) {
    case HashAlg::kSha1:
      SHA1_Init(&s.sha1);
      return;
    case HashAlg::kSha256:
      SHA256_Init(&s.sha256);
      return;
    case HashAlg::kSha384:
      SHA384_Init(&s.sha512);
      return;
    case HashAlg::kSha512:
      SHA512_Init(&s.sha512);
      return;
    case HashAlg::kSm3_256:
      BeginSm3(s);
      return;
    default:
      NotComputed();
  }
}

void Add(HashAlg alg, State& s, ByteView data) {
  switch (alg) {
    case HashAlg::kSha1:
      SHA1_Update(&s.sha1, data.data(), data.size());
      return;
    case HashAlg::kSha256:
      SHA256_Update(&s.sha256, data.data(), data.size());
      return;
    case HashAlg::kSha384:
      SHA384_Update(&s.sha512, data.data(), data.size());
      return;
    case HashAlg::kSha512:
      SHA512_Update(&s.sha512, data.data(), data.size());
      return;
    case HashAlg::kSm3_256:
      if (EVP_DigestUpdate(s.sm3, data.data(), data.size()) != 1) NotComputed();
      return;
    default:
      NotComputed();
  }
}

Digest End(HashAlg alg, State& s) {
  Digest d = Digest::Filled(alg, 0);
  switch (alg) {
    case HashAlg::kSha1:
      SHA1_Final(d.data(), &s.sha1);
      break;
    case HashAlg::kSha256:
      SHA256_Final(d.data(), &s.sha256);
      break;
    case HashAlg::kSha384:
      SHA384_Final(d.data(), &s.sha512);
      break;
    case HashAlg::kSha512:
      SHA512_Final(d.data(), &s.sha512);
      break;
    case HashAlg::kSm3_256:
      if (EVP_DigestFinal_ex(s.sm3, d.data(), nullptr) != 1) NotComputed();
      Drop(alg, s);
      break;
    default:
      NotComputed();
  }
  return d;
}

}  // namespace

// A replay calls this several times for each record, so it is a switch and not a search.
std::size_t DigestSize(HashAlg alg) {
  switch (alg) {
    case HashAlg::kSha1:
      return 20;
    case HashAlg::kSha256:
    case HashAlg::kSm3_256:
    case HashAlg::kSha3_256:
      return 32;
    case HashAlg::kSha384:
    case HashAlg::kSha3_384:
      return 48;
    case HashAlg::kSha512:
    case HashAlg::kSha3_512:
      return 64;
  }
  assert(false && "a HashAlg outside its enumeration");
  return kMaxDigestSize;
}
std::string_view HashName(HashAlg alg) { return Info(alg).name; }
bool CanHash(HashAlg alg) { return Info(alg).computed; }
bool CanReplay(HashAlg alg) { return CanHash(alg) || (alg == HashAlg::kSm3_256 && Sm3() != nullptr); }

std::optional<HashAlg> HashFromName(std::string_view name) {
  for (const AlgInfo& i : kAlgs)
    if (i.name == name) return i.alg;
  if (name == "sm3" || name == "sm3-256") return HashAlg::kSm3_256;
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
  State state;
  explicit Impl(HashAlg a) : alg(a) { Begin(alg, state); }
  ~Impl() { Drop(alg, state); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
};

Hasher::Hasher(HashAlg alg) : impl_(std::make_unique<Impl>(alg)) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

Hasher& Hasher::Update(ByteView data) {
  Add(impl_->alg, impl_->state, data);
  return *this;
}

Digest Hasher::Finish() {
  const Digest d = End(impl_->alg, impl_->state);
  Begin(impl_->alg, impl_->state);
  return d;
}

Digest Hash(HashAlg alg, ByteView data) {
  State state;
  Begin(alg, state);
  Add(alg, state, data);
  return End(alg, state);
}

Digest ExtendPcr(const Digest& old, const Digest& event) {
  std::array<std::uint8_t, 2 * kMaxDigestSize> buffer;
  std::memcpy(buffer.data(), old.view().data(), old.size());
  std::memcpy(buffer.data() + old.size(), event.view().data(), event.size());
  return Hash(old.alg(), {buffer.data(), old.size() + event.size()});
}

}  // namespace assay
