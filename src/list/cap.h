// The cap: what is extended into the list's PCR where no attester was started in the initramfs, so that no
// list of a boot that was measured from its beginning matches the PCR of this boot.
//
//   // given: const Digest& before
//   const Bytes data = CapData();                                          // of an ima-buf record
//   const Digest after = ExtendPcr(before, CapExtend(HashAlg::kSha256));   // the PCR after it
//
// Contract: the cap is one record with always the same bytes, so that a list can explain a PCR that holds it.
// A program that needs no attester, no key and no configuration extends it, by TPM2_PCR_Event with CapData()
// (assay-cap, cap_process.c).
#pragma once

#include "base/digest.h"
#include "list/cap_text.h"

namespace assay::ima {

inline constexpr std::string_view kCapName = ASSAY_CAP_NAME;
inline constexpr std::uint32_t kCapPcr = ASSAY_CAP_PCR;
inline constexpr std::size_t kMaxCaps = 8;  // in a row: each failed start may add one

Bytes CapData();  // the record's template data
Digest CapExtend(HashAlg bank);

}  // namespace assay::ima
