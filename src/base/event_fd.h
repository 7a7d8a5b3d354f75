// A flag that a poll() can wait for: an eventfd.
//
//   #include <poll.h>
//   ASSAY_ASSIGN(EventFd stop, EventFd::Make());
//   pollfd wait{.fd = stop.get(), .events = POLLIN, .revents = 0};   // the loop
//   stop.Signal();                                                   // another thread: the loop wakes up
//   stop.Drain();                                                    // the loop: it can be signalled again
//
// Contract: it is readable from Signal() to Drain(), however often it was signalled. Neither function ever
// waits. Both are safe from any thread, and Signal() is safe in a signal handler as well. Moving the object
// is not safe. Source: eventfd(2).
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace assay {

class EventFd {
 public:
  EventFd() = default;  // none: it is not signalled, and get() is -1, which poll() passes over
  static Result<EventFd> Make();

  void Signal() const;
  bool Drain() const;  // whether it was signalled
  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  explicit EventFd(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace assay
