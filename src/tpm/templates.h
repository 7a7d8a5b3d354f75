// Internal: the templates of the keys, and the AK's policy. docs/formats/tpm.md.
//
//   const TPM2B_PUBLIC ak = AkTemplate(AkKind::kEccP256);   // for Tpm::Impl::Primary()
//   const AkPolicy policy = MakeAkPolicy();                 // its authPolicy is policy.whole
//
// Contract: the same template gives the same key for as long as the endorsement seed stays.
#pragma once

#include <array>
#include <cstring>

#include "tpm/esys.h"
#include "tpm/tpm.h"

namespace assay::tpm {

// Fills a TPM2B_*. The caller makes sure that the bytes fit: they have a fixed size or were checked before.
template <typename T>
void Fill(T& sized, ByteView bytes) {
  sized.size = static_cast<UINT16>(bytes.size());
  std::memcpy(sized.buffer, bytes.data(), bytes.size());
}

struct AkPolicy {
  std::array<Digest, 2> branches;  // TPM2_Quote, TPM2_ActivateCredential
  Digest whole;
};
AkPolicy MakeAkPolicy();

// TCG EK Credential Profile 2.5, appendix B.3.3 (L-1: RSA 2048) and B.3.4 (L-2: ECC NIST P-256).
TPM2B_PUBLIC EkTemplate(EkKind kind);
TPM2B_PUBLIC AkTemplate(AkKind kind);
TPM2B_PUBLIC RunKeyTemplate();  // without the random numbers that make each key unique

}  // namespace assay::tpm
