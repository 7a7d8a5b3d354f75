// Enrolment: the identity of an attester's TPM, and the proof that its AK is in the same TPM as its EK.
//
//   // given: const Identity& identity, const Binding& binding, const Bytes& proof
//   ASSAY_ASSIGN(Asked asked, AskToActivate(identity));   // the verifier makes a credential for these keys,
//   const Activate& question = asked.message; // the attester's TPM opens it and answers with a proof
//   ASSAY_TRY(CheckProof(asked, binding, proof));         // StateError "ek.not-proven"
//
// Contract: docs/formats/challenge.md, "Enrolment". The keys' names are computed here from the public areas.
// The secret that the TPM decrypts is never sent: the proof is an HMAC keyed with it, over the nonce, the
// binding and both names, so that it is valid for this connection only. appraise/enrolment.h judges whether
// the EK belongs to a genuine TPM.
#pragma once

#include "evidence/evidence.h"
#include "tpm/credential.h"

namespace assay::evidence {

// An attester's description of its TPM. It is only a claim until the proof is checked.
struct Identity {
  Bytes ak_public;       // TPMT_PUBLIC
  Bytes ek_public;       // TPMT_PUBLIC of the EK that the certificate is for
  Bytes ek_certificate;  // X.509, DER; empty: the TPM has none
  Bytes ek_chain;        // certificates, DER, one after the other; may be empty
  // Of the keys by which the machine's maker names it (tpm/device_certificate.h), as the certificate above.
  // They are there if they were asked for and the TPM has any.
  Bytes iak_certificate, idevid_certificate, device_chain;
  std::string device_certificate_error;
  std::string ek_certificate_error;  // of a certificate that is in the TPM and can't be read; else empty
  std::string tpm_manufacturer, tpm_vendor, tpm_firmware;
  bool tpm_software = false;
  bool operator==(const Identity&) const = default;
};

struct Activate {
  Nonce nonce;
  Bytes credential;     // tpm::Credential::blob
  Bytes secret;         // tpm::Credential::secret
  bool device = false;  // the keys of the IAK and IDevID certificates are to say that the TPM made the AK
  bool operator==(const Activate&) const = default;
};

struct Activation {
  Bytes proof;  // 32 bytes, EnrolProof()
  // TPMS_ATTEST and TPMT_SIGNATURE of tpm::Tpm::CertifyAk() over DeviceQualifying(); empty: there is none.
  Bytes iak_attest = {}, iak_signature = {}, idevid_attest = {}, idevid_signature = {};
  std::string device_error = {};  // why one is missing that was asked for; else empty
  bool operator==(const Activation&) const = default;
};

struct Asked {
  Activate message;
  Bytes secret;  // the secret inside the credential
  Bytes ak_name, ek_name;
};
// Errors: ParseError "parse.tpmt-public", and StateError "ek.template" for an EK without the default
// template.
Result<Asked> AskToActivate(const Identity& identity);

// HMAC-SHA256, with the credential's secret as key, over "assay-enrol-v1" 00 | nonce[32] | u16be n | binding
// type[n] | u16be m | binding value[m] | u16be a | AK's name[a] | u16be e | EK's name[e].
Bytes EnrolProof(ByteView secret, const Nonce& nonce, const Binding& binding, ByteView ak_name,
                 ByteView ek_name);
// SHA-256 of "assay-device-v1" 00 | nonce[32] | u16be n | binding type[n] | u16be m | binding value[m].
Bytes DeviceQualifying(const Nonce& nonce, const Binding& binding);
// binding: of this side's connection.
Result<> CheckProof(const Asked& asked, const Binding& binding, ByteView proof);

}  // namespace assay::evidence
