// Unified kernel images (UKI): the sections that systemd's stub measures.
//
//   // given: const PeImage& image
//   ASSAY_ASSIGN(UnifiedKernel uki, ReadUnifiedKernel(image));
//   for (const PeSection* s : uki.sections) log::Info("PCR 11: {}", s->name);   // in the order of measuring
//
// Contract: docs/formats/uki.md. `sections` are those that a stub may measure, in the order of measuring,
// which is the same in every version. Which of them a stub measures depends on its version and is not decided
// here. An image with two such sections of the same name (profiles), or with one that the loader extends with
// zeros, is StateError "uki.unsupported". Source: UAPI.5 Unified Kernel Image 1.0; systemd 252 to 258,
// src/fundamental/uki.h (tpm-pcr.h before 254), src/boot/stub.c.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "boot/pe.h"

namespace assay::boot {

struct UnifiedKernel {
  std::vector<const PeSection*> sections;  // point into the image, which must outlive this
  std::string stub;                        // from .sdmagic: "systemd-stub 252.39-1~deb12u2"
  const PeSection* kernel = nullptr;       // never null
  const PeSection* initrd = nullptr;
  const PeSection* command_line = nullptr;
};

// Whether it has a .linux section.
bool IsUnifiedKernel(const PeImage& image);
Result<UnifiedKernel> ReadUnifiedKernel(const PeImage& image);

// Whether every stub since version 252 measures the section. The others are measured since some later
// version.
bool IsMeasuredSince252(std::string_view section);
// "252" of "systemd-stub 252.39-1"; empty if the image names no version.
std::string_view StubVersion(const UnifiedKernel& uki);

}  // namespace assay::boot
