#include "base/event_fd.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <tuple>

namespace assay {

Result<EventFd> EventFd::Make() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return Fail(OsError("eventfd", "", errno));
  return EventFd(std::move(fd));
}

// A write to this eventfd fails only with EAGAIN: the counter is full, so the eventfd is readable already.
void EventFd::Signal() const {
  const int before = errno;
  const std::uint64_t one = 1;
  std::ignore = ::write(fd_.get(), &one, sizeof(one));
  errno = before;
}

bool EventFd::Drain() const {
  std::uint64_t count = 0;
  return ::read(fd_.get(), &count, sizeof(count)) == sizeof(count);
}

}  // namespace assay
