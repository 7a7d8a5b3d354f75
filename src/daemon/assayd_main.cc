// assayd: the attester. man/assayd.8
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/command_line.h"
#include "base/json_dump.h"
#include "base/text.h"
#include "daemon/check.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/early.h"
#include "daemon/errors.h"
#include "daemon/handover.h"
#include "daemon/probe.h"
#include "daemon/service.h"
#include "measure/engine/lanes.h"

namespace assay::daemon {
namespace {

struct Mode {
  bool early = false, standby = false;
  int take_over = -1;  // the descriptor that leads to the attester to take over from
};

// Source: sd_notify(3). systemd before 253 has no Type=notify-reload, and takes the same messages from a
// service of Type=notify.
void TellReloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", now.tv_sec * 1'000'000LL + now.tv_nsec / 1000);
}

void TellReloaded(const Result<>& outcome) {
  sd_notifyf(0, "READY=1\nSTATUS=measuring%s%s", outcome ? "" : "; the new configuration was refused: ",
             outcome ? "" : outcome.error().Message().c_str());
}

Result<> InitLog(const log::Options& options) {
  if (const Result<> opened = log::Init(options); !opened)
    return Fail(opened.error().In("log/file " + options.file));
  return {};
}

// Tells systemd that another process measures. True: this process stands by. False: the other process is a
// successor of the same unit, to which the attester handed over at a restart; it becomes the main process.
bool TellHolder(pid_t holder) {
  constexpr std::uint64_t kBarrierUs = 5'000'000;
  if (getenv("NOTIFY_SOCKET") == nullptr || !IsOfOurUnit(holder)) {
    sd_notifyf(0, "READY=1\nSTATUS=process %d measures already; standing by", holder);
    return true;
  }
  sd_notifyf(0, "MAINPID=%d\nREADY=1\nSTATUS=measuring", holder);
  sd_notify_barrier(0, kBarrierUs);  // systemd must read the message before it sees this process's end
  return false;
}

// The signals are blocked before any thread is started. All threads inherit the mask, so that only the
// descriptor receives the signals.
Result<UniqueFd> TakeSignals() {
  sigset_t taken;
  sigemptyset(&taken);
  for (int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&taken, s);
  sigprocmask(SIG_BLOCK, &taken, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGIO, SIG_IGN);  // sent when a lease is broken; the engine checks the lease's state instead
  UniqueFd signals(signalfd(-1, &taken, SFD_CLOEXEC));
  if (!signals) return Fail(OsError("signalfd", "", errno));
  return signals;
}

Result<> Serve(Daemon& daemon, Scope scope, int signals) {
  log::Info("assayd {} is measuring (scope {})", ASSAY_VERSION, ScopeName(scope));
  sd_notify(0, "READY=1\nSTATUS=measuring");
  const std::optional<pid_t> successor = daemon.Run(signals, {.began = TellReloading, .ended = TellReloaded});
  if (successor) {
    sd_notifyf(0, "MAINPID=%d", *successor);
    PassSignals(signals, *successor);
    log::Info("process {} has taken over", *successor);
    return {};
  }
  if (daemon.Left()) return Fail(StateError(HandoverError::kRefused, "the handover failed"));
  sd_notify(0, "STOPPING=1");
  log::Info("assayd stops");
  return {};
}

// Runs as the successor of the attester at the other end of the link, which goes on if this fails.
Result<> RunSuccessor(const std::string& config_path, const HandoverLink& link) {
  constexpr std::chrono::seconds kEndPatience{10};
  prctl(PR_SET_NAME, "assayd");  // it was executed by its descriptor, and has that number's name
  const Result<pid_t> predecessor = link.Peer();
  if (!predecessor) ReportAndEnd(predecessor.error(), link);
  const auto prepare = [&]() -> Result<std::pair<Config, UniqueFd>> {
    ASSAY_ASSIGN(Config config, ReadConfig(config_path));
    ASSAY_ASSIGN(UniqueFd signals, TakeSignals());
    ASSAY_TRY(InitLog(config.log));
    return std::pair(std::move(config), std::move(signals));
  };
  Result<std::pair<Config, UniqueFd>> prepared = prepare();
  if (!prepared) ReportAndEnd(prepared.error(), link);
  const auto& [config, signals] = *prepared;
  log::StartWriter();
  const std::unique_ptr<Daemon> daemon = Daemon::TakeOver(config, config_path, link);
  AwaitEnd(*predecessor, kEndPatience);  // from then on the service manager listens to this process
  return Serve(*daemon, config.scope, signals.get());
}

Result<> RunDaemon(const std::string& config_path, Mode mode) {
  if (geteuid() != 0)
    return Fail(
        StateError(DaemonError::kNotRoot, "assayd needs root, because it measures the code of all users"));
  if (mode.take_over >= 0) return RunSuccessor(config_path, HandoverLink::Inherited(mode.take_over));
  ASSAY_ASSIGN(Config config, ReadConfig(config_path));
  std::optional<Early> early;
  Background background;
  if (mode.early) {
    ASSAY_ASSIGN(background, Background::Start());
    if (background.parent()) return {};
    // In an initramfs there is neither a useful stderr nor the real root's log file.
    config.log.file = "/dev/kmsg";
    ASSAY_TRY(log::Init(config.log));
    ASSAY_ASSIGN(early, Early::Enter());
  }
  ASSAY_ASSIGN(const UniqueFd signals, TakeSignals());
  if (mode.standby) {
    ASSAY_ASSIGN(const bool ours, StandBy(config, signals.get(), TellHolder));
    if (!ours) return {};
  }
  // Another attester's list, TPM objects and log file are not touched without its lock.
  ASSAY_ASSIGN(RunFolder folder, RunFolder::Take(config.run_dir));
  if (!early) ASSAY_TRY(InitLog(config.log));
  // Held tasks never wait for the process that reads the log.
  log::StartWriter();
  ASSAY_ASSIGN(const std::unique_ptr<Daemon> daemon,
               Daemon::Start(config, std::move(folder), std::move(early), config_path));
  background.Ready();
  return Serve(*daemon, config.scope, signals.get());
}

}  // namespace
}  // namespace assay::daemon

namespace assay::daemon {
namespace {

// "ok", or a line for each problem and one for what to do about it; with json an array of them. Returns the
// exit code.
int PrintCheck(const std::string& config_path, bool json) {
  const std::vector<Error> problems = CheckStart(config_path);
  constexpr int kCannotTell = 2;
  const bool tried = problems.empty() || !problems.front().Is(DaemonError::kNotRoot);
  const int code = problems.empty() ? 0 : tried ? 1 : kCannotTell;
  if (json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Error& problem : problems)
      list.push_back({{"code", problem.code()}, {"text", problem.Message()}, {"remedy", problem.remedy()}});
    fmt::print("{}\n", DumpJson(list));
    return code;
  }
  for (const Error& problem : problems) {
    fmt::print("{} ({})\n", Printable(problem.Message()), problem.code());
    if (!problem.remedy().empty()) fmt::print("    {}\n", problem.remedy());
  }
  if (problems.empty()) fmt::print("ok\n");
  return code;
}

}  // namespace
}  // namespace assay::daemon

int main(int argc, char** argv) {
  using namespace assay;
  constexpr std::chrono::seconds kLogPatience{1};  // at the end, with what reads the log
  CommandLine line("assayd: measures the code that this machine loads and answers challenges");
  Command app = line.root();
  std::string config = "/etc/assay/assayd.json";
  bool check = false, json = false, probe = false, early_files = false, early_settings = false;
  daemon::Mode mode;
  app.AddVersion(ASSAY_VERSION);
  app.AddOption("--config", config, "Configuration file").ShowDefault();
  const CommandOption checks =
      app.AddFlag("--check", check, "Try what a start would try, change nothing, and print what is wrong");
  app.AddFlag("--json", json, "What --check finds, as a JSON array").Needs(checks);
  app.AddOption("--take-over", mode.take_over, "Internal: take over from a running attester").NonNegative();
  const CommandOption early =
      app.AddFlag("--early", mode.early, "In an initramfs: measure from now on, in the background");
  app.AddFlag("--probe", probe, "Print as JSON which engines work here");
  app.AddFlag("--early-files", early_files, "Print the files that an initramfs needs for --early");
  app.AddFlag("--early-settings", early_settings,
              "Print the settings that the initramfs script needs when the start fails");
  app.AddFlag("--standby", mode.standby, "While an attester from the initramfs runs, wait for its end")
      .Excludes(early);
  if (const std::optional<int> code = line.ParseOrSay(argc, argv)) return *code;
  Result<> outcome;
  if (probe) {
    fmt::print("{}\n", daemon::ProbeEngines());
  } else if (check) {
    return daemon::PrintCheck(config, json);
  } else if (early_settings) {
    if (auto parsed = daemon::ReadConfig(config); !parsed)
      outcome = Fail(parsed.error());
    else
      fmt::print("{}", daemon::EarlySettings(*parsed));
  } else if (early_files) {
    if (auto parsed = daemon::ReadConfig(config); !parsed)
      outcome = Fail(parsed.error());
    else
      for (const std::string& file : daemon::EarlyFiles(*parsed)) fmt::print("{}\n", file);
  } else {
    outcome = daemon::RunDaemon(config, mode);
  }
  if (!outcome) {
    const Error& error = outcome.error();
    log::Error("{} ({})", error.Message(), error.code());
    // systemd and a person at a terminal look here, not at the log file.
    if (!log::ToStderr()) fmt::print(stderr, "assayd: {} ({})\n", Printable(error.Message()), error.code());
  }
  const int code = outcome ? 0 : EX_SOFTWARE;
  log::Drain(kLogPatience);
  // Threads that hang in a file system still use objects that a normal exit would destroy.
  if (measure::LeftBehind() > 0) _exit(code);
  return code;
}
