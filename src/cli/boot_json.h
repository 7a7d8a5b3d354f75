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

// A learned or predicted boot and back: {"assay_boot": 2, "bank", "registers", "startup_locality", "events":
// [{"index", "type", "digest", "label"}], "open": [{"index", "reason"}]}.
std::string ExpectedJson(const boot::ExpectedBoot& expected);
Result<boot::ExpectedBoot> ExpectedFromJson(std::string_view text);
// nearest: the state that the differences are to.
std::string DiffJson(std::string_view nearest, const std::vector<boot::BootDifference>& differences,
                     const std::vector<boot::OpenRegister>& not_compared);

}  // namespace assay::cli
