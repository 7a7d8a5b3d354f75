// Internal: the templates of the keys, and the AK's policy. docs/formats/tpm.md.
//
//   ASSAY_ASSIGN(ESYS_TR handle, Primary(AkTemplate(AkKind::kEccP256), pub));
//
// Contract: the same template gives the same key for as long as the endorsement seed stays.
#pragma once

#include <array>
#include <cstring>

#include "tpm/esys.h"
#include "tpm/tpm.h"

namespace assay::tpm {

// A TPM2B_*, filled. bytes fit: the callers' are of fixed size or checked before.
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
TPM2B_PUBLIC RunKeyTemplate();  // without what makes each one another

}  // namespace assay::tpm
