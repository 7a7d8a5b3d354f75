// TPM2_MakeCredential without a TPM: it encrypts a secret that only the TPM with this EK can decrypt, and
// only while a key with this name is loaded in it.
//
//   // given: const KeyPublic& ek, const KeyPublic& ak
//   ASSAY_ASSIGN(Bytes secret, RandomBytes(kCredentialSecret));
//   ASSAY_ASSIGN(Credential credential, MakeCredential(ek, ak.name, secret)); // for Tpm::ActivateCredential
//
// Contract: TPM 2.0 Library, part 1, rev. 1.59, clause 24 (credential protection), annexes B.10.4 (RSA) and
// C.6.4 (ECC); encodings are big-endian. The EK must have the default template (CheckEkTemplate), else
// StateError "ek.template". Each call draws a new seed or ephemeral key.
#pragma once

#include "tpm/attest_data.h"

namespace assay::tpm {

inline constexpr std::size_t kCredentialSecret = 32;     // bytes: no EK's name algorithm is shorter
inline constexpr std::size_t kMaxCredential = 128;       // bytes of a credential, for parsers
inline constexpr std::size_t kMaxEncryptedSecret = 384;  // RSA 3072

struct Credential {
  Bytes blob;    // TPMS_ID_OBJECT: TPM2B_ID_OBJECT without its size
  Bytes secret;  // TPM2B_ENCRYPTED_SECRET without its size: RSA ciphertext, or a TPMS_ECC_POINT
};
// secret: 1 to kCredentialSecret bytes. name: nameAlg || digest, as KeyPublic::name.
Result<Credential> MakeCredential(const KeyPublic& ek, ByteView name, ByteView secret);

}  // namespace assay::tpm
