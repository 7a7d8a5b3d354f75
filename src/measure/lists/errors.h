// Errors of the kernel's own list. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::measure {

enum class KernelImaError {
  kColumn,
  kTooLarge,
  kTorn,
  kSilent,
  kBusy,
  kPcrUnexplained,
  kPcrReset,
  kTrimmed,
  kInUse
};
inline constexpr ErrorRow kKernelImaErrors[] = {
    {KernelImaError::kColumn, "kernel-ima.column",
     "Reboot; suspect the kernel: its list was altered in memory."},
    {KernelImaError::kTooLarge, "kernel-ima.too-large",
     "Reboot; give the kernel's IMA a policy that measures less."},
    {KernelImaError::kTorn, "kernel-ima.torn", "Report it: this kernel writes its list in an unknown way."},
    {KernelImaError::kSilent, "kernel-ima.silent", "Boot with an `ima_policy=`, or use another engine."},
    {KernelImaError::kBusy, "kernel-ima.busy", "Ask again."},
    {KernelImaError::kPcrUnexplained, "kernel-ima.pcr-unexplained",
     "Find out what else extends the PCR; reboot."},
    {KernelImaError::kPcrReset, "kernel-ima.pcr-reset",
     "Reboot: the TPM was reset under the running system."},
    {KernelImaError::kTrimmed, "kernel-ima.trimmed",
     "Reboot; let the program that deletes records from the kernel's list read /run/assay instead."},
    {KernelImaError::kInUse, "kernel-ima.in-use",
     "End the program that has the list open for writing, or wait for it; start assayd again."},
};
constexpr std::span<const ErrorRow> ErrorTable(KernelImaError) { return kKernelImaErrors; }

}  // namespace assay::measure
