// A boot event log as one JSON document: docs/formats/eventlog.md, "As JSON".
//
//   // given: const boot::EventLog& log
//   WriteBootJson(log, boot::Examine(log, HashAlg::kSha256), stdout);
//
// Contract: the document is written event by event, because a log of 12 MB would take a gigabyte as one value
// in memory. It holds the whole log: event data stands in it as hexadecimal digits and, where possible,
// decoded. Texts are UTF-8; invalid bytes become U+FFFD.
#pragma once

#include <cstdio>
#include <string>

#include "boot/examine.h"
#include "boot/expected.h"
#include "boot/replay.h"

namespace assay::boot {

// time: of the document; left out if empty.
void WriteBootJson(const EventLog& log, const Examined& x, std::FILE* out, std::string_view time = {});
std::string ComparisonJson(const std::vector<Comparison>& comparisons,
                           const std::vector<LeftOutValue>& not_compared,
                           const std::vector<Problem>& problems, std::string_view outcome);

// A learned or predicted boot as JSON, and back: {"assay_boot": 2, "bank", "registers", "startup_locality",
// "events":
// [{"index", "type", "digest", "label"}], "open": [{"index", "reason"}]}.
std::string ExpectedJson(const ExpectedBoot& expected);
Result<ExpectedBoot> ExpectedFromJson(std::string_view text);
// nearest: the expected state that the differences are relative to.
std::string DiffJson(std::string_view nearest, const std::vector<BootDifference>& differences,
                     const std::vector<OpenRegister>& not_compared);

}  // namespace assay::boot
