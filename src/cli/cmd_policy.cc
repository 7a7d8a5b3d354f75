#include <fmt/core.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "cli/commands.h"
#include "measure/policy/policy.h"

namespace assay::cli {
namespace {

struct PolicyOptions {
  std::string mount_point = "/run/assay";
  std::string policy;  // a built-in's name, or a path
};

// Makes a path absolute, because the attester has another working directory.
Result<std::string> Named(const std::string& policy) {
  if (policy.find('/') == std::string::npos && access(policy.c_str(), F_OK) != 0) return policy;
  const std::unique_ptr<char, void (*)(void*)> path(realpath(policy.c_str(), nullptr), free);
  if (!path) return Fail(OsError("realpath", policy, errno));
  return std::string(path.get());
}

Result<int> Check(const PolicyOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::string name, Named(o.policy));
  ASSAY_ASSIGN(const auto policy, measure::FindPolicy(name));
  if (session.json)
    session.Answer({{"policy", name},
                    {"rules", policy->text()},
                    {"appraises", policy->Appraises()},
                    {"depends_on_task", policy->DependsOnTask()}});
  else
    fmt::print("{}: good{}{}\n", name, policy->Appraises() ? ", appraises" : "",
               policy->DependsOnTask()
                   ? ", depends on the user: files that it leaves out are judged again each time"
                   : "");
  return kExitOk;
}

void Print(std::string_view rules, const Session& session) {
  if (session.json)
    session.Answer({{"rules", rules}});
  else
    fmt::print("{}", rules);
}

Result<int> Show(const PolicyOptions& o, const Session& session) {
  if (o.policy.empty()) {
    ASSAY_ASSIGN(const Bytes text, ReadFile(o.mount_point + "/policy", measure::kMaxPolicy));
    Print(AsText(text), session);
    return kExitOk;
  }
  ASSAY_ASSIGN(const std::string name, Named(o.policy));
  ASSAY_ASSIGN(const auto policy, measure::FindPolicy(name));
  Print(policy->text(), session);
  return kExitOk;
}

Result<int> Load(const PolicyOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::string name, Named(o.policy));
  ASSAY_ASSIGN(const auto policy, measure::FindPolicy(name));
  ASSAY_ASSIGN(const UniqueFd node, Open(o.mount_point + "/policy", O_WRONLY));
  const std::string& text = policy->text();
  if (write(node.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return Fail(OsError("write", o.mount_point + "/policy (assayd's log says why)", errno));
  if (session.json) session.Answer({{"loaded", name}});
  return kExitOk;
}

}  // namespace

void AddPolicy(Command app, Session& session) {
  auto options = std::make_shared<PolicyOptions>();
  Command policy = app.AddCommand("policy", "Check, show and load the policies of assayd");
  policy.RequireCommand();
  constexpr const char* kWhich =
      "A file, or default, all_files, exec, configuration, tcb, appraise_tcb (joined by |)";
  Command check = policy.AddCommand("check", "Check whether a policy is valid");
  check.AddOption("policy", options->policy, kWhich).Required();
  check.OnRun([options, &session] { session.Finish(Check(*options, session)); });
  Command show = policy.AddCommand("show", "Print a policy; without a name, the active one");
  show.AddOption("policy", options->policy, kWhich);
  Command load = policy.AddCommand("load", "Make assayd use another policy from now on");
  load.AddOption("policy", options->policy, kWhich).Required();
  for (Command sub : {show, load})
    sub.AddOption("--mount-point", options->mount_point, "Mount point of assayd's file system").ShowDefault();
  show.OnRun([options, &session] { session.Finish(Show(*options, session)); });
  load.OnRun([options, &session] { session.Finish(Load(*options, session)); });
}

}  // namespace assay::cli
