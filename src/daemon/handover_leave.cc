#include "daemon/handover_leave.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <set>

#include "attest/server.h"
#include "base/hash_fd.h"
#include "base/json_dump.h"
#include "base/log.h"
#include "daemon/errors.h"
#include "daemon/mapped_files.h"
#include "measure/engine/measure_file.h"
#include "measure/system/file.h"

namespace assay::daemon {
namespace {

constexpr auto kTakePatience = std::chrono::minutes(5);  // its end is seen at once

// Fails where the file is being written: it is not there yet.
Result<Digest> MeasureProgram(int program, const LeavingAttester& a) {
  const measure::FileState state = measure::Hold(program);
  if (state == measure::FileState::kHeld) measure::Release(program);
  if (state == measure::FileState::kWriters)
    return Fail(StateError(HandoverError::kOtherProgram, "the successor's program is open for writing"));
  ASSAY_TRY(measure::MeasureFd(program, a.context, a.recorder));
  return HashFd(program, measure::kFileHash);
}

// What runs is what was measured: the same file, with the same content still.
Result<> CheckProgram(pid_t successor, int program, const Digest& digest, HashAlg bank) {
  ASSAY_ASSIGN(const UniqueFd runs, Open("/proc/" + std::to_string(successor) + "/exe", O_RDONLY));
  struct stat measured{}, executed{};
  if (fstat(program, &measured) != 0 || fstat(runs.get(), &executed) != 0)
    return Fail(OsError("fstat", "the successor's program", errno));
  ASSAY_ASSIGN(const Digest now, HashFd(runs.get(), bank));
  if (measured.st_dev != executed.st_dev || measured.st_ino != executed.st_ino || now != digest)
    return Fail(
        StateError(HandoverError::kOtherProgram, "the successor runs another program than was measured"));
  return {};
}

// What the successor consists of, measured.
Result<std::set<std::string>> MeasureComponents(const LeavingAttester& a, pid_t successor,
                                                const std::string& path) {
  std::set<std::string> components{path, attest::DefaultNetProgram()};
  for (const auto& [name, link] : ExecutableMappings(std::to_string(successor))) {
    ASSAY_TRY(measure::MeasurePath(link, a.context, a.recorder));
    components.insert(name);
  }
  ASSAY_TRY(measure::MeasurePath(attest::DefaultNetProgram(), a.context, a.recorder));
  return components;
}

Result<> RecordSuccessor(const LeavingAttester& a, pid_t successor, const std::string& version,
                         const std::string& path, const Digest& digest,
                         const std::set<std::string>& components) {
  const nlohmann::json record{
      {"by", "predecessor"}, {"run", a.run},       {"number", a.number},          {"version", version},
      {"pid", successor},    {"executable", path}, {"digest", digest.ToString()}, {"components", components}};
  ASSAY_TRY(a.recorder.RecordBuffer("assay-handover", AsBytes(DumpJson(record)), a.context));
  return {};
}

// Until both engines hold each task.
Result<> AwaitHolding(const LeavingAttester& a, const Successor& next) {
  ASSAY_TRY(next.link().Send(a.hold));
  while (true) {
    ASSAY_ASSIGN(const HandoverReceived said, next.link().Receive("holding", "helper"));
    if (said.message.step == "holding") return {};
    ASSAY_TRY(a.helper(static_cast<pid_t>(said.message.pid)));
    ASSAY_TRY(next.link().Send({.step = "marked"}));
  }
}

}  // namespace

Result<pid_t> HandOver(const LeavingAttester& a) {
  const std::string& path = a.program;
  ASSAY_ASSIGN(const UniqueFd program, Open(path, O_RDONLY));
  ASSAY_ASSIGN(const Digest digest, MeasureProgram(program.get(), a));
  ASSAY_ASSIGN(Successor next, Successor::Start(program, path, a.config_path));
  log::Info("handing over to {} ({}), process {}", path, digest.ToString(), next.pid());
  ASSAY_ASSIGN(const HandoverReceived loaded, next.link().Receive("loaded"));
  ASSAY_TRY(CheckProgram(next.pid(), next.program(), digest, measure::kFileHash));
  ASSAY_ASSIGN(const std::set<std::string> components, MeasureComponents(a, next.pid(), path));
  const auto both_hold = [&]() -> Result<HandoverMessage> {
    ASSAY_TRY(a.prepare(next.pid()));
    ASSAY_TRY(AwaitHolding(a, next));
    ASSAY_ASSIGN(HandoverMessage take, a.pack());
    ASSAY_TRY(RecordSuccessor(a, next.pid(), loaded.message.version, path, digest, components));
    return take;
  };
  const Result<HandoverMessage> take = both_hold();
  if (!take) {
    {
      const Successor ended = std::move(next);
    }  // first: what it holds is let go
    a.stay();
    return Fail(take.error());
  }
  ASSAY_ASSIGN(const std::vector<UniqueFd> left, a.leave());
  std::vector<int> fds;
  for (const UniqueFd& fd : left) fds.push_back(fd.get());
  ASSAY_TRY(next.link().Send(*take, fds));
  const pid_t successor = next.pid();
  next.Keep();  // it alone measures now, however long the TPM takes
  ASSAY_TRY(next.link().Receive("taken", {}, kTakePatience));
  return successor;
}

}  // namespace assay::daemon
