// The appraise room's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::appraise {

enum class TrustedError { kSignature, kNoKey };
inline constexpr ErrorRow kTrustedErrors[] = {
    {TrustedError::kSignature, "trusted.signature",
     "Use the list that the owner signed; if the owner's key is a new one, name it (`trusted_keys`, "
     "`--trusted-key`)."},
    {TrustedError::kNoKey, "trusted.no-key",
     "Name the owner's public key: `trusted_keys` of the policy, or `--trusted-key`."},
};
constexpr std::span<const ErrorRow> ErrorTable(TrustedError) { return kTrustedErrors; }

enum class RedactError { kAgain, kNotWhole, kNoContainer };
inline constexpr ErrorRow kRedactErrors[] = {
    {RedactError::kAgain, "redact.again", "Redact the round that the attester answered."},
    {RedactError::kNotWhole, "redact.not-whole",
     "Save a round with the whole list (`assay attest --full --save`)."},
    {RedactError::kNoContainer, "redact.no-container",
     "Correct the id, or measure with a template that has the control group (`cgpath`)."},
};
constexpr std::span<const ErrorRow> ErrorTable(RedactError) { return kRedactErrors; }

}  // namespace assay::appraise
