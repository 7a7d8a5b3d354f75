// assayd's configuration: one JSON file with comments, and drop-ins. All members but the engine's scope are
// optional.
//
//   ASSAY_ASSIGN(Config config, ReadConfig("/etc/assay/assayd.json"));
//   log::Info("{}", EnginePolicy(config));
//
// Contract: man/assayd.json.5 describes each member. What is wrong is an error of its own (ConfigError) that
// names file, line and member, and the form that is wanted: "assayd.json:12: serve/allow: ...".
// EnginePolicy() is the part that decides what is measured and when; its bytes are the content of the
// `assay-policy` record.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
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
  std::vector<std::string> files;            // from which it was read: the file, and its drop-ins
  std::string state_dir = "/var/lib/assay";  // kept across reboots: the software TPM's state
  std::string run_dir = "/run/assayd";       // sockets, list (on tmpfs)
  std::string mount_point = "/run/assay";

  std::string tcti = "embedded";  // or any TCTI: "device:/dev/tpmrm0"
  bool stop_tpm = false;          // whether the embedded TPM, and the list with it, end with the attester
  tpm::AkKind ak = tpm::AkKind::kEccP256;
  std::string endorsement_password_file, owner_password_file;  // of the TPM's hierarchies; empty: none

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

struct ConfigText {
  std::string name;  // for errors
  std::string json;
};
// Later texts change the first one (RFC 7396). There is at least one.
Result<Config> ParseConfig(std::span<const ConfigText> texts);
Result<Config> ParseConfig(std::string_view json, const std::string& name = "assayd.json");
// With its drop-ins: the files *.json of the folder beside it, with .d for .json, in the order of their
// names.
Result<Config> ReadConfig(const std::string& path);
// The members of which the two differ and that only a start reads.
std::vector<std::string> NeedsRestart(const Config& running, const Config& next);
// "config.key-file": others than its owner and its group have rights on the private key.
Result<> CheckKeyFile(const std::string& path);
struct ListenAddress {
  std::string host;  // "192.0.2.7" or "[::1]"
  int port = 0;      // 0: any free one
};
Result<ListenAddress> ParseListen(std::string_view text);
struct ConfigMember {
  std::string_view name;      // "serve/allow"
  std::string_view form;      // what is wanted, for people
  std::string_view fallback;  // the value, as JSON, if it is not given; empty: there is none
};
std::span<const ConfigMember> ConfigMembers();
std::string_view AppraiseName(measure::Appraise appraise);
std::string EnginePolicy(const Config& config);  // JSON with sorted keys
std::string_view ScopeName(Scope scope);

}  // namespace assay::daemon
