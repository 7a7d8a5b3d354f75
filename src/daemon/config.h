// assayd's configuration: one JSON file. All members but the engine's scope are optional.
//
//   ASSAY_ASSIGN(Config config, ReadConfig("/etc/assay/assayd.json"));
//   log::Info("{}", EnginePolicy(config));
//
// Contract: man/assayd.8 describes each member. An unknown member, a wrong type or a value out of range is an
// error that names the member. EnginePolicy() is the part that decides what is measured and when; its bytes
// are the content of the `assay-policy` record.
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
  kNone,       // no engine
  kNamespace,  // a mount namespace of the attester
  kHost,       // the whole machine
};

// A value of engine/engine: the kernel's own IMA measures and records, and the attester reads its list.
inline constexpr std::string_view kKernelIma = "kernel-ima";

struct Config {
  std::string state_dir = "/var/lib/assay";  // kept across reboots: the software TPM's state
  std::string run_dir = "/run/assayd";       // sockets, list (on tmpfs)
  std::string mount_point = "/run/assay";

  std::string tcti = "embedded";  // or any TCTI: "device:/dev/tpmrm0"
  bool stop_tpm = false;          // whether the embedded TPM, and the list with it, end with the attester
  tpm::AkKind ak = tpm::AkKind::kEccP256;

  std::uint32_t pcr = 10;
  bool synchronous = false;
  std::uint32_t group_ms = 50;
  std::uint64_t max_records = 1'000'000;

  Scope scope = Scope::kNone;
  measure::EngineOptions engine;  // with its policy
  std::string policy_file;        // the policy's source; empty: built in

  std::string manifest;      // an index; its content may be recorded in groups
  std::string manifest_key;  // PEM file of the public key that verifies its signature

  // early/on_failure: whether the boot ends if the attester does not start in the initramfs. Else it is only
  // capped.
  bool halt_without_start = false;

  bool serve_unix = true;
  evidence::Level unix_level = evidence::Level::kQuote;
  std::string listen;                            // "127.0.0.1:7443"; empty: no TLS
  std::string certificate, key;                  // PEM files
  std::map<Fingerprint, evidence::Level> allow;  // of a verifier's certificate -> level

  log::Options log;
};

Result<Config> ParseConfig(std::string_view json);
Result<Config> ReadConfig(const std::string& path);
std::string_view AppraiseName(measure::Appraise appraise);
std::string EnginePolicy(const Config& config);  // JSON with sorted keys
std::string_view ScopeName(Scope scope);

}  // namespace assay::daemon
