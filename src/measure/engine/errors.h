// Errors that all engines share. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::measure {

enum class EngineError { kStopped, kStalled, kUnrecorded };
inline constexpr ErrorRow kEngineErrors[] = {
    {EngineError::kStopped, "engine.stopped", "Start assayd."},
    {EngineError::kStalled, "engine.stalled",
     "docs/debugging.md, \"a hang\": find the file system or the lock that holds the workers."},
    {EngineError::kUnrecorded, "engine.unrecorded",
     "Nothing, if it passes; else look at the TPM and at the room in /run."},
};
constexpr std::span<const ErrorRow> ErrorTable(EngineError) { return kEngineErrors; }

}  // namespace assay::measure
