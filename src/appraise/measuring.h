// Internal: judges what an attester says that it measures. It must not leave more unmeasured than the policy
// allows.
//
//   // given: const JsonValue& policy_record, const Policy& policy
//   ASSAY_ASSIGN(std::vector<Fault> faults, JudgeMeasuring(policy_record, policy));
//   for (const Fault& fault : faults) log::Info("{}: {}", NameText(fault.name), fault.text);
//
// Contract: pure. The records' members: docs/formats/own-records.md. A missing member is an error. An unknown
// member is an error too, since it could exclude something from measuring.
#pragma once

#include <string>
#include <vector>

#include "appraise/appraise.h"
#include "base/json.h"
#include "list/list.h"

namespace assay::appraise {

struct Fault {
  FindingName name;
  std::string text;
};
// The `assay-policy` record.
Result<std::vector<Fault>> JudgeMeasuring(const JsonValue& record, const Policy& policy);
// The digest that this record would have if the attester were not guarded. A record that differs from the
// former one only in its guard takes nothing from what is measured. Empty if it is not guarded.
std::string DigestUnguarded(const ima::Entry& record);
// Whether the member `mounts` of this record or of `assay-engine` covers the whole scope.
Result<bool> IsWholeScope(const JsonValue& mounts);
// Why the content of an `assay-manifest` record may not share a record; empty: it may.
Result<std::string> ManifestRefused(const JsonValue& record, const Policy& policy);

}  // namespace assay::appraise
