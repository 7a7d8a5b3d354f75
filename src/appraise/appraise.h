// Appraisal: a pure function from evidence, the state of the host, reference values, expected boots and a
// policy to an attestation result.
//
//   // given: const Request& request, HostState& host, const ReferenceValues& references,
//   // given: const Policy& policy
//   const Appraisal appraisal = Appraise(request, host, references, policy);
//   for (const Finding& f : appraisal.findings) log::Info("{}: {}", NameText(f.name), f.text);
//   host = appraisal.host;   // to keep for the next round, whatever the verdict is
//
// Contract: no I/O and no clock. Appraisal goes on after a finding, and ends early only if the evidence is
// not signed by the AK. Each finding has a stable dotted name (docs/findings.md). The verdict is that of the
// worst finding; 'trusted' requires that every check was made and passed. Bytes are used only after the
// signature that covers them was verified.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "appraise/finding.h"
#include "appraise/host_state.h"
#include "appraise/policy.h"
#include "appraise/trusted.h"
#include "base/digest.h"
#include "boot/expected.h"
#include "evidence/container.h"
#include "evidence/evidence.h"
#include "tpm/attest_data.h"

namespace assay::appraise {

// Reference values; the reference room's Index implements them.
inline constexpr HashAlg kReferenceAlg = HashAlg::kSha256;  // of their digests, each of a file's content
enum class Standing { kGood, kVulnerable, kRevoked, kSuperseded };
std::string_view StandingName(Standing s);  // "good", "vulnerable", "revoked", "superseded"
// What is known to be wrong with a version of a package.
struct Advisory {
  std::string id;        // "CVE-2024-5535"
  std::string record;    // that says so, if it has a name of its own: "DSA-5764-1"
  std::string severity;  // "critical", "high", "medium", "low"; empty: not known
  std::string fixed;     // the version that is fixed; empty: there is none yet
  auto operator<=>(const Advisory&) const = default;
};
// "CVE-2024-5535 (high), fixed in 3.0.14-1; CVE-2024-1234, not fixed yet; and 5 more". all: how many there
// are.
std::string AdvisoriesText(const std::vector<Advisory>& worst, std::size_t all);
inline constexpr std::size_t kOriginAdvisories = 8;  // that an origin names
struct Origin {
  Standing standing = Standing::kGood;
  std::string package, version, architecture, path;  // path as packaged: "/usr/bin/ls"
  std::string note;                                  // advisory or reason, may be empty
  std::uint64_t since_ms = 0;                        // when it was superseded, since the epoch; 0: it was not
  std::vector<Advisory> advisories{};                // the worst come first
  std::size_t advisory_count = 0;                    // all that are known, named or not
  bool has_older = false;                            // an older version of the package is known
};
inline constexpr std::string_view kDenied =
    "(denied)";  // Origin::package of digests on a deny list; version: who
inline constexpr std::string_view kOwner = "owner";  // Origin::package of what the owner trusts
// A packaged path as a list names it: merged /usr ("/bin/ls" is "/usr/bin/ls"), ' ' as '_'.
std::string NormalisePath(std::string_view path);
class ReferenceValues;
// The reference values of the image that some containers were made from.
struct ImageReference {
  evidence::ContainerPattern who;
  std::string name;  // for people: of its file
  const ReferenceValues* values = nullptr;
};
class ReferenceValues {
 public:
  virtual ~ReferenceValues() = default;
  virtual std::vector<Origin> Find(const Digest& digest) const = 0;  // every package that holds this content
  // The package file at this path, if there is one, of a version that is not superseded.
  virtual std::optional<Origin> FindPath(const std::string& path) const = 0;
  // Whether a version of the package is known to be older than another. False: it is not, or one is unknown.
  virtual bool IsOlder(const std::string& package, const std::string& version,
                       const std::string& than) const {
    (void)package, (void)version, (void)than;
    return false;
  }
  // Equal for the same reference values, and different for others.
  virtual std::string Fingerprint() const = 0;
  // The kinds of violations ("writable_code") that the program with this content is made to cause.
  virtual std::set<std::string> AllowedViolations(const Digest& program) const {
    (void)program;
    return {};
  }
  // They judge the files of their containers before all else.
  virtual const std::vector<ImageReference>& Images() const {
    static const std::vector<ImageReference> kNone;
    return kNone;
  }
};

enum class EntryState { kTrusted, kOutdated, kVulnerable, kRevoked, kChanged, kUnknown, kViolation, kOwn };
std::string_view EntryStateName(EntryState s);  // "trusted", ..., "own": the attester's own records
struct JudgedEntry {
  std::uint64_t record = 0;
  std::uint32_t sub = 0;
  EntryState state = EntryState::kUnknown;
  std::string path, digest;  // "sha256:..."
  std::string code;          // of byte code, as the record beside says (docs/formats/own-records.md)
  std::string cgroup;        // in the record (template d-ng|n-ng|cgpath): proven by the PCR
  std::optional<Origin> origin;
  std::optional<evidence::ContextEntry> context;
};

// Of evidence in which the records of others are withheld (appraise/redaction.h).
struct Redaction {
  evidence::ContainerPattern container;  // whose records are shown
  Digest context;                        // SHA-256 of the context, which is withheld
  bool operator==(const Redaction&) const = default;
};

struct Request {
  const evidence::Evidence& evidence;
  evidence::Binding binding;  // of this side's connection
  evidence::Nonce nonce;
  tpm::PcrSelection selection;     // requested; the quote must have exactly this selection
  std::uint64_t first_record = 0;  // requested
  std::uint64_t now_ms = 0;        // when it was asked, since the epoch: what expires is judged by it
  std::optional<Redaction> redaction{};
  bool entries = true;  // keep all judged entries; else only those of known packages that have findings
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
// judged, and the result says so. trusted: what the owner knows to be good.
Appraisal Appraise(const Request& request, const HostState& host, const ReferenceValues& references,
                   const Policy& policy, const std::vector<boot::ExpectedBoot>& boots = {},
                   const TrustedList& trusted = {});

}  // namespace assay::appraise
