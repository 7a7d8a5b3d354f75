#include "appraise/program_allowances.h"

#include <fmt/core.h>

#include <algorithm>

namespace assay::appraise {

bool ProgramAllowances::Take(const Digest& program, const std::string& kind) {
  const auto allowed = policy_.allowed_violations.find(program.ToString());
  if (allowed != policy_.allowed_violations.end() && allowed->second.contains(kind)) {
    ++by_policy_;
    return true;
  }
  if (!policy_.package_violations) return false;
  if (!references_.AllowedViolations(program).contains(kind)) return false;
  const std::vector<Origin> origins = references_.Find(program);
  const auto revoked = [](const Origin& o) { return o.standing == Standing::kRevoked; };
  if (origins.empty() || std::any_of(origins.begin(), origins.end(), revoked)) return false;
  ++counts_[{origins.front().package, kind}];
  return true;
}

std::string ProgramAllowances::ByPackages() const {
  std::string text;
  for (const auto& [what, count] : counts_)
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", what.first, count, what.second);
  return text;
}

}  // namespace assay::appraise
