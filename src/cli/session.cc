#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "appraise/finding.h"
#include "base/clock.h"
#include "base/json_dump.h"
#include "cli/commands.h"

namespace assay::cli {

nlohmann::json ErrorJson(const Error& error) {
  nlohmann::json members{{"code", error.code()}, {"message", error.Message()}};
  if (!error.remedy().empty()) members["remedy"] = error.remedy();
  return members;
}

void Session::Answer(nlohmann::json document, std::optional<int> code) const {
  if (code) document["verdict"] = appraise::VerdictName(static_cast<appraise::Verdict>(*code));
  document["time"] = TimeText(NowMs());
  fmt::print("{}\n", DumpJson(document));
}

void Session::AnswerText(const std::string& json_object, std::optional<int> code) const {
  Answer(nlohmann::json::parse(json_object, nullptr, false), code);
}

void Session::Finish(const Result<int>& outcome) {
  if (outcome) {
    exit_code = *outcome;
    return;
  }
  const Error& error = outcome.error();
  if (json) Answer({{"error", ErrorJson(error)}});
  fmt::print(stderr, "assay: {}\n", error.Message());
  exit_code = error.As<UsageError>() != nullptr ? kExitUsage : kExitError;
}

}  // namespace assay::cli
