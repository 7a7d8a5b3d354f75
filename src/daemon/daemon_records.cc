// The list's own records, and what ran before the engine.
#include <dirent.h>
#include <unistd.h>

#include <fstream>

#include "base/json_dump.h"
#include "base/log.h"
#include "daemon/daemon_impl.h"
#include "daemon/mapped_files.h"
#include "measure/engine/measure_file.h"

namespace assay::daemon {

using nlohmann::json;

namespace {

// The number of processes in our pid namespace, without our own and the kernel's.
std::uint64_t CountProcesses() {
  std::uint64_t count = 0;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc"), closedir);
  while (dir != nullptr) {
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(getpid()))
      continue;
    char target[8];
    if (readlink(("/proc/" + name + "/exe").c_str(), target, sizeof(target)) > 0) ++count;
  }
  return count;
}

// Measures a file through any process that still has it mapped, because processes end in the meantime. If
// none has it any more, the program ran and ended before the attester measured, like others that it never
// saw.
Result<> MeasureOneOf(const std::vector<std::string>& links, const measure::Context& context,
                      measure::Recorder& recorder) {
  for (const std::string& link : links) {
    const Result<measure::Recorded> recorded = measure::MeasurePath(link, context, recorder);
    if (recorded) return {};
    const auto* os = recorded.error().As<OsError>();
    if (os == nullptr || (os->err != ENOENT && os->err != ESRCH)) return Fail(recorded.error());
  }
  return {};
}

}  // namespace

measure::Context OwnContext() {
  return {.time_ms = NowMs(), .pid = getpid(), .uid = getuid(), .comm = "assayd", .hook = "start"};
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Result<> Daemon::Impl::RecordJson(const std::string& name, const json& content) {
  ASSAY_TRY(recorder->RecordBuffer(name, AsBytes(DumpJson(content)), OwnContext()));
  return {};
}

// Records assay-start, the first record of a run, with the public key that verifies its answers.
Result<> Daemon::Impl::RecordStart(std::set<std::string>& components) {
  for (const auto& [path, link] : ExecutableMappings("self")) components.insert(path);
  char exe[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe));
  if (n <= 0) return Fail(OsError("readlink", "/proc/self/exe", errno));
  const std::string self(exe, static_cast<std::size_t>(n));
  components.insert(self);
  components.insert(attest::DefaultNetProgram());
  const measure::RecorderState state = recorder->State();
  const double uptime = std::strtod(FirstLine("/proc/uptime").c_str(), nullptr);
  json start = {{"version", ASSAY_VERSION},
                {"pid", getpid()},
                {"boot_id", FirstLine("/proc/sys/kernel/random/boot_id")},
                {"uptime_ms", static_cast<std::uint64_t>(uptime * 1000)},
                {"scope", ScopeName(config.scope)},
                {"tasks_before", config.scope == Scope::kHost ? CountProcesses() : 0},
                {"initramfs", in_initramfs.load()},
                {"run", state.gaps + 1},
                {"executable", self},
                {"components", components}};
  {
    const MutexLock lock(mutex);
    if (run_key) start["run_key"] = Hex(run_key->public_area());
  }
  ASSAY_TRY(RecordJson("assay-start", start));
  run_recorded = true;
  return {};
}

Result<> Daemon::Impl::RecordSelf() {
  std::set<std::string> components;
  ASSAY_TRY(RecordStart(components));
  for (const std::string& path : components) ASSAY_TRY(measure::MeasurePath(path, OwnContext(), *recorder));
  const std::string policy = EnginePolicy(config);
  ASSAY_TRY(recorder->RecordBuffer("assay-policy", AsBytes(policy), OwnContext()));
  if (manifest) ASSAY_TRY(RecordJson("assay-manifest", manifest_record));
  return {};
}

// Measures the programs that ran before the engine started. The hook's name in the journal tells that they
// were measured afterwards.
Result<> Daemon::Impl::MeasureRunning() {
  if (config.scope != Scope::kHost) return {};
  std::map<std::string, std::vector<std::string>> links;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc"), closedir);
  if (!dir) return Fail(OsError("opendir", "/proc", errno));
  const std::shared_ptr<measure::Engine> present = Engine();
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (present && present->IsOwn(std::atoi(name.c_str()))) continue;
    for (auto& [path, link] : ExecutableMappings(name)) links[path].push_back(std::move(link));
  }
  measure::Context context = OwnContext();
  context.hook = "before";
  context.late = true;
  for (const auto& [path, candidates] : links) {
    if (const auto r = MeasureOneOf(candidates, context, *recorder); !r) {
      log::Warn("{} ran before the attester and can't be measured: {}", path, r.error().Message());
      ASSAY_TRY(recorder->RecordViolation(measure::Violation::kUnmeasurable, path, context));
    }
  }
  return {};
}

}  // namespace assay::daemon
