// Internal: the advisories of a version of a source package, by feeds and by changelogs.
//
//   // given: const std::vector<FeedEntry>& feed
//   Affected affected;
//   affected.AddFeed(feed);
//   affected.AddChangelog("tool", {{"1.0-2", {"CVE-2024-0001"}}, {"1.0-1", {}}});
//   for (const appraise::Advisory& a : affected.Of("tool", "1.0-1")) log::Info("{} in {}", a.id, a.fixed);
//
// Contract: the worst come first, each id once. A feed speaks of ranges of versions; a changelog only of the
// versions that it lists itself: a CVE that a newer entry names, and neither the version's own entry nor an
// older one. Of two with one id, what the first does not say the second may. The feed's entries and the
// changelogs must outlive it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "reference/advisories.h"
#include "reference/changelog.h"

namespace assay::reference {

class Affected {
 public:
  void AddFeed(const std::vector<FeedEntry>& feed);
  void AddChangelog(const std::string& source, const std::vector<ChangelogEntry>& changelog);
  // before: what is known already.
  std::vector<appraise::Advisory> Of(const std::string& source, const std::string& version,
                                     const std::vector<appraise::Advisory>& before = {}) const;

 private:
  std::map<std::string, std::vector<const FeedEntry*>> feed_;  // by source
  std::map<std::string, std::map<std::string, const std::vector<ChangelogEntry>*>>
      changelogs_;  // and version
};

}  // namespace assay::reference
