#include "base/descriptors.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace assay {
namespace {

// It points into itself: it is neither copied nor moved.
struct Packet {
  Packet(const std::uint8_t* bytes, std::size_t size)
      : data{.iov_base = const_cast<std::uint8_t*>(bytes), .iov_len = size} {
    message.msg_iov = &data;
    message.msg_iovlen = 1;
  }
  Packet(const Packet&) = delete;
  Packet& operator=(const Packet&) = delete;
  void HasRoomFor(std::size_t descriptors) {
    message.msg_control = descriptors > 0 ? space.data() : nullptr;
    message.msg_controllen = descriptors > 0 ? CMSG_SPACE(descriptors * sizeof(int)) : 0;
  }

  iovec data;
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(int) * kMostDescriptors)> space{};
  msghdr message{};
};

}  // namespace

Result<> SendWithDescriptors(int socket, ByteView data, std::span<const int> fds, int flags) {
  if (fds.size() > kMostDescriptors) return Fail(UsageError("too many descriptors for a message"));
  Packet packet(data.data(), data.size());
  packet.HasRoomFor(fds.size());
  if (!fds.empty()) {
    cmsghdr* const c = CMSG_FIRSTHDR(&packet.message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  if (sendmsg(socket, &packet.message, MSG_NOSIGNAL | flags) < 0)
    return Fail(OsError("sendmsg", "descriptors", errno));
  return {};
}

Result<ReceivedMessage> ReceiveWithDescriptors(int socket, std::span<std::uint8_t> data, std::size_t max) {
  if (max > kMostDescriptors) return Fail(UsageError("too many descriptors for a message"));
  Packet packet(data.data(), data.size());
  packet.HasRoomFor(max);
  const ssize_t n = recvmsg(socket, &packet.message, MSG_CMSG_CLOEXEC);
  if (n < 0) return Fail(OsError("recvmsg", "descriptors", errno));
  ReceivedMessage received{.size = static_cast<std::size_t>(n), .fds = {}, .cut = false};
  for (cmsghdr* c = CMSG_FIRSTHDR(&packet.message); c != nullptr; c = CMSG_NXTHDR(&packet.message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      received.fds.emplace_back(fd);
    }
  }
  received.cut = (packet.message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  return received;
}

}  // namespace assay
