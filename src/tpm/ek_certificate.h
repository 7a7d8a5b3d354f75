// The EK's certificate: taken out of what NV holds, checked up to the roots that the verifier trusts, and
// read for what it says of the TPM.
//
//   EkTrust trust; ASSAY_TRY(trust.AddCertificates(pem)); ASSAY_TRY(trust.AddCrls(crl_pem));
//   const EkReport r = CheckEkCertificate(certificate, chain, ek, trust, now_s);
//   if (r.problems.empty()) log::Info("a TPM by {}", r.facts.manufacturer);
//
// Contract: TCG EK Credential Profile 2.5, section 3; RFC 5280. The certificate and the chain that come with
// it are untrusted bytes, bounded; only the roots decide. All that is wrong is told, each by its name
// (docs/findings.md, ek.*). No I/O and no clock: the caller says what time it is. What makers do otherwise
// than the profile and is put up with: padding after the certificate, BER where DER is due, a critical
// subjectAltName or subjectDirectoryAttributes, a key marked as RSAES-OAEP.
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

// The first DER element (a SEQUENCE) of what an NV index holds; only 00 or ff may follow. ParseError
// "ek-certificate".
Result<Bytes> TrimDer(ByteView nv);
// DER elements one after the other, at most 16; padding at the end as above.
Result<std::vector<Bytes>> SplitDer(ByteView elements);

// What the verifier trusts: certificates that sign themselves are roots, all others are links between.
class EkTrust {
 public:
  EkTrust();
  ~EkTrust();
  EkTrust(EkTrust&&) noexcept;
  EkTrust& operator=(EkTrust&&) noexcept;
  Result<> AddCertificates(std::string_view pem_or_der);  // PEM: all that are in it; else one in DER
  Result<> AddCrls(std::string_view pem_or_der);
  // Every certificate but the root must then have a CRL of its issuer; else those that are there are used.
  void RequireCrls() { require_crls_ = true; }
  std::size_t roots() const;

 private:
  friend struct EkChecker;
  struct Impl;
  std::unique_ptr<Impl> impl_;
  bool require_crls_ = false;
};

// From the subjectAltName (section 3.2.9): as written there, empty if not.
struct EkFacts {
  std::string manufacturer;    // "id:49465800"
  std::string model;           // "SLB9670"
  std::string version;         // "id:00070055"
  std::string Vendor() const;  // the manufacturer's four letters, "IFX"; as written if it is no such number
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
