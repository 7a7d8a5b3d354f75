// What an appraisal says: verdicts, and the findings that they follow from.
//
//   #include "appraise/finding_names.h"
//   Finding f;
//   f.name = FindingName::kEntryUnknown;
//   f.weight = Verdict::kNotTrusted;
//
// Contract: a finding's name has its weight and remedy in appraise/finding_names.h, and a row in
// docs/findings.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

#include "appraise/finding_names.h"
#include "base/result.h"
#include "evidence/evidence.h"

namespace assay::appraise {

std::optional<Verdict> VerdictFromName(std::string_view name);

// How far a verdict reaches: what was measured of all that could have run.
enum class Reach {
  kUnknown,
  kContainer,  // one container: others' records are withheld
  kNamespace,  // a mount namespace, not the machine
  kStart,      // the machine, since the attester's start
  kBoot,       // the machine since its boot, which was an expected one
};
std::string_view ReachName(Reach r);  // "unknown", "container", "namespace", "start", "boot"
std::optional<Reach> ReachFromName(std::string_view name);

struct Finding {
  FindingName name = FindingName::kInternalUnchecked;
  Verdict weight = Verdict::kNotTrusted;  // what it makes of the verdict (kTrusted: for information)
  std::string text;                       // a sentence
  std::optional<std::uint64_t> record;    // number in the list
  std::uint32_t sub = 0;                  // position within a group
  std::string path, digest;               // of the entry, if it is about one
  std::string code;                       // of byte code, as in JudgedEntry
  std::string cgroup;                     // that its record names
  std::optional<evidence::ContextEntry> context;
  std::string reason{};  // who loaded it, for people (reason.h); empty: unknown
  bool operator==(const Finding&) const = default;
};
// What makes it the same finding in two rounds; its sentence may differ.
inline auto Identity(const Finding& f) { return std::tie(f.name, f.record, f.sub, f.path, f.digest); }
struct ByIdentity {
  bool operator()(const Finding* a, const Finding* b) const { return Identity(*a) < Identity(*b); }
};

}  // namespace assay::appraise
