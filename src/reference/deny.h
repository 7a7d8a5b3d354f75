// Internal: deny lists: digests, packages and builds that must not run anywhere, and who says so.
//
//   // given: std::string_view text
//   ASSAY_ASSIGN(const std::vector<DenyEntry> denied, ParseDenyList(text));
//   for (const DenyEntry& d : denied) log::Info("{} {}: {}", d.package, d.who, d.why);
//
// Contract: docs/formats/deny.md. An entry names either a digest or a package.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace assay::reference {

inline constexpr std::size_t kMaxDenyList = std::size_t{64} << 20;  // bytes

struct DenyEntry {
  std::optional<Digest> digest;  // SHA-256 of a content
  std::string package, version;  // by its own name or its source's; version empty: all
  std::string who, why;
};
Result<std::vector<DenyEntry>> ParseDenyList(std::string_view text);

}  // namespace assay::reference
