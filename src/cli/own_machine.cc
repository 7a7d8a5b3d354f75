#include "cli/own_machine.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "cli/errors.h"

namespace assay::cli {
namespace {

constexpr const char* kSocket = "/run/assayd/challenge.sock";
constexpr const char* kPolicy = "/etc/assay/policy.json";
constexpr const char* kFolder = "/var/lib/assay";
constexpr const char* kState = "/var/lib/assay/attest.state";

}  // namespace

Result<OwnMachine> UseOwnMachine(Target& t) {
  struct stat st{};
  if (stat(kSocket, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
    return Fail(StateError(
        StatusError::kNotRunning,
        fmt::format(
            "no attester runs on this machine (there is no {}): systemctl start assayd, or name another "
            "one's with --tls or --all",
            kSocket)));
  OwnMachine own;
  t.address.unix_path = own.socket = kSocket;
  const bool root = geteuid() == 0;
  if (t.references.empty() && access(kOwnIndex, R_OK) == 0) t.references = {kOwnIndex};
  if (t.references.empty())
    own.next.push_back(
        root ? "assay reference update   (makes the reference values of the installed packages)"
             : "sudo assay reference update   (makes the reference values of the installed packages)");
  if (t.policy.empty() && access(kPolicy, F_OK) == 0) t.policy = kPolicy;
  t.own_policy = t.policy.empty();
  if (t.state.empty() && root && access(kFolder, W_OK) == 0) t.state = kState;
  if (!root)
    own.next.push_back("sudo assay attest   (only root is shown the whole list, and keeps what is known)");
  own.references = t.references;
  own.policy = t.policy;
  own.state = t.state;
  return own;
}

std::string OwnMachine::Tell() const {
  std::string known = "assay's own programs";
  for (const std::string& index : references) known += ", " + index;
  std::string out = fmt::format("asked      {}\nknown      {}\n", socket, known);
  out += policy.empty() ? fmt::format(
                              "policy     the usual one; a software TPM, and keys seen first here, are noted "
                              "({} takes its place)\n",
                              kPolicy)
                        : fmt::format("policy     {}\n", policy);
  out += fmt::format("state      {}\n",
                     state.empty() ? "none is kept: each round judges the whole list" : state);
  for (const std::string& step : next) out += fmt::format("next       {}\n", step);
  return out;
}

nlohmann::json OwnMachine::ToJson() const {
  return {{"unix", socket}, {"references", references}, {"policy", policy}, {"state", state}, {"next", next}};
}

}  // namespace assay::cli
