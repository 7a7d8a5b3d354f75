// Internal: what an attester says it measures, judged: nothing of it may leave more unseen than the policy
// allows.
//
//   for (Fault& f : JudgeMeasuring(root_of_assay_policy, policy)) Report(f.name, ..., f.text);
//
// Contract: pure. The records' members: docs/formats/own-records.md. What is missing is an error; a member
// that is not known here is one as well, since it could open a window.
#pragma once

#include <string>
#include <vector>

#include "appraise/appraise.h"
#include "base/json.h"

namespace assay::appraise {

struct Fault {
  std::string name;  // of the finding
  std::string text;
};
// The `assay-policy` record.
Result<std::vector<Fault>> JudgeMeasuring(const JsonValue& record, const Policy& policy);
// `mounts` of it or of `assay-engine`: whether they are the whole scope.
Result<bool> IsWholeScope(const JsonValue& mounts);
// The `assay-manifest` record: why its content may not share a record; empty: it may.
Result<std::string> ManifestRefused(const JsonValue& record, const Policy& policy);

}  // namespace assay::appraise
