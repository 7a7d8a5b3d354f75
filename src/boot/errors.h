// The boot room's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::boot {

enum class BootError {
  kNotComparable,
  kUnexplained,
  kNotPredictable,
  kNotBootable,
  kNoBank,
  kAuthenticode,
  kUnifiedImage
};
inline constexpr ErrorRow kBootErrors[] = {
    {BootError::kNotComparable, "boot.not-comparable",
     "Learn both boots from the same bank of the same machine."},
    {BootError::kUnexplained, "boot.unexplained",
     "Give the file or text as it was when this log was written."},
    {BootError::kNotPredictable, "boot.not-predictable",
     "Boot once, and learn the boot from its log (`assay boot learn`)."},
    {BootError::kNotBootable, "boot.not-bootable",
     "Sign the new image with a key of the firmware's db, or add its key there."},
    {BootError::kNoBank, "boot.no-bank", "Name a bank that the log has (`assay boot show` lists them)."},
    {BootError::kAuthenticode, "authenticode.malformed",
     "Take the image from its source again; sign it anew."},
    {BootError::kUnifiedImage, "uki.unsupported",
     "Boot once, and learn the boot from its log (`assay boot learn`)."},
};
constexpr std::span<const ErrorRow> ErrorTable(BootError) { return kBootErrors; }

}  // namespace assay::boot
