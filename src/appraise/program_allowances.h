// Internal: what the owner's policy or the reference values allow to single programs (kinds of violations,
// and loading BPF programs of their own), and how often the programs did it.
//
//   // given: const Policy& policy, const ReferenceValues& references, const Digest& program
//   ProgramAllowances allowed(policy, references);
//   if (!allowed.Take(program, "anonymous_code")) log::Info("{} may not", program.ToString());
//   log::Info("{} by the policy, {}", allowed.by_policy(), allowed.ByPackages());  // "nodejs 3 mprotect"
//
// Contract: the program's digest decides, not its path. The policy's word comes first. Content that is
// revoked is allowed nothing by the reference values.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "appraise/appraise.h"

namespace assay::appraise {

class ProgramAllowances {
 public:
  ProgramAllowances(const Policy& policy, const ReferenceValues& references)
      : policy_(policy), references_(references) {}
  // Whether it is allowed; then it is counted.
  bool Take(const Digest& program, const std::string& kind);
  std::uint64_t by_policy() const { return by_policy_; }
  std::string ByPackages() const;  // empty: none was allowed

 private:
  const Policy& policy_;
  const ReferenceValues& references_;
  std::uint64_t by_policy_ = 0;
  std::map<std::pair<std::string, std::string>, std::uint64_t> counts_;  // by package and kind
};

}  // namespace assay::appraise
