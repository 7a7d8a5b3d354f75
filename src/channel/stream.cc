#include "channel/stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "channel/errors.h"
#include "evidence/message.h"

namespace assay::channel {

Result<sockaddr_un> UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Fail(UsageError("too long for a socket: " + path));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<std::size_t> Recv(int fd, std::span<std::uint8_t> out, const Deadline& deadline) {
  while (true) {
    const ssize_t n = recv(fd, out.data(), out.size(), 0);
    if (n > 0) return static_cast<std::size_t>(n);
    if (n == 0) return Fail(StateError(ChannelError::kClosed, "the peer ended the connection"));
    if (errno == EAGAIN)
      ASSAY_TRY(deadline.Wait(fd, POLLIN));
    else if (errno != EINTR)
      return Fail(OsError("recv", "", errno));
  }
}

Result<> SendAll(int fd, ByteView data, Deadline& deadline) {
  while (!data.empty()) {
    const ssize_t n = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      data = data.subspan(static_cast<std::size_t>(n));
      deadline.Progress(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      ASSAY_TRY(deadline.Wait(fd, POLLOUT));
    } else if (errno != EINTR) {
      return Fail(OsError("send", "", errno));
    }
  }
  return {};
}

Result<Bytes> ReceiveFrame(const Source& source, std::size_t max) {
  constexpr std::size_t kFirst = 4096, kStep = 1 << 20;
  Bytes frame;
  std::optional<std::uint64_t> size;
  while (!size || frame.size() < *size) {
    const std::size_t have = frame.size();
    frame.resize(have + (size ? std::min<std::uint64_t>(*size - have, kStep) : kFirst));
    ASSAY_ASSIGN(const std::size_t n, source(std::span(frame).subspan(have)));
    frame.resize(have + n);
    if (!size) {
      ASSAY_ASSIGN(size, evidence::FrameSize(frame, max));
    }
  }
  return frame;
}

}  // namespace assay::channel
