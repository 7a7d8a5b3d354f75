// Unified kernel images (UKI): what systemd's stub in one measures of it.
//
//   ASSAY_ASSIGN(UnifiedKernel uki, ReadUnifiedKernel(image));
//   for (const PeSection* s : uki.sections) Extend(s->name, s->content);      // PCR 11, in this order
//
// Contract: docs/formats/uki.md. `sections` are those that a stub may measure, in the order in which every
// version does; which of them one does measure depends on its version and is not decided here. An image with
// two sections of one such name (profiles), or with one that the loader would fill up with zeros, is
// StateError "uki.unsupported". Source: UAPI.5 Unified Kernel Image 1.0; systemd 252 to 258,
// src/fundamental/uki.h (tpm-pcr.h before 254), src/boot/stub.c.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "boot/pe.h"

namespace assay::boot {

struct UnifiedKernel {
  std::vector<const PeSection*> sections;  // of the image, which outlives this
  std::string stub;                        // from .sdmagic: "systemd-stub 252.39-1~deb12u2"
  const PeSection* kernel = nullptr;       // never null
  const PeSection* initrd = nullptr;
  const PeSection* command_line = nullptr;
};

// Has it a .linux section?
bool IsUnifiedKernel(const PeImage& image);
Result<UnifiedKernel> ReadUnifiedKernel(const PeImage& image);

// Measured by every stub since 252 that has it; the others since some later version.
bool IsMeasuredSince252(std::string_view section);
// "252" of "systemd-stub 252.39-1"; empty: none.
std::string_view StubVersion(const UnifiedKernel& uki);

}  // namespace assay::boot
