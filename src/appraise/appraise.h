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
#include <string>
#include <vector>

#include "appraise/finding.h"
#include "appraise/host_state.h"
#include "appraise/policy.h"
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

struct Request {
  const evidence::Evidence& evidence;
  evidence::Binding binding;  // of this side's connection
  evidence::Nonce nonce;
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
