#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_dump.h"
#include "cli/commands.h"

namespace assay::cli {

void Session::Finish(const Result<int>& outcome) {
  if (outcome) {
    exit_code = *outcome;
    return;
  }
  const Error& error = outcome.error();
  if (json)
    fmt::print("{}\n",
               DumpJson(nlohmann::json{{"error", {{"code", error.code()}, {"message", error.Message()}}}}));
  fmt::print(stderr, "assay: {}\n", error.Message());
  exit_code = error.As<UsageError>() != nullptr ? kExitUsage : kExitError;
}

}  // namespace assay::cli
