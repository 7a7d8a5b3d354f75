// Advisories from anywhere: parsing never crashes, and what is taken can be written into an index and shown.
#include "base/fuzzing.h"
#include "base/text.h"
#include "reference/affected.h"
#include "reference/cvss.h"

using namespace assay::reference;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  AdvisoryFeed feed;
  (void)ParseAdvisories(
      text, {.release = {.ecosystem = "Debian:12", .codename = "bookworm"}, .unfixed = true}, feed);
  (void)CvssRating(text);
  Affected affected;
  affected.AddFeed(feed.entries);
  for (const FeedEntry& e : feed.entries) {
    for (const std::string* part : {&e.source, &e.advisory.id, &e.advisory.record, &e.advisory.fixed})
      assay::Require(assay::IsPrintableAscii(*part));
    // A version that is fixed is not affected by this entry, and what affects a version is told of it.
    if (e.versions.empty() && !e.advisory.fixed.empty()) assay::Require(!e.Affects(e.advisory.fixed));
    if (e.Affects("1.0-1")) assay::Require(!affected.Of(e.source, "1.0-1").empty());
  }
  return 0;
}
