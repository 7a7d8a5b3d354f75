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
#include <set>
#include <string>
#include <vector>

#include "appraise/finding.h"
#include "base/digest.h"

namespace assay::appraise {

inline constexpr std::size_t kMaxPolicy = 1 << 20;  // bytes of its JSON

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
  bool operator==(const Policy&) const = default;
};
Result<Policy> ParsePolicy(std::string_view json);  // docs/formats/policy.md
std::string EncodePolicy(const Policy& policy);

}  // namespace assay::appraise
