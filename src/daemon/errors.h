// assayd's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::daemon {

enum class EarlyError { kNoInitramfs, kNotStarted, kNoStop };
inline constexpr ErrorRow kEarlyErrors[] = {
    {EarlyError::kNoInitramfs, "early.no-initramfs",
     "Leave --early out: it is for the initramfs's own script."},
    {EarlyError::kNotStarted, "early.not-started", "Look at the console: the attester says why it ended."},
    {EarlyError::kNoStop, "early.no-stop",
     "Look at the attester's log; kill it if it must end (the list then has a gap)."},
};
constexpr std::span<const ErrorRow> ErrorTable(EarlyError) { return kEarlyErrors; }

enum class DaemonError { kStarting, kNoEngine };
inline constexpr ErrorRow kDaemonErrors[] = {
    {DaemonError::kStarting, "engine.starting", "Try again when `assay status` says that an engine runs."},
    {DaemonError::kNoEngine, "engine.none", "Configure an engine (engine/engine) and start assayd again."},
};
constexpr std::span<const ErrorRow> ErrorTable(DaemonError) { return kDaemonErrors; }

}  // namespace assay::daemon
