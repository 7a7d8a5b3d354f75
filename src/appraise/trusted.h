// The owner's trusted list: content that is in no package and that the owner knows to be good.
//
//   // given: const PrivateKey& owner, const std::string& digest
//   TrustedList list;
//   list.entries.push_back({.digest = digest, .path = "", .who = "anna", .why = "our build", .when_ms = 1});
//   ASSAY_TRY(WriteTrusted("trusted.json", list, owner));
//   std::vector<PublicKey> keys;
//   keys.push_back(owner.Public());
//   ASSAY_ASSIGN(const TrustedList read, ReadTrusted("trusted.json", keys));
//
// Contract: docs/formats/trusted.md. Nothing is read from a list that none of the keys signed
// (TrustedError::kSignature).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/crypto.h"

namespace assay::appraise {

inline constexpr std::size_t kMaxTrustedList = std::size_t{16} << 20;  // bytes of its JSON
inline constexpr std::size_t kMaxTrusted = 50'000;                     // entries

struct TrustedEntry {
  std::string digest;  // "sha256:..."
  std::string path;    // where the content is good, as a list names it; empty: anywhere
  std::string who, why;
  std::uint64_t when_ms = 0;
  std::uint64_t expires_ms = 0;  // 0: never
  bool Expired(std::uint64_t now_ms) const { return expires_ms != 0 && now_ms >= expires_ms; }
  bool operator==(const TrustedEntry&) const = default;
};
struct TrustedList {
  std::vector<TrustedEntry> entries;
  bool operator==(const TrustedList&) const = default;
};

Result<TrustedList> ParseTrusted(std::string_view json);
std::string EncodeTrusted(const TrustedList& list);

Result<> WriteTrusted(const std::string& path, const TrustedList& list, const PrivateKey& key);
Result<TrustedList> ReadTrusted(const std::string& path, std::span<const PublicKey> keys);

}  // namespace assay::appraise
