// Internal: the rating of a CVSS vector.
//
//   // given: std::string_view vector
//   const std::string_view rating = CvssRating(vector);   // "CVSS:3.1/AV:N/..." is "critical"
//
// Contract: vectors of CVSS 3.0 and 3.1 by their base metrics; others have no rating (empty). Source: CVSS
// v3.1 Specification, sections 5 and 7.1.
#pragma once

#include <string_view>

namespace assay::reference {

std::string_view CvssRating(std::string_view vector);  // "critical", "high", "medium", "low", "none", ""

}  // namespace assay::reference
