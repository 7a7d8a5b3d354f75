// Inside this room: what Secure Boot makes of an image, as far as a boot's log tells.
//
//   ASSAY_ASSIGN(std::optional<std::string> open, VerifiedAlike(now, before, after));
//   if (open) LeavePcr7Open(*open);
//
// Contract: pure. nullopt: Secure Boot is off and measures no authority, or both images are verified by the
// same certificate, which is in the log (EV_EFI_VARIABLE_AUTHORITY): PCR 7 stays as it is. A text: why it
// can't be told. StateError "boot.not-bootable": Secure Boot is on, and no certificate of db or of the log
// verifies the new image, or dbx forbids it. Source: UEFI 2.10, section 32.5.3; TCG PC Client Platform
// Firmware Profile 1.06, section 3.3.4.8.
#pragma once

#include <optional>
#include <string>

#include "boot/examine.h"
#include "boot/pe.h"

namespace assay::boot {

Result<std::optional<std::string>> VerifiedAlike(const Examined& now, const PeImage& before,
                                                 const PeImage& after);

}  // namespace assay::boot
