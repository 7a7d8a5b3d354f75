// Hash algorithms by all the names this field has for them, digests as values, and hashing.
//
//   // given: ByteView data, ByteView more
//   const Digest whole = Hash(HashAlg::kSha256, data);
//   Hasher hasher(HashAlg::kSha256);
//   const Digest both = hasher.Update(data).Update(more).Finish();
//
// Contract: a Digest is a plain value of at most 64 bytes, comparable and hashable. Algorithms that are
// recognised but not computed here (SHA-3) have names, sizes and identifiers; CanHash() is false for them.
// CanHash() is false for SM3 too, which is computed only to replay logs of other programs (CanReplay()).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace assay {

// Values are TPM_ALG_ID (TCG Algorithm Registry 1.32, table 3).
enum class HashAlg : std::uint16_t {
  kSha1 = 0x0004,
  kSha256 = 0x000B,
  kSha384 = 0x000C,
  kSha512 = 0x000D,
  kSm3_256 = 0x0012,
  kSha3_256 = 0x0027,
  kSha3_384 = 0x0028,
  kSha3_512 = 0x0029,
};

inline constexpr std::size_t kMaxDigestSize = 64;

std::size_t DigestSize(HashAlg alg);     // in bytes
std::string_view HashName(HashAlg alg);  // the kernel's name: "sha256", "sm3_256", "sha3-256"
std::optional<HashAlg> HashFromName(std::string_view name);  // also accepts "sha-256"/"sm3"
std::optional<HashAlg> HashFromTpmAlg(std::uint16_t tpm_alg);
bool CanHash(HashAlg alg);  // SHA-1, SHA-256, SHA-384, SHA-512
// The same algorithms, and SM3 if OpenSSL has it, for logs of other programs. assay measures and quotes
// nothing by SM3.
bool CanReplay(HashAlg alg);

class Digest {
 public:
  Digest() = default;
  // It is an error if `bytes` does not have DigestSize(alg) bytes.
  static Result<Digest> Of(HashAlg alg, ByteView bytes);
  static Digest Filled(HashAlg alg, std::uint8_t byte);  // all-zero, all-ones (0xFF)
  HashAlg alg() const { return alg_; }
  ByteView view() const { return {bytes_.data(), size_}; }
  std::uint8_t* data() { return bytes_.data(); }
  std::size_t size() const { return size_; }
  bool AllBytes(std::uint8_t byte) const;
  std::string hex() const { return Hex(view()); }
  std::string ToString() const { return std::string(HashName(alg_)) + ":" + hex(); }  // "sha256:ab..."
  friend bool operator==(const Digest& a, const Digest& b) {
    return a.alg_ == b.alg_ && a.size_ == b.size_ && a.bytes_ == b.bytes_;
  }
  friend bool operator<(const Digest& a, const Digest& b) {
    return a.alg_ != b.alg_ ? a.alg_ < b.alg_ : a.bytes_ < b.bytes_;
  }

 private:
  HashAlg alg_ = HashAlg::kSha256;
  std::uint8_t size_ = 0;
  std::array<std::uint8_t, kMaxDigestSize> bytes_{};
};

// Incremental hashing. One object serves many digests one after the other (Finish() starts anew); not
// thread-safe.
class Hasher {
 public:
  explicit Hasher(HashAlg alg);  // CanReplay(alg) must hold: else the program ends
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  Hasher& Update(ByteView data);
  Hasher& Update(std::string_view data) { return Update(AsBytes(data)); }
  Digest Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

Digest Hash(HashAlg alg, ByteView data);  // CanReplay(alg) must hold, as for Hasher
// H(old || event): what TPM2_PCR_Extend does to one bank (TPM 2.0 part 3, section 22.2).
Digest ExtendPcr(const Digest& old, const Digest& event);

}  // namespace assay

template <>
struct std::hash<assay::Digest> {
  std::size_t operator()(const assay::Digest& d) const noexcept {
    std::size_t h = 0;
    for (std::size_t i = 0; i < sizeof(h) && i < d.size(); ++i) h = h << 8 | d.view()[i];
    return h;
  }
};
