// The commands' errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::cli {

enum class CommandError { kUnknownFormat, kMixedColumns, kNoEngine, kNoList };
inline constexpr ErrorRow kCommandErrors[] = {
    {CommandError::kUnknownFormat, "log.unknown-format",
     "Give a list of IMA's: binary, ASCII, or a CEL log with records of IMA."},
    {CommandError::kMixedColumns, "log.mixed-columns",
     "Take the list from its source again: it is of one bank."},
    {CommandError::kNoEngine, "run.no-engine", "Configure an engine (engine/engine) and start assayd again."},
    {CommandError::kNoList, "log.no-list", "Start assayd (systemctl start assayd), be root, or name a file."},
};
constexpr std::span<const ErrorRow> ErrorTable(CommandError) { return kCommandErrors; }

enum class StatusError { kNotRunning, kNotAllowed };
inline constexpr ErrorRow kStatusErrors[] = {
    {StatusError::kNotRunning, "status.not-running",
     "If it does not stay: journalctl -u assayd -p warning, and assayd --check."},
    {StatusError::kNotAllowed, "status.not-allowed", "Run it as root."},
};
constexpr std::span<const ErrorRow> ErrorTable(StatusError) { return kStatusErrors; }

// What `assay doctor` finds besides the errors of the rooms that it asks.
enum class DoctorError { kAssayd, kRoot, kFuse, kTpm, kSwtpm, kKernelIma };
inline constexpr ErrorRow kDoctorErrors[] = {
    {DoctorError::kAssayd, "doctor.assayd", "Install assayd beside assay."},
    {DoctorError::kRoot, "doctor.root", "Run assay doctor as root."},
    {DoctorError::kFuse, "doctor.fuse", "Load the module: modprobe fuse."},
    {DoctorError::kTpm, "doctor.tpm",
     "Switch the TPM on in the firmware's setup; without one, tpm/tcti embedded takes a software "
     "TPM, whose word is only as good as the machine."},
    {DoctorError::kSwtpm, "doctor.swtpm", "Install it: apt install swtpm swtpm-tools libtss2-tcti-swtpm0."},
    {DoctorError::kKernelIma, "doctor.kernel-ima",
     "Let assayd take another PCR (record/pcr 11 to 15), or boot without ima_policy=."},
};
constexpr std::span<const ErrorRow> ErrorTable(DoctorError) { return kDoctorErrors; }

}  // namespace assay::cli
