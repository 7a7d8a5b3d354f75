// Enrolment: who an attester's TPM is, and the proof that its AK lives beside its EK.
//
//   ASSAY_ASSIGN(Asked asked, AskToActivate(identity));                  // the verifier: a credential for
//   these keys ASSAY_ASSIGN(Bytes proof, collector->Activate(asked.message, binding));   // the attester:
//   opened by its TPM ASSAY_TRY(CheckProof(asked, binding, proof));                        // StateError
//   "ek.not-proven"
//
// Contract: docs/formats/challenge.md, "Enrolment". The names are computed here, from the public areas. What
// the TPM opened never travels: the proof is an HMAC with it, over the nonce, the connection and both names,
// so that it is good for this connection only. Whether the EK is a genuine TPM's is for appraise/enrolment.h.
#pragma once

#include "evidence/evidence.h"
#include "tpm/credential.h"

namespace assay::evidence {

// What an attester shows of its TPM. All of it is a claim until the proof.
struct Identity {
  Bytes ak_public;       // TPMT_PUBLIC
  Bytes ek_public;       // TPMT_PUBLIC of the EK that the certificate is for
  Bytes ek_certificate;  // X.509, DER; empty: the TPM has none
  Bytes ek_chain;        // certificates, DER, one after the other; may be empty
  std::string tpm_manufacturer, tpm_vendor, tpm_firmware;
  bool tpm_software = false;
  bool operator==(const Identity&) const = default;
};

struct Activate {
  Nonce nonce;
  Bytes credential;  // tpm::Credential::blob
  Bytes secret;      // tpm::Credential::secret
  bool operator==(const Activate&) const = default;
};

struct Asked {
  Activate message;
  Bytes secret;  // what the credential hides
  Bytes ak_name, ek_name;
};
// Errors: ParseError "parse.tpmt-public" and StateError "ek.template" for keys that no credential can be made
// for.
Result<Asked> AskToActivate(const Identity& identity);

// HMAC-SHA256, with the credential's secret as key, over "assay-enrol-v1" 00 | nonce[32] | u16be n | binding
// type[n] | u16be m | binding value[m] | u16be a | AK's name[a] | u16be e | EK's name[e].
Bytes EnrolProof(ByteView secret, const Nonce& nonce, const Binding& binding, ByteView ak_name,
                 ByteView ek_name);
// binding: of this side's connection.
Result<> CheckProof(const Asked& asked, const Binding& binding, ByteView proof);

}  // namespace assay::evidence
