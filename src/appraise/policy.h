// The appraisal policy: what a verifier accepts of an attester.
//
//   ASSAY_ASSIGN(Policy policy, ParsePolicy(R"({"allow_software_tpm": true})"));
//
// Contract: docs/formats/policy.md. A member that is not given keeps its default. A policy that could not do
// what its author means (a digest with a slip in it, a PCR that anyone can reset) is a UsageError that says
// so.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "appraise/finding.h"
#include "base/crypto.h"
#include "base/digest.h"

namespace assay::appraise {

inline constexpr std::size_t kMaxPolicy = 1 << 20;  // bytes of its JSON

struct Policy {
  std::uint32_t pcr = 10;
  // One of these banks must be quoted; SHA-1 alone never suffices.
  std::vector<HashAlg> quote_banks{HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512};
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
  // Paths of interpreters that must be started with their hook (engine/instrumented of the attester).
  std::set<std::string> instrumented;
  std::set<std::string> allowed;             // "sha256:..." of local content that is good
  std::vector<std::string> allowed_cgroups;  // globs; entries whose record names such a group are not judged
  bool require_secure_boot = false;          // proven by the event log
  bool allow_missing_exit = false;           // an event log may lack the two events of ExitBootServices
  bool require_early_start = false;          // the attester was started in the initramfs
  Reach require_reach = Reach::kUnknown;     // the least reach that a verdict must have
  std::map<std::string, std::set<std::string>> allowed_violations;  // a program's digest -> kinds
  bool package_violations = true;  // the reference values, too, say which violations a program may cause
  bool vulnerable_fails = true;
  bool buffers_fail = false;         // unknown content without a file (`sh -c`, a pipe) is not trusted
  bool configuration_fails = false;  // configuration of which nothing is known is not trusted
  // How long superseded content is only noted; none: always.
  std::optional<std::uint32_t> outdated_fails_after_days;
  std::vector<std::string> trusted_keys;  // keys that may sign the owner's trusted list, as manifest_keys
  bool operator==(const Policy&) const = default;
};
Result<Policy> ParsePolicy(std::string_view json);  // docs/formats/policy.md
std::string EncodePolicy(const Policy& policy);
// The keys of a member that holds keys ("trusted_keys"). A key that can't be read would never have signed
// anything, so it is an error.
Result<std::vector<PublicKey>> PolicyKeys(std::string_view member, const std::vector<std::string>& texts);

}  // namespace assay::appraise
