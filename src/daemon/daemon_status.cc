// What `status` says.
#include <unistd.h>

#include "attest/errors.h"
#include "base/log.h"
#include "daemon/daemon_impl.h"
#include "daemon/errors.h"
#include "measure/record/errors.h"
#include "measure/record/extend_times.h"
#include "tpm/errors.h"

namespace assay::daemon {

using nlohmann::json;

// What keeps the attester from its work (degraded), and what its owner should know besides (notices).
struct Daemon::Impl::Problems {
  json degraded = json::array(), notices = json::array();
  static json Of(std::string_view code, const std::string& text, std::string_view remedy) {
    return {{"code", code}, {"text", text}, {"remedy", remedy}};
  }
  static json Of(ErrorCode code, const std::string& text) { return Of(code.name(), text, code.remedy()); }
  static json Of(const Error& error) {
    constexpr std::string_view kLook = "The log says more: journalctl -u assayd -p warning.";
    const std::string_view remedy = error.remedy();
    return Of(error.code(), error.Message(), remedy.empty() ? kLook : remedy);
  }
};

Daemon::Impl::Problems Daemon::Impl::FindProblems() const {
  Problems p;
  const measure::RecorderState s = List().State();
  if (s.degraded) p.degraded.push_back(Problems::Of(measure::RecorderError::kDegraded, s.degraded_reason));
  if (tpm_gone)
    p.degraded.push_back(Problems::Of(DaemonError::kTpmGone,
                                      "the embedded software TPM ended by itself, and its PCRs are lost"));
  if (const Result<> health = EngineHealth(); !health) p.degraded.push_back(Problems::Of(health.error()));
  const attest::Server* serves = nullptr;  // is valid until this file system is unmounted
  {
    const MutexLock lock(mutex);
    serves = server.get();
    if (keys_error) p.degraded.push_back(Problems::Of(*keys_error));
    if (!kernel && (!run_key || run_key->lost()))
      p.degraded.push_back(
          Problems::Of(tpm::RunKeyError::kLost, "this run has no key that signs its answers"));
    if (serves == nullptr && !in_initramfs && !keys_error)
      p.degraded.push_back(server_error
                               ? Problems::Of(*server_error)
                               : Problems::Of(DaemonError::kStarting, "no challenge is answered yet"));
    if (!config_state.error.empty())
      p.notices.push_back(
          Problems::Of(config_state.code, "the last reload was refused: " + config_state.error,
                       "Correct the configuration, then: assayd --check; systemctl reload assayd."));
    if (!handover.error.empty())
      p.notices.push_back(
          Problems::Of(handover.code, "the last handover was refused: " + handover.error,
                       "Do what the reason says, then: assayd --check; systemctl reload assayd."));
    for (const std::string& member : config_state.needs_restart)
      p.notices.push_back(
          Problems::Of(DaemonError::kNeedsRestart, member + " was changed, and needs a restart"));
  }
  if (serves != nullptr) {
    const std::optional<attest::NetworkState> network = serves->Network();
    if (network && !network->serving)
      p.degraded.push_back(
          Problems::Of(attest::NetError::kGone, "the network process is down: " + network->last_end));
    const attest::QuoteState quotes = serves->Quotes();
    if (quotes.failed_since_last > 0)
      p.degraded.push_back(Problems::Of(
          quotes.code, fmt::format("the last {} quotes failed: {}", quotes.failed_since_last, quotes.error),
          "The log says more: journalctl -u assayd -p err. Find out what else uses the TPM."));
  }
  if (const log::Backlog backlog = log::State(); backlog.dropped > 0)
    p.notices.push_back(Problems::Of(DaemonError::kLogDropped,
                                     fmt::format("{} messages of the log were dropped", backlog.dropped)));
  return p;
}

json Daemon::Impl::ConfigurationStatus() const {
  const MutexLock lock(mutex);
  json drop_ins = json::array();
  for (std::size_t i = 1; i < config.files.size(); ++i) drop_ins.push_back(config.files[i]);
  return {{"file", config_path},
          {"drop_ins", drop_ins},
          {"loaded_ms", config_state.loaded_ms},
          {"reloads", config_state.loads},
          {"refused", config_state.refusals},
          {"refused_ms", config_state.refused_ms},
          {"error", config_state.error},
          {"error_code", config_state.code},
          {"needs_restart", config_state.needs_restart}};
}

json Daemon::Impl::ChallengeStatus() const {
  json j = json::object();
  const attest::Server* serves = nullptr;  // is valid until this file system is unmounted
  std::string listen;
  {
    const MutexLock lock(mutex);
    serves = server.get();
    listen = config.listen.substr(0, config.listen.rfind(':'));
    if (serves != nullptr && config.serve_unix) j["unix"] = config.run_dir + "/challenge.sock";
  }
  if (serves == nullptr) return j;
  if (const std::optional<attest::NetworkState> network = serves->Network()) {
    j["port"] = serves->port();
    j["listen"] = fmt::format("{}:{}", listen, serves->port());
    j["network"] = {{"state", network->serving ? "ok" : "down"},
                    {"pid", network->pid},
                    {"restarts", network->restarts},
                    {"last_end", network->last_end},
                    {"landlock_abi", network->landlock_abi}};
  }
  const attest::QuoteState q = serves->Quotes();
  j["quotes"] = {{"made", q.made},
                 {"failed", q.failed},
                 {"failed_since_last", q.failed_since_last},
                 {"last_ms", q.last_ms},
                 {"last_failure_ms", q.failed_ms},
                 {"error", q.error},
                 {"error_code", q.code}};
  j["callers"] = json::array();
  for (const attest::Caller& c : serves->Callers())
    j["callers"].push_back({{"name", c.name},
                            {"over", c.over},
                            {"level", c.level ? std::string(evidence::LevelName(*c.level)) : "none"},
                            {"answered", c.answered},
                            {"refused", c.refused},
                            {"last_ms", c.last_ms},
                            {"outcome", c.outcome}});
  return j;
}

namespace {

json ExtendsStatus() {
  const measure::ExtendTimes t = measure::TimesOfExtends();
  return {{"count", t.count}, {"total_us", t.total_us}, {"longest_us", t.longest_us}};
}

}  // namespace

json Daemon::Impl::Status() const {
  // The file system is mounted before the engine starts, and its threads may ask.
  if (!started) return {{"version", ASSAY_VERSION}, {"pid", getpid()}, {"state", "starting"}};
  const measure::RecorderState s = List().State();
  json banks = json::object();
  for (const auto& [alg, value] : s.pcr_values) banks[std::string(HashName(alg))] = value.hex();
  const auto [engine_name, engine_state] = EngineState();
  std::string keys = "ok";
  bool has_run_key = kernel != nullptr;
  {
    const MutexLock lock(mutex);
    if (keys_error) keys = keys_error->Message();
    if (run_key) has_run_key = !run_key->lost();
  }
  const Problems problems = FindProblems();
  const bool well = problems.degraded.empty();
  json j = {{"version", ASSAY_VERSION},
            {"pid", getpid()},
            {"started_ms", started_ms},
            {"state", well ? "ok" : "degraded"},
            {"recorder",
             {{"records", s.count},
              {"entries", s.entries},
              {"violations", s.violations},
              {"overflow", s.overflow},
              {"gaps", s.gaps},
              {"degraded", s.degraded},
              {"degraded_reason", s.degraded_reason},
              {"recoveries", recoveries.load()},
              {"list_bytes", s.list_bytes},
              {"extends", ExtendsStatus()},
              {"pcr", config.pcr},
              {"pcr_values", banks}}},
            {"engine", {{"name", engine_name}, {"state", engine_state}, {"scope", ScopeName(config.scope)}}},
            {"tpm",
             {{"manufacturer", tpm_info.manufacturer},
              {"vendor", tpm_info.vendor},
              {"firmware", tpm_info.firmware},
              {"software", tpm_info.software},
              {"keys", keys},
              {"run_key", has_run_key ? "ok" : "none"},
              {"lost_keys", tpm->LostKeys()},
              {"reset_count", s.reset_count},
              {"restart_count", s.restart_count},
              {"state", tpm_gone ? "gone" : "ok"}}}};
  j["degraded"] = problems.degraded;
  j["notices"] = problems.notices;
  j["configuration"] = ConfigurationStatus();
  if (json challenge = ChallengeStatus(); !challenge.empty()) j["challenge"] = std::move(challenge);
  const log::Backlog backlog = log::State();
  j["log"] = {{"waiting", backlog.waiting}, {"dropped", backlog.dropped}};
  if (const auto present = Engine()) {
    const measure::EngineStats e = present->Stats();
    j["engine"]["stats"] = {{"events", e.events},         {"measured", e.measured},
                            {"clean", e.clean},           {"not_code", e.not_code},
                            {"violations", e.violations}, {"expired", e.expired},
                            {"errors", e.errors},         {"queue_depth", e.queue_depth},
                            {"stalls", e.stalls},         {"bytes_hashed", e.bytes_hashed},
                            {"refused", e.refused},       {"unrecorded", e.unrecorded},
                            {"untold", e.untold},         {"held", e.held},
                            {"hanging", e.hanging}};
    j["engine"]["stats"]["longest_wait_ms"] = e.longest_wait_ms;
    j["engine"]["stats"]["unasked"] = e.unasked;
    j["engine"]["stats"]["lost"] = e.lost;
    j["engine"]["appraise"] = AppraiseName(config.engine.rules.appraise);
    j["engine"]["refusals_not_listed"] = refusals_lost.load();
  }
  if (own_namespace) j["engine"]["namespace"] = own_namespace->path();
  {
    const MutexLock lock(mutex);
    j["handover"] = {{"count", handover.number},
                     {"refused", handover.refused},
                     {"last_ms", handover.last_ms},
                     {"waited_ms", handover.waited_ms},
                     {"error", handover.error}};
  }
  return j;
}

}  // namespace assay::daemon
