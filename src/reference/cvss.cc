#include "reference/cvss.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace assay::reference {
namespace {

struct Weight {
  char value;
  double weight;
};
constexpr double kNone = -1;

double Of(std::string_view value, std::initializer_list<Weight> weights) {
  const auto* const found = std::find_if(weights.begin(), weights.end(), [&](const Weight& w) {
    return value.size() == 1 && value[0] == w.value;
  });
  return found == weights.end() ? kNone : found->weight;
}

}  // namespace

std::string_view CvssRating(std::string_view vector) {
  if (!vector.starts_with("CVSS:3.0/") && !vector.starts_with("CVSS:3.1/")) return "";
  std::map<std::string_view, std::string_view> metrics;
  for (std::size_t at = vector.find('/') + 1; at < vector.size();) {
    const std::size_t end = std::min(vector.find('/', at), vector.size());
    const std::string_view metric = vector.substr(at, end - at);
    const std::size_t colon = std::min(metric.find(':'), metric.size());
    metrics[metric.substr(0, colon)] = metric.substr(std::min(colon + 1, metric.size()));
    at = end + 1;
  }
  const bool changed = metrics["S"] == "C";
  if (!changed && metrics["S"] != "U") return "";
  const double av = Of(metrics["AV"], {{'N', 0.85}, {'A', 0.62}, {'L', 0.55}, {'P', 0.2}});
  const double ac = Of(metrics["AC"], {{'L', 0.77}, {'H', 0.44}});
  const double pr =
      Of(metrics["PR"], {{'N', 0.85}, {'L', changed ? 0.68 : 0.62}, {'H', changed ? 0.5 : 0.27}});
  const double ui = Of(metrics["UI"], {{'N', 0.85}, {'R', 0.62}});
  double kept = 1;  // of confidentiality, integrity and availability
  bool whole = av != kNone && ac != kNone && pr != kNone && ui != kNone;
  for (const std::string_view metric : {"C", "I", "A"}) {
    const double loss = Of(metrics[metric], {{'H', 0.56}, {'L', 0.22}, {'N', 0}});
    whole = whole && loss != kNone;
    kept *= 1 - loss;
  }
  if (!whole) return "";
  const double iss = 1 - kept;
  const double impact = changed ? 7.52 * (iss - 0.029) - 3.25 * std::pow(iss - 0.02, 15) : 6.42 * iss;
  if (impact <= 0) return "none";
  const double both = (changed ? 1.08 : 1.0) * (impact + 8.22 * av * ac * pr * ui);
  // The next tenth that is not smaller; the small part of a tenth takes off what doubles add.
  const double score = std::ceil(std::min(both, 10.0) * 10 - 1e-6) / 10;
  return score >= 9 ? "critical" : score >= 7 ? "high" : score >= 4 ? "medium" : "low";
}

}  // namespace assay::reference
