// Predicts the measurements of the next boot from the event log of this one and the files that an update
// replaces. Each old file must explain events of the log; the digests of these events are then calculated
// from the new file.
//
//   // given: const Examined& now, ByteView old_bytes, ByteView new_bytes
//   Prediction change;
//   change.files.push_back({"/boot/efi/EFI/Linux/a.efi", "/boot/efi/EFI/Linux/b.efi", old_bytes, new_bytes});
//   ASSAY_ASSIGN(ExpectedBoot next, Predict(now, change));   // as Learn() will find it after that boot
//
// Contract: pure. A file explains events by the hash of its bytes (PCR 9, GRUB); a PE image by its
// Authenticode hash (PCR 4) and by the certificate that verifies it (PCR 7); a unified kernel image also by
// its sections (PCR 11), the Authenticode hash of its kernel (PCR 4), its command line and its initrd (PCR
// 9). All other events are assumed to stay: firmware, its settings and the disks are the same at the next
// boot. A register with an event that can't be predicted so is in `open`, with the reason. StateError
// "boot.unexplained": an old file or text explains no event of the log. "boot.not-bootable": Secure Boot is
// on and would refuse the new file. "boot.not-predictable": old and new file are of different kinds. The log
// is the attester's claim: predict only from a log whose replay matched a quote. Source: TCG PC Client
// Platform Firmware Profile 1.06, section 3.3.4; systemd 252 src/boot/efi/stub.c; Linux 6.12
// drivers/firmware/efi/libstub/efi-stub-helper.c; GRUB 2.06 grub-core/commands/tpm.c.
#pragma once

#include <string>
#include <vector>

#include "boot/expected.h"

namespace assay::boot {

struct FileReplacement {
  std::string old_name, new_name;  // for people
  ByteView old_file, new_file;
};
// A replacement inside texts that the log holds and proves: commands and command lines of GRUB and
// systemd-boot.
struct TextReplacement {
  std::string from, to;  // ASCII
};
struct Prediction {
  std::vector<FileReplacement> files;
  std::vector<TextReplacement> texts;
};
Result<ExpectedBoot> Predict(const Examined& now, const Prediction& change);

}  // namespace assay::boot
