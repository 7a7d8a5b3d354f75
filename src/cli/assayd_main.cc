// assayd: the attester. man/assayd.8
#include <signal.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/daemon.h"

namespace assay::cli {
namespace {

Result<> RunDaemon(const std::string& config_path) {
  ASSAY_ASSIGN(Config config, ReadConfig(config_path));
  log::Init(config.log);
  // Blocked before any thread is made, so that all of them inherit it and only the descriptor sees the
  // signals.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&stop_signals, s);
  sigprocmask(SIG_BLOCK, &stop_signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGIO, SIG_IGN);  // a broken lease: the engine asks for its state instead
  UniqueFd stop(signalfd(-1, &stop_signals, SFD_CLOEXEC));
  if (!stop) return Fail(OsError("signalfd", "", errno));
  ASSAY_ASSIGN(std::unique_ptr<Daemon> daemon, Daemon::Start(config));
  log::Info("assayd {} is measuring (scope {})", ASSAY_VERSION, ScopeName(config.scope));
  sd_notify(0, "READY=1");
  daemon->Run(stop.get());
  sd_notify(0, "STOPPING=1");
  log::Info("assayd stops");
  return {};
}

}  // namespace
}  // namespace assay::cli

int main(int argc, char** argv) {
  using namespace assay;
  CLI::App app{"assayd: measures the code that this machine loads and answers challenges"};
  std::string config = "/etc/assay/assayd.json";
  bool check = false;
  app.set_version_flag("--version", ASSAY_VERSION);
  app.add_option("--config", config, "Configuration file")->capture_default_str();
  app.add_flag("--check", check, "Only check the configuration file");
  CLI11_PARSE(app, argc, argv);
  Result<> outcome;
  if (check) {
    if (auto parsed = cli::ReadConfig(config); !parsed) outcome = Fail(parsed.error());
  } else {
    outcome = cli::RunDaemon(config);
  }
  if (!outcome) {
    log::Error("{} ({})", outcome.error().Message(), outcome.error().code());
    return cli::kExitError;
  }
  return 0;
}
