// The channel room's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::channel {

enum class ChannelError { kClosed, kTimeout, kWrongPeer, kHandshake, kNoCertificate, kNoSuchHost, kRefused };
inline constexpr ErrorRow kChannelErrors[] = {
    {ChannelError::kClosed, "attest.closed", "Read the log of the other side: it ended the connection."},
    {ChannelError::kTimeout, "attest.timeout",
     "Try again; look at the network and at the other side's load."},
    {ChannelError::kWrongPeer, "attest.wrong-peer",
     "Compare the pinned fingerprint with that of the attester; else something stands between."},
    {ChannelError::kHandshake, "attest.handshake",
     "Suspect the peer: no TLS handshake of ours is that large."},
    {ChannelError::kNoCertificate, "attest.no-certificate", "Give the peer a certificate (`assay keys`)."},
    {ChannelError::kNoSuchHost, "attest.no-such-host", "Check the name, and that it resolves here."},
    {ChannelError::kRefused, "attest.refused",
     "The message has the attester's reason in parentheses; see below."},
};
constexpr std::span<const ErrorRow> ErrorTable(ChannelError) { return kChannelErrors; }

}  // namespace assay::channel
