// The record beside a violation. It names the program that caused it, so that a verifier can allow this kind
// to this program.
//
//   // given: const Digest& program
//   const std::string json = EncodeViolation({"anonymous_code", "anonymous_code:/usr/bin/java", program});
//   ASSAY_ASSIGN(ViolationRecord record, ParseViolation(json));
//
// Contract: the buffer of an ima-buf record that follows its violation at once. A path that is not UTF-8 does
// not come back as it was: such a record belongs to no violation. docs/formats/own-records.md
#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"

namespace assay::measure {

inline constexpr std::string_view kViolationRecord = "assay-violation";

struct ViolationRecord {
  std::string violation;  // "anonymous_code"
  std::string path;       // of the violation's record, with '_' for a blank as there
  Digest program;
  bool operator==(const ViolationRecord&) const = default;
};
std::string EncodeViolation(const ViolationRecord& record);
Result<ViolationRecord> ParseViolation(std::string_view json);

}  // namespace assay::measure
