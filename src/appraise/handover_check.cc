#include "appraise/handover_check.h"

#include <fmt/core.h>

#include "appraise/content.h"
#include "appraise/finding_names.h"
#include "list/path_text.h"

namespace assay::appraise {
namespace {

constexpr const char* kLeft = "handed over";  // a value of kStopped: no successor has taken over yet

Error Unfit(const std::string& why) { return ParseError("own-record", 0, why); }

}  // namespace

Result<std::vector<Fault>> JudgeHandover(const JsonValue& record, std::map<std::string, std::string>& own) {
  ASSAY_ASSIGN(const std::string by, record.Str("by"));
  ASSAY_ASSIGN(const std::uint64_t run, record.U64("run"));
  ASSAY_ASSIGN(const std::uint64_t number, record.U64("number"));
  ASSAY_ASSIGN(const std::string version, record.Str("version"));
  ASSAY_ASSIGN(std::string executable, record.Str("executable"));
  executable = ima::PathText(std::move(executable));
  const auto runs = own.find("runs");
  if (runs == own.end() || runs->second != std::to_string(run))
    return Fail(Unfit("it is not of the run that the list is in"));
  const auto stopped = own.find(kStopped);
  if (by == "predecessor") {
    ASSAY_ASSIGN(const std::string digest, record.Str("digest"));
    const auto measured = own.find(ComponentKey(executable));
    if (measured == own.end() || measured->second != digest)
      return Fail(Unfit("the list does not have the successor's program with this digest"));
    if (stopped == own.end()) own[kStopped] = kLeft;
    return std::vector<Fault>{};
  }
  if (by != "successor") return Fail(Unfit("by whom it is: '" + by + "'"));
  if (stopped == own.end() || stopped->second != kLeft)
    return Fail(Unfit("no attester has handed over before"));
  own.erase(stopped);
  own["executable"] = executable;
  own["version"] = version;
  return std::vector<Fault>{
      {FindingName::kOwnHandover,
       fmt::format("the attester was replaced by {} (version {}) in the same run, without a gap; it was the "
                   "run's handover {}",
                   executable, version, number)}};
}

}  // namespace assay::appraise
