// A boot event log as one JSON document: docs/formats/eventlog.md, "As JSON".
//
//   fmt::print("{}\n", BootJson(log, Examine(log, bank)));
//
// Contract: everything the log holds is in it, event data as hexadecimal digits besides what it decodes to.
// Texts are UTF-8; bytes that are none become U+FFFD.
#pragma once

#include <string>

#include "boot/examine.h"
#include "boot/expected.h"
#include "boot/replay.h"

namespace assay::cli {

std::string BootJson(const boot::EventLog& log, const boot::Examined& x);
std::string ComparisonJson(const std::vector<boot::Comparison>& comparisons,
                           const std::vector<boot::Problem>& problems, std::string_view outcome);

// A learned boot and back: {"assay_boot": 1, "bank", "registers", "events": [{"index", "type", "digest",
// "label"}]}.
std::string ExpectedJson(const boot::ExpectedBoot& expected);
Result<boot::ExpectedBoot> ExpectedFromJson(std::string_view text);
std::string DiffJson(const std::vector<boot::BootDifference>& differences);

}  // namespace assay::cli
