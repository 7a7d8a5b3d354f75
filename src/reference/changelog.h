// Internal: which CVEs the versions of a package fixed, as its Debian changelog says.
//
//   // given: std::string_view text
//   for (const ChangelogEntry& e : ParseChangelog(text)) log::Info("{}: {} CVEs", e.version, e.cves.size());
//
// Contract: deb-changelog(5). The newest entry comes first, as in the text. What is no entry is passed over,
// so an upstream changelog has none. An entry counts as fixing each CVE that it names. At most
// kMaxChangelogEntries entries are read, and kMaxChangelogCves CVEs of each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace assay::reference {

inline constexpr std::size_t kMaxChangelog = std::size_t{16} << 20;  // bytes, unpacked
inline constexpr std::size_t kMaxChangelogEntries = 20'000, kMaxChangelogCves = 10'000;

struct ChangelogEntry {
  std::string version;
  std::vector<std::string> cves;  // sorted, each once
};
std::vector<ChangelogEntry> ParseChangelog(std::string_view text);

}  // namespace assay::reference
