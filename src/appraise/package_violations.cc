#include "appraise/package_violations.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay::appraise {

bool PackageViolations::Take(const measure::ViolationRecord& by) {
  if (!references_.AllowedViolations(by.program).contains(by.violation)) return false;
  const std::vector<Origin> origins = references_.Find(by.program);
  const auto revoked = [](const Origin& o) { return o.standing == Standing::kRevoked; };
  if (origins.empty() || std::any_of(origins.begin(), origins.end(), revoked)) return false;
  ++counts_[{origins.front().package, by.violation}];
  return true;
}

std::string PackageViolations::Text() const {
  std::string text;
  for (const auto& [what, count] : counts_)
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", what.first, count, what.second);
  return text;
}

}  // namespace assay::appraise
