// Advisories: which versions of which source packages have a vulnerability, and where it is fixed.
//
//   ASSAY_ASSIGN(const Release release, ReleaseOf("bookworm"));
//   ASSAY_ASSIGN(AdvisoryFeed feed, ReadAdvisories({"/srv/osv/Debian", "/srv/tracker.json"}, {release}));
//   log::Info("{} advisories for {}", feed.entries.size(), release.ecosystem);
//
// Contract: docs/formats/advisories.md. Files and folders of four forms, which their content tells apart: OSV
// records (one in a file), CSAF documents, the JSON of Debian's security tracker, Debian's OVAL definitions.
// Only what is said of the release is taken. A file that can't be read is named, and the others are read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "appraise/appraise.h"
#include "base/result.h"

namespace assay::reference {

// A release of a distribution, as the feeds name it.
struct Release {
  std::string ecosystem;  // OSV's: "Debian:12", "Ubuntu:24.04"
  std::string codename;   // the tracker's: "bookworm"; empty: the tracker does not have it
};
// "bookworm", "Debian:12", "Ubuntu:24.04"; empty: this machine's (os-release(5)). Another is a StateError
// "reference.release".
Result<Release> ReleaseOf(std::string_view name);

// One range of versions of a source package.
struct FeedEntry {
  std::string source;
  appraise::Advisory advisory;
  std::string introduced, last;            // the first version that has it, and the last one; empty: not said
  std::vector<std::string> versions = {};  // if not empty: these and no others
  bool Affects(std::string_view version) const;
};

struct FeedOptions {
  Release release;
  bool unfixed = false;  // take those too that no version has fixed
};
struct UnreadFeed {
  std::string path;
  Error error;
};
struct AdvisoryFeed {
  std::vector<FeedEntry> entries;
  std::size_t files = 0;    // that were read
  std::size_t unfixed = 0;  // left out because no version has fixed them
  std::size_t minor = 0;    // left out because the distribution says that they don't matter ("unimportant")
  std::size_t not_understood = 0;  // left out: of another kind than docs/formats/advisories.md names
  std::vector<UnreadFeed> failed;
};
Result<AdvisoryFeed> ReadAdvisories(const std::vector<std::string>& paths, const FeedOptions& options);
// The text of one file. After an error `out` may have a part of it.
Result<> ParseAdvisories(std::string_view text, const FeedOptions& options, AdvisoryFeed& out);

}  // namespace assay::reference
