// Appraisal: a pure function from evidence, the state of the host, reference values, expected boots and a
// policy to an attestation result.
//
//   // given: const Request& request, HostState& host, const ReferenceValues& references,
//   // given: const Policy& policy
//   const Appraisal appraisal = Appraise(request, host, references, policy);
//   for (const Finding& f : appraisal.findings) log::Info("{}: {}", f.name, f.text);
//   host = appraisal.host;   // to keep for the next round, whatever the verdict is
//
// Contract: no I/O and no clock. Appraisal goes on after a finding, and ends early only if the evidence is
// not signed by the AK. Each finding has a stable dotted name (docs/findings.md). The verdict is that of the
// worst finding; 'trusted' requires that every check was made and passed. Bytes are used only after the
// signature that covers them was verified.
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

// Reference values; the reference room's Index implements them.
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
  // The package file at this path, if there is one.
  virtual std::optional<Origin> FindPath(const std::string& path) const = 0;
};

// The values are the exit codes of the command line; kUnknown is 'could not tell'.
enum class Verdict { kTrusted = 0, kNotTrusted = 1, kUnknown = 2 };
std::string_view VerdictName(Verdict v);  // "trusted", "not-trusted", "could-not-tell"
std::optional<Verdict> VerdictFromName(std::string_view name);

// How far a verdict reaches: which part of all that could have run was measured.
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
  Verdict weight = Verdict::kNotTrusted;  // the verdict that it leads to (kTrusted: for information)
  std::string text;                       // a sentence
  std::optional<std::uint64_t> record;    // number in the list
  std::uint32_t sub = 0;                  // position within a group
  std::string path, digest;               // of the entry, if the finding is about one
  std::string cgroup;                     // in the entry's record
  std::optional<evidence::ContextEntry> context;
};

enum class EntryState { kTrusted, kVulnerable, kRevoked, kChanged, kUnknown, kViolation, kOwn };
std::string_view EntryStateName(EntryState s);  // "trusted", ..., "own": the attester's own records
struct JudgedEntry {
  std::uint64_t record = 0;
  std::uint32_t sub = 0;
  EntryState state = EntryState::kUnknown;
  std::string path, digest;  // "sha256:..."
  std::string cgroup;        // in the record (template d-ng|n-ng|cgpath): proven by the PCR
  std::optional<Origin> origin;
  std::optional<evidence::ContextEntry> context;
};

struct Policy {
  std::uint32_t pcr = 10;
  // One of these banks must be quoted; SHA-1 alone never suffices.
  std::vector<HashAlg> quote_banks{HashAlg::kSha256};
  std::vector<HashAlg> file_algs{HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512};
  bool allow_software_tpm = false;
  bool allow_first_use = false;       // an unverified AK or EK is accepted and pinned when it is first seen
  std::string pinned_ak;              // hex name; empty: the AK is known by enrolment (or first use)
  std::set<std::string> allowed_eks;  // hex names of EKs that need no certificate
  bool allow_unquoted_tail = false;   // records beyond the quoted PCR (of other attesters; ours sends none)
  bool allow_gaps = false;            // restarts of the attester
  bool allow_what_ran_before = true;  // tasks that ran before the attester started are no finding that weighs
  // The attester's binaries, engine and policy must be in the list and known.
  bool require_attester_records = true;
  std::set<std::string> engines{"fanotify", "lsm"};
  bool allow_kernel_policy = false;  // for "kernel-ima": nothing proves which policy the kernel measures by
  // "sha256:..." of known assayd builds, besides those in the reference values.
  std::set<std::string> attester_digests;
  // Digests of `assay-policy` records that are accepted; empty: the records' members are judged.
  std::set<std::string> attester_policies;
  std::string measures_at_least = "default";  // a built-in measuring policy
  std::uint64_t max_group_ms = 50;            // how long content of a manifest may wait for its extend
  std::set<std::string> attester_manifests;   // digests of manifests that are accepted
  std::vector<std::string> manifest_keys;     // keys that may sign manifests: SubjectPublicKeyInfo, base64
  // Paths that must hold a known build ("/usr/bin/bash"): unknown content there weighs more.
  std::set<std::string> interpreters;
  std::set<std::string> allowed;             // "sha256:..." of local content that is good
  std::vector<std::string> allowed_cgroups;  // globs; entries whose record names such a group are not judged
  bool require_secure_boot = false;          // proven by the event log
  bool allow_missing_exit = false;           // an event log may lack the two events of ExitBootServices
  bool require_early_start = false;          // the attester was started in the initramfs
  Reach require_reach = Reach::kUnknown;     // the least reach that a verdict must have
  std::map<std::string, std::set<std::string>> allowed_violations;  // a program's digest -> kinds
  bool vulnerable_fails = true;
};
Result<Policy> ParsePolicy(std::string_view json);  // docs/formats/policy.md
std::string EncodePolicy(const Policy& policy);

// What is known of one host from earlier rounds. The caller keeps it.
struct HostState {
  std::string ak_name, ek_name;  // hex; empty: none seen yet
  std::string identity;  // how they were verified: "certificate", "listed", "named", "first-use"; or empty
  bool tpm_software = false;  // as enrolment found it
  std::uint64_t clock = 0;    // milliseconds, of the last quote
  std::uint32_t reset_count = 0, restart_count = 0;
  std::uint64_t records = 0;         // judged so far in this boot
  std::map<HashAlg, Digest> prefix;  // PCR value after `records`, per quoted bank
  std::string boot_id;
  std::vector<Finding> standing;  // findings of this boot that still weigh
  std::uint64_t rounds = 0;
  // What the attester's own records in the list proved so far: "start", "engine", "policy", ...
  std::map<std::string, std::string> own;
};
Result<HostState> ParseHostState(std::string_view json);
std::string EncodeHostState(const HostState& state);

struct Request {
  const evidence::Evidence& evidence;
  evidence::Binding binding;  // of this side's connection
  Bytes nonce;
  tpm::PcrSelection selection;     // requested; the quote must have exactly this selection
  std::uint64_t first_record = 0;  // requested
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
// boots: the boots that are accepted, as learned from earlier boots (boot/expected.h). Empty: the boot is not
// judged, and the result says so.
Appraisal Appraise(const Request& request, const HostState& host, const ReferenceValues& references,
                   const Policy& policy, const std::vector<boot::ExpectedBoot>& boots = {});

}  // namespace assay::appraise
