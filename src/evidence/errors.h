// The evidence room's errors: enrolment, and what an attester refuses. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::evidence {

enum class EnrolError { kNotProven };
inline constexpr ErrorRow kEnrolErrors[] = {
    {EnrolError::kNotProven, "ek.not-proven", "Suspect the attester, or what stands between."},
};
constexpr std::span<const ErrorRow> ErrorTable(EnrolError) { return kEnrolErrors; }

// The names in a refusal (docs/formats/challenge.md); the error that a verifier gets is "attest.refused".
enum class RefusalCode { kForbidden, kDegraded, kBadRequest, kWrongCredential, kTooLarge, kBusy, kInternal };
inline constexpr ErrorRow kRefusalCodes[] = {
    {RefusalCode::kForbidden, "forbidden",
     "Have the machine's owner allow this verifier's certificate (serve/allow)."},
    {RefusalCode::kDegraded, "degraded", "Look at `assay status` on that machine: its list does not go on."},
    {RefusalCode::kBadRequest, "bad-request",
     "Ask for banks and records that the machine has; compare versions."},
    {RefusalCode::kWrongCredential, "wrong-credential",
     "The TPM does not hold the keys that it shows: suspect the attester."},
    {RefusalCode::kTooLarge, "too-large",
     "Ask from a later record; reboot the machine if its list is that long."},
    {RefusalCode::kBusy, "busy", "Ask again later."},
    {RefusalCode::kInternal, "internal", "Read the attester's log on that machine."},
};
constexpr std::span<const ErrorRow> ErrorTable(RefusalCode) { return kRefusalCodes; }

}  // namespace assay::evidence
