// The certificates by which a machine's maker names the machine: of its initial attestation key (IAK) and of
// its IDevID. What they say, whether they lead to a root, and whether a statement is by their key.
//
//   #include "tpm/tpm.h"
//   // given: ByteView certificate, ByteView chain, const EkTrust& trust, std::int64_t now_s,
//   // given: const SignedQuote& statement, ByteView ak_name, ByteView qualifying
//   const DeviceReport report = CheckDeviceCertificate(certificate, chain, trust, now_s);
//   ASSAY_TRY(CheckDeviceProof(certificate, statement.attest, statement.signature, ak_name, qualifying));
//   if (report.problems.empty() && report.facts.restricted) log::Info("it is {}", report.facts.subject);
//
// Contract: TCG TPM 2.0 Keys for Device Identity and Attestation 1.00; docs/formats/tpm.md, "The device's
// identity". The bytes are untrusted and bounded; trust comes from the roots only. No I/O and no clock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tpm/ek_certificate.h"

namespace assay::tpm {

struct DeviceFacts {
  std::string subject;      // "C=US,O=Maker,CN=Server 9,serialNumber=4711"; at most 256 characters
  std::string model;        // subjectAltName's platformModel, else the subject's commonName; may be empty
  std::string serial;       // the subject's serialNumber, else subjectAltName's platformSerial; may be empty
  bool restricted = false;  // the certificate says that the key signs only what the TPM made (an IAK's)
  bool ca = false;
  KeyPublic::Kind key = KeyPublic::Kind::kOther;
};
// ParseError "parse.device-certificate".
Result<DeviceFacts> ReadDeviceCertificate(ByteView certificate);
bool IsForKey(ByteView certificate, const KeyPublic& key);

struct DeviceReport {
  DeviceFacts facts;
  std::vector<StateError> problems;  // DeviceError: kNotVouched alone, or others
};
DeviceReport CheckDeviceCertificate(ByteView certificate, ByteView chain, const EkTrust& trust,
                                    std::int64_t now_s);

// The certificate's key says, over these qualifying data, that its TPM made the key of this name. That proves
// something about the TPM only if the key is restricted: another one signs what it is given. StateError
// "device.proof-wrong".
Result<> CheckDeviceProof(ByteView certificate, ByteView attest, ByteView signature, ByteView ak_name,
                          ByteView qualifying);

}  // namespace assay::tpm
