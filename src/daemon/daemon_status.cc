// What `status` says.
#include <unistd.h>

#include "base/json_dump.h"
#include "base/log.h"
#include "daemon/daemon_impl.h"

namespace assay::daemon {

using nlohmann::json;

std::string Daemon::Impl::Status() const {
  // The file system is mounted before the engine starts, and its threads may ask.
  if (!started)
    return json{{"version", ASSAY_VERSION}, {"pid", getpid()}, {"state", "starting"}}.dump() + "\n";
  const measure::RecorderState s = List().State();
  json banks = json::object();
  for (const auto& [alg, value] : s.pcr_values) banks[std::string(HashName(alg))] = value.hex();
  const auto [engine_name, engine_state] = EngineState();
  std::string keys = "ok";
  bool has_run_key = kernel != nullptr;
  const attest::Server* serves = nullptr;  // is valid until this file system is unmounted
  bool serves_unix = false;
  {
    const MutexLock lock(mutex);
    serves = server.get();
    serves_unix = serves != nullptr && config.serve_unix;
    if (!keys_error.empty()) keys = keys_error;
    if (run_key) has_run_key = !run_key->lost();
  }
  const std::optional<attest::NetworkState> network = serves != nullptr ? serves->Network() : std::nullopt;
  const bool well = !s.degraded && !tpm_gone && keys == "ok" && has_run_key && engine_state == "ok" &&
                    (!network || network->serving) && (serves != nullptr || in_initramfs);
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
              {"state", tpm_gone ? "gone" : "ok"}}}};
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
    j["engine"]["stats"]["unasked"] = e.unasked;
    j["engine"]["stats"]["lost"] = e.lost;
    j["engine"]["appraise"] = AppraiseName(config.engine.rules.appraise);
    j["engine"]["refusals_not_listed"] = refusals_lost.load();
  }
  if (own_namespace) j["engine"]["namespace"] = own_namespace->path();
  if (serves_unix) j["challenge"]["unix"] = config.run_dir + "/challenge.sock";
  if (network) {
    j["challenge"]["port"] = serves->port();
    j["challenge"]["network"] = {{"state", network->serving ? "ok" : "down"},
                                 {"pid", network->pid},
                                 {"restarts", network->restarts},
                                 {"last_end", network->last_end},
                                 {"landlock_abi", network->landlock_abi}};
  }
  return DumpJson(j) + "\n";
}

}  // namespace assay::daemon
