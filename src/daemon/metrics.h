// The attester's status in the text format of Prometheus: /run/assay/metrics.
//
//   // given: const nlohmann::json& status
//   log::Info("{}", MetricsText(status));   // assay_up 1 ... assay_list_gaps 2
//
// Contract: docs/formats/metrics.md has every name; a name keeps its meaning. What the status lacks (an
// attester that starts, an engine without counters) has no line.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace assay::daemon {

std::string MetricsText(const nlohmann::json& status);

}  // namespace assay::daemon
