// Changelogs from packages of anyone: parsing never crashes, its bounds hold, and what is found can be shown.
#include "base/fuzzing.h"
#include "base/text.h"
#include "reference/affected.h"

using namespace assay::reference;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<ChangelogEntry> log = ParseChangelog({reinterpret_cast<const char*>(data), size});
  assay::Require(log.size() <= kMaxChangelogEntries);
  Affected affected;
  affected.AddChangelog("p", log);
  for (const ChangelogEntry& e : log) {
    assay::Require(assay::IsPrintableAscii(e.version) && e.cves.size() <= kMaxChangelogCves);
    for (const std::string& cve : e.cves) assay::Require(cve.starts_with("CVE-") && cve.size() <= 18);
  }
  // Nothing is newer than the newest version.
  if (!log.empty()) assay::Require(affected.Of("p", log.front().version).empty());
  return 0;
}
