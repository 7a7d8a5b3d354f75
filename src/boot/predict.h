// What the next boot will measure, calculated from the event log of this one and the files that an update
// replaces: each old file must explain events of the log, whose digests are then calculated from the new one.
//
//   Prediction change;
//   change.files.push_back({"/boot/efi/EFI/Linux/a.efi", "/boot/efi/EFI/Linux/b.efi", old_bytes, new_bytes});
//   ASSAY_ASSIGN(ExpectedBoot next, Predict(Examine(log, bank), change));     // as Learn() would find it
//   then
//
// Contract: pure. Of a file are known: its bytes' hash (PCR 9, GRUB), a PE image's Authenticode hash (PCR 4,
// and 7: who verifies it), and of a unified kernel image also its sections (PCR 11), its kernel's
// Authenticode hash (4), command line and initrd (9). All other events are taken to stay as they are:
// firmware, its settings and disks are the same at the next boot. A register of which something follows from
// neither is in `open`, with the reason. StateError "boot.unexplained": an old file or text explains nothing
// in the log; "boot.not-bootable": Secure Boot is on and would refuse the new file; "boot.not-predictable":
// the pair is of two kinds. The log is the attester's word: predict from one whose replay matched a quote.
// Source: TCG PC Client Platform Firmware Profile 1.06, section 3.3.4; systemd 252 src/boot/efi/stub.c;
// Linux 6.12 drivers/firmware/efi/libstub/efi-stub-helper.c; GRUB 2.06 grub-core/commands/tpm.c.
#pragma once

#include <string>
#include <vector>

#include "boot/expected.h"

namespace assay::boot {

struct FileReplacement {
  std::string old_name, new_name;  // for people
  ByteView old_file, new_file;
};
// In texts that the log holds and proves: GRUB's commands and command lines, those of systemd-boot.
struct TextReplacement {
  std::string from, to;  // ASCII
};
struct Prediction {
  std::vector<FileReplacement> files;
  std::vector<TextReplacement> texts;
};
Result<ExpectedBoot> Predict(const Examined& now, const Prediction& change);

}  // namespace assay::boot
