// The attester's measuring half on its own, for tests in guests: TPM, recorder, and the best engine.
//
//   assay-engine DIR [--tcti device:/dev/tpmrm0] [--pcr 11] [--engine lsm|fanotify] [--refuse] [--cgroup ID]
//                [--deadline MS] [--gate-limit MS] [--no-opens] [--all-files] [--guard]
//
// Prints "ready ENGINE" when it measures, the engine's state as JSON at SIGUSR1, and stops at SIGTERM.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/command_line.h"
#include "measure/choice/engines.h"
#include "measure/engine/lanes.h"
#include "tpm/tpm.h"

namespace {

using namespace assay;

struct Options {
  std::string dir, tcti = "device:/dev/tpmrm0", engine;
  std::uint32_t pcr = 10;
  bool refuse = false, no_opens = false, all_files = false, grouped = false, guard = false;
  std::uint64_t cgroup = 0;
  unsigned deadline_ms = 30'000, gate_limit_ms = 5'000;
};

void PrintState(const measure::Engine& engine, const measure::Recorder& recorder) {
  const measure::EngineStats s = engine.Stats();
  const measure::RecorderState r = recorder.State();
  const Result<> health = engine.Health();
  const nlohmann::json j = {{"engine", engine.Name()},
                            {"health", health ? "ok" : health.error().Message()},
                            {"events", s.events},
                            {"measured", s.measured},
                            {"clean", s.clean},
                            {"not_code", s.not_code},
                            {"violations", s.violations},
                            {"expired", s.expired},
                            {"errors", s.errors},
                            {"unrecorded", s.unrecorded},
                            {"stalls", s.stalls},
                            {"bytes_hashed", s.bytes_hashed},
                            {"unasked", s.unasked},
                            {"lost", s.lost},
                            {"held", s.held},
                            {"hanging", s.hanging},
                            {"records", r.count},
                            {"list_violations", r.violations},
                            {"degraded", r.degraded_reason}};
  std::puts(j.dump().c_str());
}

Result<> Run(const Options& options) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, s);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  ASSAY_TRY(MakeDirs(options.dir));
  ASSAY_ASSIGN(const std::unique_ptr<tpm::Tpm> tpm, tpm::Tpm::Connect(options.tcti));
  measure::RecorderOptions record;
  record.dir = options.dir + "/list";
  record.pcr = options.pcr;
  if (options.pcr != 10) record.kernel_list.clear();
  record.allow_retire = true;
  if (options.grouped) record.known = [](const Digest&) { return true; };  // as if all were in the manifest
  ASSAY_ASSIGN(const std::unique_ptr<measure::Recorder> recorder, measure::Recorder::Open(record, *tpm));
  ASSAY_TRY(recorder->RecordBuffer("assay-start", AsBytes("{}"), {}));
  measure::EngineOptions engine;
  engine.fanotify.mounts = {"/"};
  engine.fanotify.filesystems = true;
  engine.lsm.run_dir = options.dir + "/engine";
  engine.lsm.cgroup = options.cgroup;
  engine.lsm.guard = options.guard;
  if (options.no_opens || options.all_files) {
    ASSAY_ASSIGN(measure::Policy policy,
                 measure::Policy::Parse(*measure::Policy::BuiltIn(options.no_opens ? "exec" : "all_files")));
    engine.rules.policy = std::make_shared<const measure::Policy>(std::move(policy));
  }
  engine.limits.expiry = options.refuse ? measure::Expiry::kRefuse : measure::Expiry::kAllow;
  engine.limits.deadline = std::chrono::milliseconds(options.deadline_ms);
  engine.lsm.gate_limit = std::chrono::milliseconds(options.gate_limit_ms);
  engine.name = options.engine;
  ASSAY_ASSIGN(measure::EngineChoice choice, measure::StartEngine(engine, *recorder));
  for (const auto& [name, error] : choice.passed_over)
    std::fprintf(stderr, "not %s: %s: %s\n", std::string(name).c_str(), error.code().c_str(),
                 error.Message().c_str());
  const std::unique_ptr<measure::Engine> chosen = std::move(choice.engine);
  std::printf("ready %s\n", chosen->Name().c_str());
  std::fflush(stdout);
  const timespec second{1, 0};
  while (true) {
    const int signal_number = sigtimedwait(&signals, nullptr, &second);
    if (signal_number == SIGUSR1) {
      PrintState(*chosen, *recorder);
      std::fflush(stdout);
    } else if (signal_number > 0) {
      break;
    } else if (recorder->State().degraded) {
      if (const Result<> r = recorder->Recover(); !r)
        std::fprintf(stderr, "not recovered: %s\n", r.error().Message().c_str());
      else
        std::fprintf(stderr, "recovered\n");
    }
  }
  PrintState(*chosen, *recorder);
  chosen->Stop();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CommandLine line("The attester's engine and recorder on their own, for tests");
  Command app = line.root();
  app.AddOption("dir", options.dir).Required();
  app.AddOption("--tcti", options.tcti);
  app.AddOption("--pcr", options.pcr);
  app.AddOption("--engine", options.engine);
  app.AddFlag("--refuse", options.refuse);
  app.AddFlag("--guard", options.guard);
  app.AddFlag("--no-opens", options.no_opens);
  app.AddFlag("--all-files", options.all_files);
  app.AddFlag("--grouped", options.grouped);
  app.AddOption("--cgroup", options.cgroup);
  app.AddOption("--deadline", options.deadline_ms);
  app.AddOption("--gate-limit", options.gate_limit_ms);
  if (const std::optional<int> code = line.ParseOrSay(argc, argv)) return *code;
  if (const Result<> r = Run(options); !r) {
    std::fprintf(stderr, "assay-engine: %s: %s\n", r.error().code().c_str(), r.error().Message().c_str());
    return 1;
  }
  if (measure::LeftBehind() > 0) _exit(0);
  return 0;
}
