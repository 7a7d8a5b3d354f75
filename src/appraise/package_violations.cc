#include "appraise/package_violations.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay::appraise {

bool PackageViolations::Take(const Digest& program, const std::string& kind) {
  if (!references_.AllowedViolations(program).contains(kind)) return false;
  const std::vector<Origin> origins = references_.Find(program);
  const auto revoked = [](const Origin& o) { return o.standing == Standing::kRevoked; };
  if (origins.empty() || std::any_of(origins.begin(), origins.end(), revoked)) return false;
  ++counts_[{origins.front().package, kind}];
  return true;
}

std::string PackageViolations::Text() const {
  std::string text;
  for (const auto& [what, count] : counts_)
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", what.first, count, what.second);
  return text;
}

}  // namespace assay::appraise
