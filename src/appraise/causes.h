// The findings of an appraisal in groups of one cause each, and what became of the last round's findings.
//
//   // given: const Appraisal& appraisal, const HostState& before
//   for (const Cause& c : CausesOf(appraisal.entries, AllOf(appraisal.findings)))
//     log::Info("{}: {} findings", CauseText(c), c.findings.size());
//   const std::optional<Changes> changes = ChangesSince(before, appraisal);
//
// Contract: docs/formats/result.md, "Causes". Pure. The pointers are into the given findings. The order of
// the list tells which finding is newer, because a machine's clock can be set.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "appraise/appraise.h"

namespace assay::appraise {

enum class CauseKind {
  kPackage,   // of the reference values
  kFolder,    // of the files
  kProgram,   // that loaded the files
  kBoot,      // the boot's parts, as a kernel update changes them together
  kList,      // the measurement list
  kAttester,  // assayd, its engine and its run
  kTpm,       // its keys, its clock, the quote
  kPolicy     // the verifier's
};
std::string_view CauseKindName(CauseKind k);  // "package", "folder", ...

struct Cause {
  CauseKind kind = CauseKind::kTpm;
  std::string name;                      // "coreutils 9.1-1", "/tmp/x", "tar"; empty for the other kinds
  Verdict weight = Verdict::kTrusted;    // of the worst finding
  std::vector<const Finding*> findings;  // those with the greatest weight first, of one weight the newest
  std::vector<Advisory> advisories{};    // that are known of the package's version, the worst first
};
std::string CauseText(const Cause& cause);  // "package coreutils 9.1-1", "the boot: another kernel"
// What to do, a line each: by the remedies of the findings' names, the worst first. Empty for "Nothing.".
std::vector<std::string> NextSteps(const Cause& cause);

// Who loaded the files, and how many of the findings each reason has; the most frequent first.
std::vector<std::pair<std::string, std::size_t>> ReasonsOf(const Cause& cause);

std::vector<const Finding*> AllOf(const std::vector<Finding>& findings);
// The worst causes come first, and of one weight the newest. Notes (weight 'trusted') are in causes of their
// own. entries: tell the packages.
std::vector<Cause> CausesOf(const std::vector<JudgedEntry>& entries,
                            const std::vector<const Finding*>& findings);

// Only findings about a record of the list are compared: the others are made anew in each round.
struct Changes {
  std::set<const Finding*> fresh;  // of this round's findings
  std::size_t standing = 0;        // known from an earlier round
  std::vector<Finding> gone;
};
// nullopt: there was no earlier round, or this one proved nothing.
std::optional<Changes> ChangesSince(const HostState& before, const Appraisal& appraisal);

}  // namespace assay::appraise
