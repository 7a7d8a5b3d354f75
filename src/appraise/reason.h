// Internal: why a record is in the list, in a clause for people: which program loaded the file, what it runs,
// under whom.
//
//   // given: const evidence::ContextEntry& context, const ReferenceValues& references
//   // "read by /usr/bin/dash (dash 0.5.12-2), which runs /usr/sbin/update-ca-certificates (ca-certificates
//   // 20230311), under dpkg, apt-get; uid 0 in /user.slice/user-0.slice/session-1.scope"
//   log::Info("{}", ReasonText(context, references));
//
// Contract: docs/formats/result.md, "reason". All of it is the attester's word, and it changes no weight. A
// package is the one that the reference values have at this path. Empty where the context names no program.
// The text is not made printable.
#pragma once

#include <string>

#include "appraise/appraise.h"

namespace assay::appraise {

std::string ReasonText(const evidence::ContextEntry& context, const ReferenceValues& references);

}  // namespace assay::appraise
