// Stream sockets: addresses, and whole messages with a deadline. Internal to the attest room.
//
//   ASSAY_ASSIGN(Bytes frame, ReceiveFrame([&](std::span<std::uint8_t> out) { return Recv(fd, out, deadline);
//   },
//                                          kMaxChallenge));
//
// Contract: sockets are non-blocking. What is announced is not allocated before it arrives.
#pragma once

#include <sys/un.h>

#include <functional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "channel/tls.h"

namespace assay::channel {

Result<sockaddr_un> UnixAddress(const std::string& path);

// At least one byte; StateError "attest.closed" at the end of the stream.
Result<std::size_t> Recv(int fd, std::span<std::uint8_t> out, const Deadline& deadline);
Result<> SendAll(int fd, ByteView data, Deadline& deadline);

using Source = std::function<Result<std::size_t>(std::span<std::uint8_t>)>;
// One whole message (message.h) of at most max bytes.
Result<Bytes> ReceiveFrame(const Source& source, std::size_t max);

}  // namespace assay::channel
