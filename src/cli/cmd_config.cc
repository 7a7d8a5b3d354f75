// What is wrong with the configuration of assayd, as `assayd --check` finds it. man/assay-config.1
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/attester.h"
#include "cli/errors.h"
#include "cli/service_commands.h"

namespace assay::cli {
namespace {

using nlohmann::json;

struct Problem {
  std::string code, text, remedy;
};

Result<std::vector<Problem>> ProblemsIn(const Output& check) {
  const Result<JsonDoc> doc = JsonDoc::Parse(check.out, "check");
  std::vector<Problem> problems;
  const auto add = [&problems](const JsonValue& entry) -> Result<> {
    Problem p;
    ASSAY_ASSIGN(p.code, entry.Str("code"));
    ASSAY_ASSIGN(p.text, entry.Str("text"));
    ASSAY_ASSIGN(p.remedy, entry.Str("remedy"));
    problems.push_back(std::move(p));
    return {};
  };
  if (!doc || !doc->root().Each(add))
    return Fail(StateError(DoctorError::kAssayd, "assayd --check failed: " + check.err));
  return problems;
}

Result<int> Check(const std::string& file, const Session& session) {
  ASSAY_ASSIGN(const Output check,
               RunProgram({AttesterProgram(), "--config", file, "--check", "--json"}, "."));
  ASSAY_ASSIGN(const std::vector<Problem> problems, ProblemsIn(check));
  json list = json::array();
  for (const Problem& p : problems) {
    list.push_back({{"code", p.code}, {"text", p.text}, {"remedy", p.remedy}});
    if (session.json) continue;
    fmt::print("{} ({})\n", Printable(p.text), p.code);
    if (!p.remedy.empty()) fmt::print("    {}\n", p.remedy);
  }
  if (session.json)
    session.Answer({{"file", file}, {"good", problems.empty()}, {"problems", list}});
  else if (problems.empty())
    fmt::print("{} is good; systemctl reload assayd takes it up\n", file);
  return check.exit_code == kExitUnknown ? kExitUnknown : problems.empty() ? kExitOk : kExitNotTrusted;
}

}  // namespace

void AddConfig(Command app, Session& session) {
  auto file = std::make_shared<std::string>("/etc/assay/assayd.json");
  Command config = app.AddCommand("config", "Check the configuration of assayd");
  config.RequireCommand();
  Command check =
      config.AddCommand("check", "Say what is wrong, where, and what to do (0 good, 1 wrong, 2 unknown)");
  check.AddOption("file", *file, "The configuration; its drop-ins are read too").ShowDefault();
  check.OnRun([file, &session] { session.Finish(Check(*file, session)); });
}

}  // namespace assay::cli
