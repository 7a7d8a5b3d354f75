// A TPM 2.0 over any TCTI: PCRs, the AK, quotes. ESYS inside; no TSS header is included here.
//
//   // given: std::span<const Digest> digests, const PcrSelection& selection, ByteView qualifying
//   ASSAY_ASSIGN(std::unique_ptr<Tpm> tpm, Tpm::Connect("swtpm:path=/run/assay/swtpm.sock"));
//   ASSAY_ASSIGN(std::vector<HashAlg> banks, tpm->ActiveBanks(10));
//   ASSAY_TRY(tpm->Extend(RawExtend::ForRecorder(), 10, digests));     // one digest for each active bank
//   ASSAY_ASSIGN(Ak ak, tpm->CreateAk(AkKind::kEccP256));
//   ASSAY_ASSIGN(SignedQuote quote, tpm->MakeQuote(ak, selection, qualifying));
//
// Contract: safe from several threads (one command at a time). TPM_RC_RETRY, YIELDED, TESTING and NV_RATE are
// retried for a bounded time. Every failure is a TpmError that says what it means for the caller (Kind).
// After kGone all calls fail with kGone until Reconnect() succeeds; whether a command took effect is unknown
// when its answer did not come. AK and EK are derived again when the TPM has lost them (a suspend, another
// program's flush), whichever command finds out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "tpm/attest_data.h"
#include "tpm/errors.h"

namespace assay::tpm {

struct TpmError : ErrorInfo {
  using Kind = TpmFailure;  // kGone: no answer, or the transport is broken
  TpmError(Kind kind_in, std::string call_in, std::uint32_t rc_in);
  Kind kind;
  std::string call;  // "TPM2_Quote"
  std::uint32_t rc;  // TSS2_RC
  std::string code() const override { return std::string(ErrorCode::Of(kind).name()); }
  std::optional<ErrorCode> id() const override { return ErrorCode::Of(kind); }
  std::string Message() const override;  // with the decoded text
};

// The right to extend a PCR. Only the recorder makes one, so that a search for this name finds every extend.
class RawExtend {
 public:
  static RawExtend ForRecorder() { return {}; }
  static RawExtend ForTest() { return {}; }

 private:
  RawExtend() = default;
};

struct TpmInfo {
  std::string manufacturer;  // "IBM", "INTC"
  std::string vendor;        // "SW   TPM"
  std::string firmware;      // "8217.4131"
  bool software = false;     // told by manufacturer and vendor string, which is no proof
};

enum class AkKind { kEccP256, kRsa2048 };
// TCG EK Credential Profile 2.5: templates L-2, L-1, H-2, H-1, H-3 and H-6.
enum class EkKind { kEccP256, kRsa2048, kEccP256High, kRsa2048High, kEccP384, kRsa3072 };

// The EK, by which the TPM says which TPM it is. The certificate is the proof of it.
struct EkIdentity {
  EkKind kind = EkKind::kEccP256;
  Bytes public_area;              // TPMT_PUBLIC
  Bytes certificate;              // X.509 DER as in NV, without the padding; empty: the TPM has none
  Bytes chain;                    // DER certificates one after the other, as in NV; may be empty
  std::string certificate_error;  // of a certificate that is there and can't be read; else empty
};

// What the machine's maker put into the TPM: certificates of an IAK (initial attestation key) and of an
// IDevID (TCG TPM 2.0 Keys for Device Identity and Attestation 1.00).
struct DeviceIdentity {
  Bytes iak, idevid;  // X.509 DER; empty: none
  Bytes chain;        // DER certificates of their issuers, one after the other
  std::string error;  // of a certificate that is there and can't be read; else empty
};
enum class DeviceKey { kIak, kIdevid };

class Ak {
 public:
  const Bytes& public_area() const { return public_; }  // TPMT_PUBLIC
  const Bytes& name() const { return name_; }

 private:
  friend class Tpm;
  Bytes public_, name_;
  AkKind kind_ = AkKind::kEccP256;
};

struct SignedQuote {
  Bytes attest;     // TPMS_ATTEST
  Bytes signature;  // TPMT_SIGNATURE
};

// The passwords of hierarchies, where somebody has taken ownership: at most 64 bytes each; empty: none.
struct Passwords {
  Bytes endorsement;  // for AK and EK
  Bytes owner;        // for certificates in NV that only the owner may read
};

class Tpm {
 public:
  static Result<std::unique_ptr<Tpm>> Connect(const std::string& tcti, Passwords passwords = {});
  // What the TPM says of itself, without a change of its state: it is not started, and nothing is flushed.
  static Result<TpmInfo> Look(const std::string& tcti);
  // Without a connection: all calls fail with kGone until Reconnect() succeeds.
  static Result<std::unique_ptr<Tpm>> Unconnected(const std::string& tcti, Passwords passwords = {});
  ~Tpm();
  Result<> Reconnect();
  const std::string& tcti() const;

  Result<TpmInfo> Info();
  Result<ClockInfo> ReadClock();
  // Banks in which this PCR is allocated, in the TPM's order. Banks of algorithms that can't be computed here
  // are left out and named in a warning; Extend() does not extend them, and no quote may use them.
  Result<std::vector<HashAlg>> ActiveBanks(std::uint32_t pcr);
  Result<PcrValues> ReadPcrs(const PcrSelection& selection);
  // Reads in a session that is salted with the EK and protected by HMAC, so that an attacker on the bus can't
  // change the answer.
  Result<Digest> ReadPcrProtected(HashAlg bank, std::uint32_t pcr);
  Result<> Extend(RawExtend token, std::uint32_t pcr, std::span<const Digest> values);

  Result<Bytes> EkPublic(EkKind kind);  // TPMT_PUBLIC
  // The EK that a certificate in NV is for (the low range before the high one, ECC before RSA), or the ECC
  // one of the low range if NV holds no certificate. An EK that is not persistent in the TPM is derived, once
  // for each connection; this takes a chip some seconds.
  Result<EkIdentity> Identity();
  // TPM2_ActivateCredential: the secret (at most 32 bytes) that MakeCredential() wrapped for this AK of this
  // EK. credential: TPM2B_ID_OBJECT without its size; secret: TPM2B_ENCRYPTED_SECRET without its size.
  // TpmError kRefused for one that is not for these keys (TPM_RC_INTEGRITY, TPM_RC_VALUE).
  Result<Bytes> ActivateCredential(const Ak& ak, EkKind ek, ByteView credential, ByteView secret);
  // A primary key of the endorsement hierarchy: the same on every call. Restricted, signing, fixedTPM,
  // fixedParent, noDA; used only through PolicyOR(PolicyCommandCode(Quote),
  // PolicyCommandCode(ActivateCredential)).
  Result<Ak> CreateAk(AkKind kind);
  Result<SignedQuote> MakeQuote(const Ak& ak, const PcrSelection& selection, ByteView qualifying);
  Result<DeviceIdentity> ReadDeviceIdentity();
  // TPM2_CertifyCreation: the key of this certificate says that its TPM made the AK, over at most 64 bytes of
  // qualifying data. The key is a persistent one of the maker's range, or is made again from its template,
  // once; that takes a chip some seconds. StateError "tpm.no-device-key": there is none; TpmError kRefused:
  // it has an authorisation of its own.
  Result<SignedQuote> CertifyAk(const Ak& ak, DeviceKey by, ByteView certificate, ByteView qualifying);
  Result<> Shutdown();  // TPM2_Shutdown(CLEAR)
  // How often a command found that the TPM had lost the AK, the EK or a session, which were then made again.
  std::uint64_t LostKeys() const;

 private:
  friend class RunKey;
  friend struct TpmForTest;  // tpm/tpm_testing.h
  struct Impl;
  explicit Tpm(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::tpm
