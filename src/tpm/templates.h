// Internal: the templates of the keys, and the AK's policy. docs/formats/tpm.md.
//
//   const TPM2B_PUBLIC ak = AkTemplate(AkKind::kEccP256);   // for Tpm::Impl::Primary()
//   const AkPolicy policy = MakeAkPolicy();                 // its authPolicy is policy.whole
//
// Contract: the same template gives the same key for as long as the endorsement seed stays.
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "tpm/esys.h"
#include "tpm/tpm.h"

namespace assay::tpm {

// Fills a TPM2B_*. The caller makes sure that the bytes fit: they have a fixed size or were checked before.
template <typename T>
void Fill(T& sized, ByteView bytes) {
  sized.size = static_cast<UINT16>(bytes.size());
  std::ranges::copy(bytes, sized.buffer);  // memcpy() takes no null pointer, which an empty view may have
}

struct AkPolicy {
  std::array<Digest, 2> branches;  // TPM2_Quote, TPM2_ActivateCredential
  Digest whole;
};
AkPolicy MakeAkPolicy();

// An EK of the high range may be used with its own, empty authorisation, one of the low range by policy only.
bool IsHighRange(EkKind kind);
// TCG EK Credential Profile 2.5, appendices B.3 (low range: L-1, L-2) and B.4 (high range).
TPM2B_PUBLIC EkTemplate(EkKind kind);
TPM2B_PUBLIC AkTemplate(AkKind kind);
// TCG TPM 2.0 Keys for Device Identity and Attestation 1.00, section 7.3.4: H-1 (RSA 2048), H-2 (P-256) and
// H-3 (P-384); nullopt for other keys.
std::optional<TPM2B_PUBLIC> DeviceTemplate(DeviceKey which, KeyPublic::Kind kind);
TPM2B_PUBLIC RunKeyTemplate();  // without the random numbers that make each key unique

}  // namespace assay::tpm
