// The attest room's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::attest {

// Why a challenge is not answered; the verifier learns the refusal's name (evidence/errors.h).
enum class AttestError { kDegraded, kBusy, kTooLarge, kNoSuchBank, kNoSuchRecord, kWrongCredential };
inline constexpr ErrorRow kAttestErrors[] = {
    {AttestError::kDegraded, "attest.degraded", "Look at `assay status`: the list does not go on."},
    {AttestError::kBusy, "attest.busy", "Ask again."},
    {AttestError::kTooLarge, "attest.too-large", "Ask from a later record; reboot if the list is that long."},
    {AttestError::kNoSuchBank, "attest.no-such-bank", "Ask for a bank that the TPM has."},
    {AttestError::kNoSuchRecord, "attest.no-such-record", "Ask from record 0: the machine was restarted."},
    {AttestError::kWrongCredential, "attest.wrong-credential",
     "Make the credential for the AK and EK that this attester shows."},
};
constexpr std::span<const ErrorRow> ErrorTable(AttestError) { return kAttestErrors; }

// Between the privileged process and the network process.
enum class NetError { kStart, kGone, kSetup, kClosed, kOrphan };
inline constexpr ErrorRow kNetErrors[] = {
    {NetError::kStart, "attest.net-start",
     "Read the log: the network process says why; check the listening address."},
    {NetError::kGone, "attest.net-gone",
     "It is started anew by itself; if it ends again and again, report it."},
    {NetError::kSetup, "net.setup", "Run it by assayd only: it needs the descriptors that assayd hands it."},
    {NetError::kClosed, "inner.closed", "The other of the two processes has ended; the log says why."},
    {NetError::kOrphan, "sandbox.orphan",
     "assayd ended while its network process was starting; start it again."},
};
constexpr std::span<const ErrorRow> ErrorTable(NetError) { return kNetErrors; }

}  // namespace assay::attest
