#include "base/event_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <thread>
#include <type_traits>

namespace assay {
namespace {

static_assert(!std::is_copy_constructible_v<EventFd> && std::is_nothrow_move_constructible_v<EventFd>);

bool Readable(const EventFd& event, int timeout_ms = 0) {
  pollfd wait{.fd = event.get(), .events = POLLIN, .revents = 0};
  return poll(&wait, 1, timeout_ms) == 1 && wait.revents == POLLIN;
}

TEST(EventFd, IsReadableFromSignalToDrain) {
  Result<EventFd> event = EventFd::Make();
  ASSERT_TRUE(event) << event.error().Message();
  EXPECT_NE(fcntl(event->get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_FALSE(Readable(*event));
  EXPECT_FALSE(event->Drain());
  event->Signal();
  event->Signal();
  EXPECT_TRUE(Readable(*event));
  EXPECT_TRUE(event->Drain());
  EXPECT_FALSE(Readable(*event));
}

TEST(EventFd, AFullCounterNeitherWaitsNorIsLost) {
  Result<EventFd> event = EventFd::Make();
  ASSERT_TRUE(event);
  const std::uint64_t full = UINT64_MAX - 1;
  ASSERT_EQ(write(event->get(), &full, sizeof(full)), static_cast<ssize_t>(sizeof(full)));
  event->Signal();
  EXPECT_TRUE(Readable(*event));
  EXPECT_TRUE(event->Drain());
}

TEST(EventFd, WakesAWaiterAndMoves) {
  Result<EventFd> made = EventFd::Make();
  ASSERT_TRUE(made);
  const EventFd event = std::move(*made);
  EXPECT_FALSE(*made);
  std::thread signaller([&] { event.Signal(); });
  EXPECT_TRUE(Readable(event, 10'000));
  signaller.join();
}

TEST(EventFd, NoneIsNeverSignalled) {
  const EventFd none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.get(), -1);
  none.Signal();
  EXPECT_FALSE(none.Drain());
}

}  // namespace
}  // namespace assay
