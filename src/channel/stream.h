// Stream sockets: addresses, and whole messages with a deadline. Internal to the rooms channel and attest.
//
//   // given: int fd, Deadline& deadline
//   const Source source = [&](std::span<std::uint8_t> out) { return Recv(fd, out, deadline); };
//   ASSAY_ASSIGN(Bytes frame, ReceiveFrame(source, 80 << 10));
//   ASSAY_TRY(SendAll(fd, frame, deadline));
//
// Contract: sockets are non-blocking. Memory is allocated as bytes arrive, not by the size that a header
// announces.
#pragma once

#include <sys/un.h>

#include <functional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "channel/tls.h"

namespace assay::channel {

Result<sockaddr_un> UnixAddress(const std::string& path);

// Reads at least one byte; StateError "attest.closed" at the end of the stream.
Result<std::size_t> Recv(int fd, std::span<std::uint8_t> out, const Deadline& deadline);
Result<> SendAll(int fd, ByteView data, Deadline& deadline);

using Source = std::function<Result<std::size_t>(std::span<std::uint8_t>)>;
// One whole message (message.h) of at most max bytes.
Result<Bytes> ReceiveFrame(const Source& source, std::size_t max);

}  // namespace assay::channel
