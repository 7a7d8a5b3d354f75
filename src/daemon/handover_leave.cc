#include "daemon/handover_leave.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "attest/server.h"
#include "base/hash_fd.h"
#include "base/json_dump.h"
#include "base/log.h"
#include "daemon/errors.h"
#include "daemon/leave_limit.h"
#include "daemon/mapped_files.h"
#include "measure/engine/measure_file.h"
#include "measure/system/file.h"

namespace assay::daemon {
namespace {

constexpr auto kTakePatience = std::chrono::minutes(5);  // long, because the successor's end is seen at once

// Fails if the file is being written: an upgrade is not done yet.
Result<Digest> MeasureProgram(int program, const LeavingAttester& a) {
  const measure::FileState state = measure::Hold(program);
  if (state == measure::FileState::kWriters)
    return Fail(StateError(HandoverError::kOtherProgram, "the successor's program is open for writing"));
  const Result<Digest> digest = HashFd(program, measure::kFileHash);
  const bool written = state == measure::FileState::kHeld && !measure::StillHeld(program);
  if (state == measure::FileState::kHeld) measure::Release(program);
  ASSAY_TRY(digest);
  if (written)
    return Fail(StateError(HandoverError::kOtherProgram, "the successor's program is being written"));
  ASSAY_ASSIGN(const std::string path, measure::NameOfFd(program));
  ASSAY_TRY(a.recorder.Record({*digest, path, a.context}));
  return *digest;
}

// Checks that the successor runs the file that was measured, and that its content is still the same.
Result<> CheckProgram(pid_t successor, int program, const Digest& digest) {
  ASSAY_ASSIGN(const UniqueFd runs, Open("/proc/" + std::to_string(successor) + "/exe", O_RDONLY));
  struct stat measured{}, executed{};
  if (fstat(program, &measured) != 0 || fstat(runs.get(), &executed) != 0)
    return Fail(OsError("fstat", "the successor's program", errno));
  ASSAY_ASSIGN(const Digest now, HashFd(runs.get(), measure::kFileHash));
  if (measured.st_dev != executed.st_dev || measured.st_ino != executed.st_ino || now != digest)
    return Fail(
        StateError(HandoverError::kOtherProgram, "the successor runs another program than was measured"));
  return {};
}

// Measures the files that the successor has loaded. Its program was measured before.
Result<std::set<std::string>> MeasureComponents(const LeavingAttester& a, pid_t successor,
                                                const std::string& path) {
  std::set<std::string> components{path, attest::DefaultNetProgram()};
  for (const auto& [name, link] : ExecutableMappings(std::to_string(successor))) {
    if (name != path) ASSAY_TRY(measure::MeasurePath(link, a.context, a.recorder));
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

std::vector<int> NumbersOf(const std::vector<UniqueFd>& descriptors) {
  std::vector<int> numbers;
  numbers.reserve(descriptors.size());
  for (const UniqueFd& fd : descriptors) numbers.push_back(fd.get());
  return numbers;
}

// Waits until both engines hold each task.
Result<> AwaitHolding(const LeavingAttester& a, LeaveLimit& limit, const Successor& next,
                      const std::vector<UniqueFd>& known) {
  ASSAY_TRY(next.link().Send(a.hold, NumbersOf(known)));
  while (true) {
    ASSAY_ASSIGN(const HandoverReceived said, next.link().Receive("holding", "helper", a.limits.load));
    limit.TasksWait();
    if (said.message.step == "holding") return {};
    ASSAY_TRY(a.helper(static_cast<pid_t>(said.message.pid)));
    ASSAY_TRY(next.link().Send({.step = "marked"}));
  }
}

// The steps before the attester leaves.
Result<HandoverMessage> Approach(const LeavingAttester& a, LeaveLimit& limit, std::optional<Successor>& next,
                                 bool& prepared) {
  const std::string& path = a.program;
  ASSAY_ASSIGN(const UniqueFd program, Open(path, O_RDONLY));
  ASSAY_ASSIGN(const Digest digest, MeasureProgram(program.get(), a));
  ASSAY_ASSIGN(Successor started, Successor::Start(program, path, a.config_path));
  next.emplace(std::move(started));
  limit.Of(next->pid());
  log::Info("handing over to {} ({}), process {}", path, digest.ToString(), next->pid());
  ASSAY_ASSIGN(const HandoverReceived loaded, next->link().Receive("loaded", {}, a.limits.load));
  ASSAY_TRY(CheckProgram(next->pid(), next->program(), digest));
  ASSAY_ASSIGN(const std::set<std::string> components, MeasureComponents(a, next->pid(), path));
  limit.Loads();
  prepared = true;
  ASSAY_ASSIGN(const std::vector<UniqueFd> known, a.prepare(next->pid()));
  ASSAY_TRY(AwaitHolding(a, limit, *next, known));
  ASSAY_ASSIGN(HandoverMessage take, a.pack());
  if (std::optional<Error> late = limit.End()) return Fail(std::move(*late));
  // After this record the attester can't go back: for a verifier the run is stopped until the successor's
  // record.
  ASSAY_TRY(RecordSuccessor(a, next->pid(), loaded.message.version, path, digest, components));
  return take;
}

}  // namespace

Result<pid_t> HandOver(const LeavingAttester& a) {
  std::optional<Successor> next;
  bool prepared = false;
  LeaveLimit limit(a.limits, a.late);
  Result<HandoverMessage> take = Approach(a, limit, next, prepared);
  if (std::optional<Error> late = limit.End()) take = Fail(std::move(*late));
  if (!take) {
    next.reset();  // first, because the kernel then lets go of the tasks that the successor held
    if (prepared) a.stay();
    return Fail(take.error());
  }
  ASSAY_ASSIGN(const std::vector<UniqueFd> left, a.leave());
  ASSAY_TRY(next->link().Send(*take, NumbersOf(left)));
  const pid_t successor = next->pid();
  next->Keep();  // it alone measures now, however long the TPM takes
  ASSAY_TRY(next->link().Receive("taken", {}, kTakePatience));
  return successor;
}

}  // namespace assay::daemon
