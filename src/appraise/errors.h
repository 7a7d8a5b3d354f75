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

}  // namespace assay::appraise
