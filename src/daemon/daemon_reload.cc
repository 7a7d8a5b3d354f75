// SIGHUP: the log file anew, and the configuration as far as it can change while the attester runs.
#include <fmt/format.h>

#include "base/log.h"
#include "base/log_event.h"
#include "daemon/daemon_impl.h"
#include "daemon/inputs.h"

namespace assay::daemon {

log::Options Daemon::Impl::LogOptions(const Config& from) const {
  log::Options options = from.log;
  if (logs_to_kernel) options.file = "/dev/kmsg";
  return options;
}

void Daemon::Impl::TakeServe(const Config& from) {
  config.serve_unix = from.serve_unix;
  config.unix_level = from.unix_level;
  config.listen = from.listen;
  config.certificate = from.certificate;
  config.key = from.key;
  config.allow = from.allow;
}

// Takes up what can change. If a part fails, all of it is taken back.
Result<> Daemon::Impl::TakeUp(const Config& next) {
  const auto serve = [&](attest::ServerOptions options) -> Result<> {
    attest::Server* present = nullptr;  // only this thread replaces it
    {
      const MutexLock lock(mutex);
      present = server.get();
    }
    if (present == nullptr) return {};  // Supervise() starts it, by the new configuration
    return present->Change(std::move(options));
  };
  ASSAY_ASSIGN(attest::ServerOptions options, ServeOptions(next));
  ASSAY_TRY(log::Init(LogOptions(next)));
  const auto take = [&]() -> Result<> {
    ASSAY_TRY(serve(std::move(options)));
    std::string active;
    {
      const MutexLock lock(mutex);
      active = config.engine.rules.policy->text();
    }
    if (!Engine()) return {};
    Result<> loaded = active == next.engine.rules.policy->text()
                          ? Result<>()
                          : LoadPolicy(next.engine.rules.policy->text());
    if (loaded) {
      const MutexLock loading(load_mutex);
      policy_loaded = false;  // it is the configuration's again
      return {};
    }
    const auto go_back = [&]() -> Result<> {
      ASSAY_ASSIGN(attest::ServerOptions former, ServeOptions(config));
      return serve(std::move(former));
    };
    if (const Result<> back = go_back(); !back)
      log::Error("challenges are not answered as before: {}", back.error().Message());
    return loaded;
  };
  if (const Result<> taken = take(); !taken) {
    if (const Result<> back = log::Init(LogOptions(config)); !back) log::Error("{}", back.error().Message());
    return taken;
  }
  const MutexLock lock(mutex);
  TakeServe(next);
  config.log = next.log;
  config.files = next.files;
  return {};
}

Result<> Daemon::Impl::Reload() {
  // The log is opened first, whatever the new configuration says, because a rotated log must not be written
  // any more.
  if (const Result<> reopened = log::Init(LogOptions(config)); !reopened)
    log::Error("the log file can't be opened again: {}", reopened.error().Message());
  std::vector<std::string> needs_restart;
  const auto load = [&]() -> Result<> {
    ASSAY_ASSIGN(const Config next, ReadConfig(config_path));
    needs_restart = NeedsRestart(started_config, next);
    return TakeUp(next);
  };
  Result<> loaded = load();
  {
    const MutexLock lock(mutex);
    config_state.error = loaded ? "" : loaded.error().Message();
    config_state.code = loaded ? "" : loaded.error().code();
    if (loaded) {
      ++config_state.loads;
      config_state.loaded_ms = NowMs();
      config_state.needs_restart = needs_restart;
    } else {
      ++config_state.refusals;
      config_state.refused_ms = NowMs();
    }
  }
  if (!loaded) {
    log::WriteEvent(log::Level::kError, "configuration-refused", {{"code", loaded.error().code()}},
                    fmt::format("the new configuration is refused, and the former one goes on: {} ({})",
                                loaded.error().Message(), loaded.error().code()));
    return loaded;
  }
  log::Info("the configuration of {} is loaded", config_path);
  for (const std::string& member : needs_restart)
    log::Warn("{} needs a restart: the attester goes on with the former value", member);
  return {};
}

}  // namespace assay::daemon
