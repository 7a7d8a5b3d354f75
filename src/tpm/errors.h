// The tpm room's errors. docs/errors.md says what each means. Those of keys, certificates and quotes are
// findings too, under the same names, when a verifier meets them (appraise/finding_names.h).
#pragma once

#include "base/error_code.h"

namespace assay::tpm {

// What a command's failure means for its caller (TpmError).
enum class TpmFailure { kGone, kLockout, kBusy, kRefused };
inline constexpr ErrorRow kTpmFailures[] = {
    {TpmFailure::kGone, "tpm.gone",
     "Check that the TPM, or the program behind tpm/tcti, is there; assayd connects again by itself."},
    {TpmFailure::kLockout, "tpm.lockout",
     "Wait until the lockout has passed, or clear it with tpm2_dictionarylockout."},
    {TpmFailure::kBusy, "tpm.busy", "Try again; find out what else uses the TPM."},
    {TpmFailure::kRefused, "tpm.refused", "The message has the TPM's own code: tpm2_rc_decode says more."},
};
constexpr std::span<const ErrorRow> ErrorTable(TpmFailure) { return kTpmFailures; }

// What a TPM is, has or does, and should not, or not any more.
enum class TpmFault {
  kAnswer,
  kNoSuchPcr,
  kPcrMoving,
  kNoBank,
  kOtherTpm,
  kNvSize,
  kSetup,
  kStart,
  kStop,
  kPassword,
  kNoDeviceKey
};
inline constexpr ErrorRow kTpmFaults[] = {
    {TpmFault::kAnswer, "tpm.answer", "Suspect the TPM or what stands between; update its firmware."},
    {TpmFault::kNoSuchPcr, "tpm.no-such-pcr", "Name a PCR of an active bank; `assay doctor` shows the TPM."},
    {TpmFault::kPcrMoving, "tpm.pcr-moving", "Try again; find out what extends the PCRs so fast."},
    {TpmFault::kNoBank, "tpm.no-bank",
     "Activate the SHA-256 (or SHA-384, SHA-512) bank in the firmware's setup."},
    {TpmFault::kOtherTpm, "tpm.other-tpm",
     "The TPM was cleared or exchanged: start assayd anew and enrol the host again."},
    {TpmFault::kNvSize, "tpm.nv-size",
     "Suspect the TPM: an index of its manufacturer has an impossible size."},
    {TpmFault::kSetup, "tpm.setup",
     "Read swtpm.log in the folder that the message names; `apt install swtpm-tools`."},
    {TpmFault::kStart, "tpm.start",
     "Read swtpm.log in the folder that the message names; `apt install swtpm`."},
    {TpmFault::kStop, "tpm.stop", "End the swtpm process that is left."},
    {TpmFault::kPassword, "tpm.password",
     "Write the hierarchy's password into a file that only root can read, and name it in "
     "tpm/endorsement_password_file or tpm/owner_password_file; restart assayd."},
    {TpmFault::kNoDeviceKey, "tpm.no-device-key",
     "Ask the machine's maker: the TPM has a certificate of an IAK or IDevID, and not its key."},
};
constexpr std::span<const ErrorRow> ErrorTable(TpmFault) { return kTpmFaults; }

enum class AkError {
  kNotRestricted,
  kNotSigning,
  kNotFixedTpm,
  kNotFixedParent,
  kImported,
  kDecrypts,
  kWeak,
  kTemplate
};
inline constexpr ErrorRow kAkErrors[] = {
    {AkError::kNotRestricted, "ak.not-restricted", "Make an AK that is *restricted*; assayd does."},
    {AkError::kNotSigning, "ak.not-signing", "Make an AK that signs; assayd does."},
    {AkError::kNotFixedTpm, "ak.not-fixed-tpm", "Make an AK that is *fixedTPM*; assayd does."},
    {AkError::kNotFixedParent, "ak.not-fixed-parent", "Make an AK that is *fixedParent*; assayd does."},
    {AkError::kImported, "ak.imported", "Have the TPM make the AK; assayd does."},
    {AkError::kDecrypts, "ak.decrypts", "Make an AK that only signs; assayd does."},
    {AkError::kWeak, "ak.weak", "Make an AK on ECC P-256 or RSA-2048 with SHA-256; assayd does."},
    {AkError::kTemplate, "ak.template", "Use assay's attester; if it is used, suspect this one."},
};
constexpr std::span<const ErrorRow> ErrorTable(AkError) { return kAkErrors; }

enum class EkError {
  kTemplate,
  kCertificateOtherKey,
  kCertificateExpired,
  kCertificateRevoked,
  kNoCrl,
  kCertificateUsage,
  kCertificateMalformed,
  kUntrustedChain
};
inline constexpr ErrorRow kEkErrors[] = {
    {EkError::kTemplate, "ek.template", "Such an EK is not supported: use the TPM's default one."},
    {EkError::kCertificateOtherKey, "ek.certificate-other-key", "Suspect the attester."},
    {EkError::kCertificateExpired, "ek.certificate-expired",
     "Look at this machine's clock; ask the manufacturer."},
    {EkError::kCertificateRevoked, "ek.certificate-revoked", "Replace the TPM."},
    {EkError::kNoCrl, "ek.no-crl", "Fetch the issuer's newest revocation list."},
    {EkError::kCertificateUsage, "ek.certificate-usage", "Suspect the attester."},
    {EkError::kCertificateMalformed, "ek.certificate-malformed", "Suspect the attester."},
    {EkError::kUntrustedChain, "ek.untrusted-chain",
     "Add the manufacturer's root and its intermediate certificates; if they are there, the certificate is "
     "self-made."},
};
constexpr std::span<const ErrorRow> ErrorTable(EkError) { return kEkErrors; }

// A certificate of the machine's maker (IAK, IDevID), and the proof by its key.
enum class DeviceError { kNotVouched, kCertificateRefused, kProofWrong };
inline constexpr ErrorRow kDeviceErrors[] = {
    {DeviceError::kNotVouched, "device.not-vouched",
     "Give the root of the machine's maker (`--roots`), if it matters which machine it is."},
    {DeviceError::kCertificateRefused, "device.certificate-refused",
     "Look at this machine's clock; ask the machine's maker; else suspect the attester."},
    {DeviceError::kProofWrong, "device.proof-wrong", "Suspect the attester, or what stands between."},
};
constexpr std::span<const ErrorRow> ErrorTable(DeviceError) { return kDeviceErrors; }

enum class QuoteError { kSignature, kPcrMissing };
inline constexpr ErrorRow kQuoteErrors[] = {
    {QuoteError::kSignature, "quote.signature", "Ask again; if it stays, suspect the connection."},
    {QuoteError::kPcrMissing, "quote.pcr-missing", "Give the value of each PCR that the selection names."},
};
constexpr std::span<const ErrorRow> ErrorTable(QuoteError) { return kQuoteErrors; }

enum class RunKeyError { kLost, kTemplate };
inline constexpr ErrorRow kRunKeyErrors[] = {
    {RunKeyError::kLost, "run-key.lost", "Start assayd anew: a run's key is made once."},
    {RunKeyError::kTemplate, "run.template", "Suspect the attester."},
};
constexpr std::span<const ErrorRow> ErrorTable(RunKeyError) { return kRunKeyErrors; }

}  // namespace assay::tpm
