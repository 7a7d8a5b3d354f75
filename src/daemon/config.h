// assayd's configuration: one JSON file, every member optional but the engine's scope.
//
//   ASSAY_ASSIGN(Config config, ReadConfig("/etc/assay/assayd.json"));
//
// Contract: man/assayd.8 describes each member. An unknown member, a wrong type or a value out of range is an
// error that names it: nothing is guessed. EnginePolicy() is the part that decides what is measured and when;
// its bytes are what the `assay-policy` record holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "evidence/evidence.h"
#include "measure/choice/engines.h"
#include "tpm/tpm.h"

namespace assay::daemon {

enum class Scope {
  kNone,
  kNamespace,
  kHost
};  // no engine; a mount namespace of the attester's own; the whole machine

// engine/engine: the kernel's own IMA measures and records, and its list is read.
inline constexpr std::string_view kKernelIma = "kernel-ima";

struct Config {
  std::string state_dir = "/var/lib/assay";  // kept over reboots: the software TPM's state
  std::string run_dir = "/run/assayd";       // sockets, list (on tmpfs)
  std::string mount_point = "/run/assay";

  std::string tcti = "embedded";  // or any TCTI: "device:/dev/tpmrm0"
  bool stop_tpm = false;          // the embedded TPM ends with the attester, and the list with it
  tpm::AkKind ak = tpm::AkKind::kEccP256;

  std::uint32_t pcr = 10;
  bool synchronous = false;
  std::uint32_t group_ms = 50;
  std::uint64_t max_records = 1'000'000;

  Scope scope = Scope::kNone;
  measure::EngineOptions engine;  // with its policy
  std::string policy_file;        // where that came from; empty: built in

  std::string manifest;      // an index; its content may be recorded in groups
  std::string manifest_key;  // PEM of who signs it

  bool halt_without_start =
      false;  // early/on_failure: a boot whose attester does not start ends there, and is not only capped

  bool serve_unix = true;
  evidence::Level unix_level = evidence::Level::kQuote;
  std::string listen;                            // "127.0.0.1:7443"; empty: no TLS
  std::string certificate, key;                  // PEM files
  std::map<std::string, evidence::Level> allow;  // certificate fingerprint -> level

  log::Options log;
};

Result<Config> ParseConfig(std::string_view json);
Result<Config> ReadConfig(const std::string& path);
std::string_view AppraiseName(measure::Appraise appraise);
std::string EnginePolicy(const Config& config);  // JSON with sorted keys
std::string_view ScopeName(Scope scope);

}  // namespace assay::daemon
