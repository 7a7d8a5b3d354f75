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

enum class HandoverError { kRefused, kSilent, kLate, kOtherProgram, kRestart, kNotNow };
inline constexpr ErrorRow kHandoverErrors[] = {
    {HandoverError::kRefused, "handover.refused",
     "Read the reason: the successor could not go on; the present attester goes on."},
    {HandoverError::kSilent, "handover.silent",
     "Look at the attester's log for what the successor did last; the present attester goes on."},
    {HandoverError::kLate, "handover.late",
     "Look at the TPM and at the load, then try again; the present attester goes on."},
    {HandoverError::kOtherProgram, "handover.other-program",
     "Try again when nothing writes to the program's file."},
    {HandoverError::kRestart, "handover.restart",
     "Take the setting back, or restart the attester (the list then has a gap)."},
    {HandoverError::kNotNow, "handover.not-now", "Try again when `assay status` says that all is well."},
};
constexpr std::span<const ErrorRow> ErrorTable(HandoverError) { return kHandoverErrors; }

enum class DaemonError { kStarting, kNoEngine, kTpmGone, kNeedsRestart, kLogDropped, kNotRoot };
inline constexpr ErrorRow kDaemonErrors[] = {
    {DaemonError::kStarting, "engine.starting", "Try again when `assay status` says that an engine runs."},
    {DaemonError::kNoEngine, "engine.none", "Configure an engine (engine/engine) and start assayd again."},
    {DaemonError::kTpmGone, "assayd.tpm-gone",
     "Read swtpm.log in run_dir/tpm, then start assayd again: a new list begins."},
    {DaemonError::kNeedsRestart, "assayd.needs-restart",
     "Restart assayd when a gap in the list can be explained, or take the change back."},
    {DaemonError::kLogDropped, "assayd.log-dropped",
     "Make room where log/file lies, or have its reader read faster."},
    {DaemonError::kNotRoot, "assayd.not-root", "Run it as root: sudo assayd, or systemctl start assayd."},
};
constexpr std::span<const ErrorRow> ErrorTable(DaemonError) { return kDaemonErrors; }

// What is wrong with a configuration; the message names file, line and member.
enum class ConfigError { kSyntax, kUnknownMember, kMissing, kValue, kConflict, kKeyFile, kNetworkUser };
inline constexpr ErrorRow kConfigErrors[] = {
    {ConfigError::kSyntax, "config.syntax", "Correct the JSON at the line that the message names."},
    {ConfigError::kUnknownMember, "config.unknown-member",
     "Correct the member's name: assayd.json(5) has them all."},
    {ConfigError::kMissing, "config.missing", "Add the member that the message names."},
    {ConfigError::kValue, "config.value", "Give the member a value of the form that the message names."},
    {ConfigError::kConflict, "config.conflict",
     "Change one of the two members: they can't both have effect."},
    {ConfigError::kKeyFile, "config.key-file", "Run the chmod that the message names."},
    {ConfigError::kNetworkUser, "config.network-user",
     "Remove the user _assay-net and have it made again: deluser _assay-net && systemd-sysusers"},
};
constexpr std::span<const ErrorRow> ErrorTable(ConfigError) { return kConfigErrors; }

}  // namespace assay::daemon
