#include "reference/affected.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace assay::reference {
namespace {

int Rank(std::string_view severity) {
  constexpr std::string_view kWorstFirst[] = {"critical", "high", "medium", "", "low"};
  return static_cast<int>(std::find(std::begin(kWorstFirst), std::end(kWorstFirst), severity) -
                          std::begin(kWorstFirst));
}

// What the changelog says of one of its own versions: the CVEs that it did not have fixed yet.
void TakeFixedLater(const std::vector<ChangelogEntry>& changelog, const std::string& version,
                    std::map<std::string, appraise::Advisory>& out) {
  const auto own = std::find_if(changelog.begin(), changelog.end(),
                                [&](const ChangelogEntry& e) { return e.version == version; });
  if (own == changelog.end() || own == changelog.begin()) return;
  std::set<std::string> fixed;
  for (auto e = own; e != changelog.end(); ++e) fixed.insert(e->cves.begin(), e->cves.end());
  for (auto e = own; e-- != changelog.begin();)  // the first version that fixed it comes first
    for (const std::string& cve : e->cves)
      if (!fixed.contains(cve))
        out.try_emplace(cve,
                        appraise::Advisory{.id = cve, .record = "", .severity = "", .fixed = e->version});
}

// Adds one; of two with one id, what the first does not say the second may.
void Add(std::map<std::string, appraise::Advisory>& found, const appraise::Advisory& advisory) {
  const auto [at, added] = found.try_emplace(advisory.id, advisory);
  if (added) return;
  appraise::Advisory& a = at->second;
  if (a.record.empty()) a.record = advisory.record;
  if (a.severity.empty()) a.severity = advisory.severity;
  if (a.fixed.empty()) a.fixed = advisory.fixed;
}

}  // namespace

void Affected::AddFeed(const std::vector<FeedEntry>& feed) {
  for (const FeedEntry& e : feed) feed_[e.source].push_back(&e);
}

void Affected::AddChangelog(const std::string& source, const std::vector<ChangelogEntry>& changelog) {
  if (!changelog.empty()) changelogs_[source].try_emplace(changelog.front().version, &changelog);
}

std::vector<appraise::Advisory> Affected::Of(const std::string& source, const std::string& version,
                                             const std::vector<appraise::Advisory>& before) const {
  std::map<std::string, appraise::Advisory> found;  // by id
  for (const appraise::Advisory& a : before) Add(found, a);
  if (const auto entries = feed_.find(source); entries != feed_.end())
    for (const FeedEntry* e : entries->second)
      if (e->Affects(version)) Add(found, e->advisory);
  if (const auto logs = changelogs_.find(source); logs != changelogs_.end())
    for (const auto& [newest, changelog] : logs->second) TakeFixedLater(*changelog, version, found);
  std::vector<appraise::Advisory> out;
  out.reserve(found.size());
  for (auto& [id, advisory] : found) out.push_back(std::move(advisory));
  std::sort(out.begin(), out.end(), [](const appraise::Advisory& a, const appraise::Advisory& b) {
    const int left = Rank(a.severity);
    const int right = Rank(b.severity);
    return left != right ? left < right : b.id < a.id;  // of one severity the newest CVE first
  });
  return out;
}

}  // namespace assay::reference
