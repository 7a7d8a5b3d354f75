// The recorder's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::measure {

enum class RecorderError {
  kDegraded,
  kLocked,
  kNoBank,
  kPcrInUse,
  kKernelIma,
  kPcrReset,
  kPcrForeign,
  kPcrUnexplained,
  kList
};
inline constexpr ErrorRow kRecorderErrors[] = {
    {RecorderError::kDegraded, "recorder.degraded",
     "The message has the first error; remove its cause, assayd tries again by itself."},
    {RecorderError::kLocked, "recorder.locked", "Stop the other assayd first."},
    {RecorderError::kNoBank, "recorder.no-bank",
     "Activate the SHA-256 (or SHA-384, SHA-512) bank in the firmware's setup."},
    {RecorderError::kPcrInUse, "recorder.pcr-in-use", "Take another PCR (record/pcr 11 to 15), or reboot."},
    {RecorderError::kKernelIma, "recorder.kernel-ima",
     "Take another PCR (record/pcr 11 to 15), boot without `ima_policy=`, or use the engine kernel-ima."},
    {RecorderError::kPcrReset, "recorder.pcr-reset", "Reboot: the TPM was reset under the running system."},
    {RecorderError::kPcrForeign, "recorder.pcr-foreign", "Find out what else used the TPM; reboot."},
    {RecorderError::kPcrUnexplained, "recorder.pcr-unexplained",
     "Find out what else used the TPM, or removed the list; reboot."},
    {RecorderError::kList, "recorder.list",
     "Suspect root on this machine: the list in /run was cut; reboot."},
};
constexpr std::span<const ErrorRow> ErrorTable(RecorderError) { return kRecorderErrors; }

}  // namespace assay::measure
