// Internal: judges the records by which one attester process hands its run over to another.
//
//   // given: const JsonValue& record
//   #include <map>
//   std::map<std::string, std::string> own{{"runs", "1"}};   // HostState::own
//   ASSAY_ASSIGN(std::vector<Fault> faults, JudgeHandover(record, own));
//
// Contract: docs/formats/own-records.md, "assay-handover". The predecessor's record makes the run a stopped
// one until the successor's follows, and must name the digest that the list has last for the successor's
// program. Whether that digest is known is judged with the file's entry. A record that does not fit is an
// error.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "appraise/measuring.h"

namespace assay::appraise {

inline constexpr std::string_view kHandoverName = "assay-handover";
inline constexpr const char* kStopped = "stopped";  // in HostState::own: the last run has recorded its end

Result<std::vector<Fault>> JudgeHandover(const JsonValue& record, std::map<std::string, std::string>& own);

}  // namespace assay::appraise
