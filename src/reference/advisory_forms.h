// Internal: what the readers of the forms of advisories share, and those of CSAF and OVAL.
//
//   // given: const JsonValue& root, const FeedOptions& options, AdvisoryFeed& feed
//   if (IsCsaf(root)) ASSAY_TRY(ReadCsaf(root, options, feed));
//
// Contract: docs/formats/advisories.md says what is taken of each form. Errors are ParseErrors "advisories".
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "reference/advisories.h"

namespace assay::reference {

// Names and versions go into the index and into findings: printable ASCII, of 200 bytes at most.
std::string CleanText(std::string_view text);
// "critical", "high", "medium", "low" by a word of any vendor or a CVSS vector; empty: it says nothing.
std::string SeverityName(std::string_view text);
// Adds one, unless it is left out.
void TakeEntry(FeedEntry entry, const FeedOptions& options, AdvisoryFeed& out);

bool IsCsaf(const JsonValue& root);
Result<> ReadCsaf(const JsonValue& root, const FeedOptions& options, AdvisoryFeed& out);
bool IsXml(std::string_view text);
Result<> ReadOval(std::string_view text, const FeedOptions& options, AdvisoryFeed& out);

}  // namespace assay::reference
