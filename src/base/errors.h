// The base room's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay {

enum class IoError { kTooLarge, kEof };
inline constexpr ErrorRow kIoErrors[] = {
    {IoError::kTooLarge, "io.too-large", "Find out what made the input so large; its bound is fixed."},
    {IoError::kEof, "io.eof", "Try again; if it stays, the file or the connection was cut."},
};
constexpr std::span<const ErrorRow> ErrorTable(IoError) { return kIoErrors; }

enum class CryptoError { kBadSignature, kWrongKey };
inline constexpr ErrorRow kCryptoErrors[] = {
    {CryptoError::kBadSignature, "crypto.bad-signature",
     "Compare the key with that of the signer; else what is signed was altered."},
    {CryptoError::kWrongKey, "crypto.wrong-key", "Use a key of the kind that the message names."},
};
constexpr std::span<const ErrorRow> ErrorTable(CryptoError) { return kCryptoErrors; }

}  // namespace assay
