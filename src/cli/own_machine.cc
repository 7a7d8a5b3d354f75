#include "cli/own_machine.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/errors.h"

namespace assay::cli {
namespace {

constexpr const char* kSocket = "/run/assayd/challenge.sock";
constexpr const char* kPolicy = "/etc/assay/policy.json";
constexpr const char* kFolder = "/var/lib/assay";
constexpr const char* kState = "/var/lib/assay/attest.state";
constexpr std::chrono::seconds kLongestAdding{60};

}  // namespace

Result<UniqueFd> LockIndex(const std::string& index) {
  const std::string folder = std::filesystem::path(index).parent_path();
  ASSAY_ASSIGN(UniqueFd fd, Open(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY));
  while (flock(fd.get(), LOCK_EX) != 0)
    if (errno != EINTR) return Fail(OsError("flock", folder, errno));
  return fd;
}

bool WaitForLock(const std::string& folder, std::chrono::milliseconds longest) {
  const auto fd = Open(folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return true;  // nothing was ever put there, or this user may not look
  const auto end = std::chrono::steady_clock::now() + longest;
  while (flock(fd->get(), LOCK_SH | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  }
  return true;
}

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
  if (t.references.empty() && access(kOwnIndex, R_OK) == 0) {
    t.references = {kOwnIndex};
    if (!WaitForLock(kOwnQueue, kLongestAdding))
      own.next.emplace_back("assay attest   (once more: an upgrade's packages are still being added)");
  }
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
