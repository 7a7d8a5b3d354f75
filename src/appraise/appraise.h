// Appraisal: a pure function. Evidence + what is known of the host + reference values + expected boots +
// policy
// -> attestation result.
//
//   Appraisal a = Appraise({.evidence = e, .binding = b, .nonce = n, .selection = s}, host, references,
//   policy); host = a.host;  // to keep for the next round, whatever the verdict is
//
// Contract: no I/O and no clock. It goes on judging after the first finding, as long as what came is
// somebody's word (a quote that the AK did not sign ends it). Each finding has a stable dotted name
// (docs/findings.md). The verdict is the worst finding's; 'trusted' needs every check to have been made and
// passed. Nothing is taken from unsigned bytes before what signs them is checked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/digest.h"
#include "boot/expected.h"
#include "evidence/evidence.h"
#include "tpm/attest_data.h"

namespace assay::appraise {

// Reference values, as the reference room's index answers.
enum class Standing { kGood, kVulnerable, kRevoked };
std::string_view StandingName(Standing s);  // "good", "vulnerable", "revoked"
struct Origin {
  Standing standing = Standing::kGood;
  std::string package, version, architecture, path;  // path as packaged: "/usr/bin/ls"
  std::string note;                                  // advisory or reason, may be empty
};
// A packaged path as a list names it: merged /usr ("/bin/ls" is "/usr/bin/ls"), ' ' as '_'.
std::string NormalisePath(std::string_view path);
class ReferenceValues {
 public:
  virtual ~ReferenceValues() = default;
  virtual std::vector<Origin> Find(const Digest& digest) const = 0;  // every package that holds this content
  virtual std::optional<Origin> FindPath(
      const std::string& path) const = 0;  // is something packaged at this path
};

enum class Verdict {
  kTrusted = 0,
  kNotTrusted = 1,
  kUnknown = 2
};  // 'could not tell' is 2, as the exit code
std::string_view VerdictName(Verdict v);  // "trusted", "not-trusted", "could-not-tell"
std::optional<Verdict> VerdictFromName(std::string_view name);

// How far a verdict reaches: what was measured of all that could have run.
enum class Reach {
  kUnknown,
  kNamespace,  // a mount namespace, not the machine
  kStart,      // the machine, since the attester's start
  kBoot,       // the machine since its boot, which was an expected one
};
std::string_view ReachName(Reach r);  // "unknown", "namespace", "start", "boot"
std::optional<Reach> ReachFromName(std::string_view name);

struct Finding {
  std::string name;                       // "quote.nonce", "list.removed", "entry.changed", ...
  Verdict weight = Verdict::kNotTrusted;  // what it makes of the verdict (kTrusted: for information)
  std::string text;                       // a sentence
  std::optional<std::uint64_t> record;    // number in the list
  std::uint32_t sub = 0;                  // position within a group
  std::string path, digest;               // of the entry, if it is about one
  std::string cgroup;                     // that its record names
  std::optional<evidence::ContextEntry> context;
};

enum class EntryState { kTrusted, kVulnerable, kRevoked, kChanged, kUnknown, kViolation, kOwn };
std::string_view EntryStateName(EntryState s);  // "trusted", ..., "own": the attester's own records
struct JudgedEntry {
  std::uint64_t record = 0;
  std::uint32_t sub = 0;
  EntryState state = EntryState::kUnknown;
  std::string path, digest;  // "sha256:..."
  std::string cgroup;        // that the record names (template d-ng|n-ng|cgpath): proven by the PCR
  std::optional<Origin> origin;
  std::optional<evidence::ContextEntry> context;
};

struct Policy {
  std::uint32_t pcr = 10;
  std::vector<HashAlg> quote_banks{
      HashAlg::kSha256};  // at least one of these must be quoted; sha1 alone never suffices
  std::vector<HashAlg> file_algs{HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512};
  bool allow_software_tpm = false;
  bool allow_first_use =
      false;              // an AK or EK that nothing vouches for is believed, and pinned, when first seen
  std::string pinned_ak;  // hex name; empty: the AK is known by enrolment (or first use)
  std::set<std::string> allowed_eks;  // hex names of EKs that need no certificate
  bool allow_unquoted_tail = false;   // records beyond the quoted PCR (a foreign attester's; ours has none)
  bool allow_gaps = false;            // restarts of the attester
  bool allow_what_ran_before =
      true;  // tasks that ran before the attester started: else a finding that weighs
  bool require_attester_records = true;  // own binaries, engine and policy in the list, and known
  std::set<std::string> engines{"fanotify", "lsm"};
  bool allow_kernel_policy = false;  // of "kernel-ima": that nothing proves what the kernel measures by
  std::set<std::string>
      attester_digests;  // "sha256:..." of assayd builds that are known (besides reference values)
  std::set<std::string>
      attester_policies;  // digests of `assay-policy` records that are accepted; empty: they are judged
  std::string measures_at_least = "default";  // a built-in measuring policy
  std::uint64_t max_group_ms = 50;            // that content of a manifest may wait for its extend
  std::set<std::string> attester_manifests;   // digests of manifests that are accepted
  std::vector<std::string> manifest_keys;     // or who signs them: SubjectPublicKeyInfo in base64
  std::set<std::string>
      interpreters;  // paths that must be a known build, as "/usr/bin/bash": unknown there is worse
  std::set<std::string> allowed;             // "sha256:..." of local content that is good
  std::vector<std::string> allowed_cgroups;  // globs: entries whose record names such a group aren't judged
  bool require_secure_boot = false;          // as the event log proves it
  bool allow_missing_exit = false;           // an event log without the two events of ExitBootServices
  bool require_early_start = false;          // the attester was started in the initramfs
  Reach require_reach = Reach::kUnknown;     // what a verdict must reach at least
  std::map<std::string, std::set<std::string>> allowed_violations;  // a program's digest -> kinds
  bool vulnerable_fails = true;
};
Result<Policy> ParsePolicy(std::string_view json);  // docs/formats/policy.md
std::string EncodePolicy(const Policy& policy);

// What is known of one host from rounds before, kept by the caller.
struct HostState {
  std::string ak_name, ek_name;  // hex; empty: none seen yet
  std::string identity;  // what vouches for them: "certificate", "listed", "named", "first-use"; or empty
  bool tpm_software = false;  // as enrolment found it
  std::uint64_t clock = 0;    // milliseconds, of the last quote
  std::uint32_t reset_count = 0, restart_count = 0;
  std::uint64_t records = 0;         // judged so far in this boot
  std::map<HashAlg, Digest> prefix;  // PCR value after `records`, per quoted bank
  std::string boot_id;
  std::vector<Finding> standing;  // findings of this boot that still weigh
  std::uint64_t rounds = 0;
  std::map<std::string, std::string>
      own;  // what the list's own records proved so far: "start", "engine", "policy", ...
};
Result<HostState> ParseHostState(std::string_view json);
std::string EncodeHostState(const HostState& state);

struct Request {
  const evidence::Evidence& evidence;
  evidence::Binding binding;  // of this side's connection
  Bytes nonce;
  tpm::PcrSelection selection;     // asked for; must be met exactly
  std::uint64_t first_record = 0;  // asked for
};

struct Appraisal {
  Verdict verdict = Verdict::kUnknown;
  std::vector<Finding> findings;
  std::vector<JudgedEntry> entries;  // of this round
  std::map<EntryState, std::uint64_t> counts;
  HostState host;           // to keep for the next round
  evidence::Claims claims;  // as parsed; empty if they could not be
  bool rebooted = false;    // since the last round
  Reach reach = Reach::kUnknown;
};
// boots: what may have been booted, as learned from earlier boots (boot/expected.h); it must be one of them.
// Empty: what was booted is not judged, and the result says so.
Appraisal Appraise(const Request& request, const HostState& host, const ReferenceValues& references,
                   const Policy& policy, const std::vector<boot::ExpectedBoot>& boots = {});

}  // namespace assay::appraise
