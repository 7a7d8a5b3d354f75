// Inside this room: how Secure Boot verifies an image, as far as a boot's log tells it.
//
//   // given: const Examined& now, const PeImage& before, const PeImage& after
//   ASSAY_ASSIGN(const std::optional<std::string> open, VerifiedAlike(now, before, after));
//   if (open) log::Info("PCR 7 can't be predicted: {}", *open);
//
// Contract: pure. nullopt means that PCR 7 stays as it is: Secure Boot is off and measures no authority, or
// both images are verified by the same certificate, which is in the log (EV_EFI_VARIABLE_AUTHORITY). A text
// says why PCR 7 can't be predicted. StateError "boot.not-bootable": Secure Boot is on, and no certificate of
// db or of the log verifies the new image, or dbx forbids it. Source: UEFI 2.10, section 32.5.3; TCG PC
// Client Platform Firmware Profile 1.06, section 3.3.4.8.
#pragma once

#include <optional>
#include <string>

#include "boot/examine.h"
#include "boot/pe.h"

namespace assay::boot {

Result<std::optional<std::string>> VerifiedAlike(const Examined& now, const PeImage& before,
                                                 const PeImage& after);

}  // namespace assay::boot
