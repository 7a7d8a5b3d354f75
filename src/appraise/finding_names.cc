#include "appraise/finding_names.h"

namespace assay::appraise {

std::optional<FindingName> FindingFromName(std::string_view name) {
  for (const FindingRow& row : kFindings)
    if (row.name == name) return row.finding;
  return std::nullopt;
}

std::optional<FindingName> FindingOf(const Error& error) {
  for (const FindingRow& row : kFindings)
    if (row.error && row.error == error.id()) return row.finding;
  return std::nullopt;
}

}  // namespace assay::appraise
