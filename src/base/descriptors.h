// Messages with descriptors over a Unix socket.
//
//   // given: int socket, const UniqueFd& file
//   const std::array<int, 1> fds{file.get()};
//   ASSAY_TRY(SendWithDescriptors(socket, AsBytes("file"), fds));
//   Bytes room(64);   // the other side
//   ASSAY_ASSIGN(const ReceivedMessage got, ReceiveWithDescriptors(socket, room, 1));
//   if (got.size == 0) log::Info("the other side has closed its end");
//
// Contract: received descriptors are close-on-exec, and are closed with the result. The caller decides what a
// message that was cut means. Errors are OsErrors of sendmsg() and recvmsg(). Source: unix(7), SCM_RIGHTS.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"

namespace assay {

inline constexpr std::size_t kMostDescriptors = 253;  // the kernel's limit for a message (SCM_MAX_FD)

// flags: of sendmsg(), besides MSG_NOSIGNAL.
Result<> SendWithDescriptors(int socket, ByteView data, std::span<const int> fds, int flags = 0);

struct ReceivedMessage {
  std::size_t size = 0;  // of the data; 0: the other side has closed its end
  std::vector<UniqueFd> fds;
  bool cut = false;  // data or descriptors did not fit
};
// max: how many descriptors may come, at most kMostDescriptors.
Result<ReceivedMessage> ReceiveWithDescriptors(int socket, std::span<std::uint8_t> data, std::size_t max);

}  // namespace assay
