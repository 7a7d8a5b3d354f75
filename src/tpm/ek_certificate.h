// The EK's certificate: read from the content of an NV index, verified up to the roots that the verifier
// trusts, and searched for what it says about the TPM.
//
//   // given: ByteView certificate, ByteView chain, const KeyPublic& ek, std::string_view roots,
//   // given: std::int64_t now_s
//   EkTrust trust;
//   ASSAY_TRY(trust.AddCertificates(roots));   // PEM
//   const EkReport report = CheckEkCertificate(certificate, chain, ek, trust, now_s);
//   if (report.problems.empty()) log::Info("a TPM by {}", report.facts.manufacturer);
//
// Contract: TCG EK Credential Profile 2.5, section 3; RFC 5280. The certificate and its chain are untrusted
// bytes, bounded; trust comes from the roots only. The report names every problem (docs/findings.md, ek.*).
// No I/O and no clock: the caller gives the time. Some makers deviate from the profile; these deviations are
// accepted: padding after the certificate, BER where DER is required, a critical subjectAltName or
// subjectDirectoryAttributes, a key marked as RSAES-OAEP.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tpm/attest_data.h"

namespace assay::tpm {

inline constexpr std::size_t kMaxEkCertificate = 8 << 10;  // bytes
inline constexpr std::size_t kMaxEkChain = 32 << 10;       // bytes of all certificates

// The DER element (a SEQUENCE) in an NV index; only bytes 00 or ff may stand before and behind it, and the
// header of TPM 1.2 before it. ParseError "ek-certificate".
Result<Bytes> TrimDer(ByteView nv);
// DER elements one after the other, at most 16; padding at the end as above.
Result<std::vector<Bytes>> SplitDer(ByteView elements);

// The certificates that the verifier trusts: self-signed ones are roots, all others are intermediates.
class EkTrust {
 public:
  EkTrust();
  ~EkTrust();
  EkTrust(EkTrust&&) noexcept;
  EkTrust& operator=(EkTrust&&) noexcept;
  // Every certificate of a PEM text, or one in DER. A part of the text that can't be read as what it says
  // it is, is an error that names it; parts of other kinds are passed over.
  Result<> AddCertificates(std::string_view pem_or_der);
  Result<> AddCrls(std::string_view pem_or_der);
  // From then on every certificate but the root must have a CRL of its issuer. Without this call only the
  // CRLs that were added are checked.
  void RequireCrls() { require_crls_ = true; }
  std::size_t roots() const;

 private:
  friend struct EkChecker;
  struct Impl;
  std::unique_ptr<Impl> impl_;
  bool require_crls_ = false;
};

// Values of the subjectAltName (section 3.2.9), as written there; empty where it has none.
struct EkFacts {
  std::string manufacturer;    // "id:49465800"
  std::string model;           // "SLB9670"
  std::string version;         // "id:00070055"
  std::string Vendor() const;  // the manufacturer's four letters, "IFX"; else the text as written
  bool Software() const;       // made by swtpm (IBM's number, or its model name)
};
struct EkReport {
  EkFacts facts;
  std::vector<StateError> problems;
};
// chain: certificates as Tpm::Identity() gives them. now_s: seconds since 1970.
EkReport CheckEkCertificate(ByteView certificate, ByteView chain, const KeyPublic& ek, const EkTrust& trust,
                            std::int64_t now_s);

}  // namespace assay::tpm
