// TPM structures that travel: TPMS_ATTEST, TPMT_SIGNATURE, TPMT_PUBLIC, parsed by bounded code of our own,
// and checked.
//
//   // given: ByteView public_area, ByteView attest, ByteView signature
//   ASSAY_ASSIGN(KeyPublic ak, ParsePublic(public_area));   // TPMT_PUBLIC
//   ASSAY_TRY(CheckAkAttributes(ak));                       // StateError "ak.not-restricted", ...
//   ASSAY_TRY(VerifyQuoteSignature(ak, attest, signature));
//   ASSAY_ASSIGN(Quote quote, ParseQuote(attest));          // magic, type and bounds are checked
//
// Contract: no function here talks to a TPM. Big-endian, TPM 2.0 Library part 2, rev. 1.59. Trailing
// bytes are errors. docs/formats/tpm.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/digest.h"

namespace assay::tpm {

struct BankSelection {
  std::uint16_t bank = 0;           // TPM_ALG_ID, as signed; may be unknown to us
  std::vector<std::uint32_t> pcrs;  // ascending
  friend bool operator==(const BankSelection&, const BankSelection&) = default;
};
using PcrSelection = std::vector<BankSelection>;
Result<PcrSelection> ParseSelectionText(std::string_view text);  // "sha256:0,1,10+sha1:10", as tpm2-tools
std::string SelectionText(const PcrSelection& selection);

// The bank that proves a list: SHA-256, which all that read lists know, before SHA-384 before SHA-512;
// nullopt: there is none of them.
std::optional<HashAlg> BestBank(std::span<const HashAlg> banks);

struct ClockInfo {
  std::uint64_t clock = 0;  // milliseconds
  std::uint32_t reset_count = 0;
  std::uint32_t restart_count = 0;
  bool safe = false;
};

struct Quote {
  Bytes qualified_signer;  // name of the signer under its hierarchy
  Bytes extra_data;        // qualifyingData
  ClockInfo clock;
  std::uint64_t firmware_version = 0;
  PcrSelection selection;  // in the order signed; repeated banks are kept for the verifier to refuse
  Bytes pcr_digest;
};
Result<Quote> ParseQuote(ByteView tpms_attest);

// That this TPM made a key (TPM2_CertifyCreation; part 2, section 10.12.6, TPMS_CREATION_INFO).
struct Creation {
  Bytes extra_data;   // qualifyingData
  Bytes object_name;  // of the key
};
Result<Creation> ParseCreation(ByteView tpms_attest);

struct KeyPublic {
  enum class Kind { kEccP256, kEccP384, kRsa2048, kRsa3072, kOther };
  Kind kind = Kind::kOther;
  std::uint16_t type = 0;  // TPM_ALG_ID
  std::uint16_t name_alg = 0;
  std::uint32_t attributes = 0;  // TPMA_OBJECT
  Bytes auth_policy;
  std::uint16_t scheme = 0;  // signing scheme, TPM_ALG_NULL (0x0010) if none
  std::uint16_t scheme_hash = 0;
  std::uint16_t symmetric = 0x0010;  // TPM_ALG_ID for what a storage key protects; TPM_ALG_NULL if none
  std::uint16_t symmetric_bits = 0, symmetric_mode = 0;
  std::uint16_t kdf = 0x0010;  // ECC only
  Bytes name;                  // nameAlg || H(TPMT_PUBLIC), computed here
  Bytes x_or_modulus, y;       // big-endian
  std::uint32_t rsa_exponent = 0;
  Result<PublicKey> Key() const;
};
Result<KeyPublic> ParsePublic(ByteView tpmt_public);
// restricted, sign, fixedTPM, fixedParent, sensitiveDataOrigin set; decrypt clear. Each has a StateError of
// its own: ak.not-restricted, ak.not-signing, ak.not-fixed-tpm, ak.not-fixed-parent, ak.imported,
// ak.decrypts, ak.weak. Any other difference from the AK's template (docs/formats/tpm.md) is ak.template, so
// that a key has exactly one public area and one name.
Result<> CheckAkAttributes(const KeyPublic& ak);
// The key must have exactly the run key's template (docs/formats/tpm.md, "The run key"). StateError
// "run.template".
Result<> CheckRunKey(const KeyPublic& key);
// The key must have exactly the template of a default EK (TCG EK Credential Profile 2.5): of the low range
// L-1 and L-2, of the high range H-1 (RSA 2048), H-2 (ECC P-256), H-3 (ECC P-384) and H-6 (RSA 3072).
// StateError "ek.template".
Result<> CheckEkTemplate(const KeyPublic& ek);

// The signature is over SHA-256(tpms_attest), by ECDSA or RSASSA/RSAPSS as the key's kind demands. StateError
// "quote.signature".
Result<> VerifyQuoteSignature(const KeyPublic& ak, ByteView tpms_attest, ByteView tpmt_signature);
// By a key of which only a certificate tells, so that the signature says which scheme and hash it has:
// ECDSA, RSASSA or RSAPSS with SHA-256, SHA-384 or SHA-512.
Result<> VerifyAttestSignature(const PublicKey& key, ByteView tpms_attest, ByteView tpmt_signature);

// SHA-256 (the signature's hash) over the values in the order of the selection (part 1, "Attestation of
// PCR").
using PcrValues = std::map<std::uint16_t, std::map<std::uint32_t, Digest>>;
Result<Digest> PcrDigest(const PcrSelection& selection, const PcrValues& values);

}  // namespace assay::tpm
