// What an appraisal says: verdicts, and the findings that they follow from.
//
//   Finding f;
//   f.name = "entry.unknown";
//   f.weight = Verdict::kNotTrusted;
//
// Contract: a finding's name is stable, and has a row in docs/findings.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "evidence/evidence.h"

namespace assay::appraise {

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
  bool operator==(const Finding&) const = default;
};

}  // namespace assay::appraise
