#include "measure/engine/notices.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace assay::measure {
namespace {

using namespace std::chrono_literals;

TEST(Notices, AreToldInOrderByAnotherThread) {
  std::vector<std::string> told;
  std::thread::id teller;
  Notices notices([&](const Refusal& r) {
    told.push_back(r.path);
    teller = std::this_thread::get_id();
  });
  notices.Refused({.path = "/a", .digest = {}, .context = {}});
  notices.Refused({.path = "/b", .digest = {}, .context = {}});
  ASSERT_TRUE(notices.WaitIdle(10s));
  EXPECT_EQ(told, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_NE(teller, std::this_thread::get_id());
  EXPECT_EQ(notices.Dropped(), 0U);
}

// A callback that does not return holds up no task, and a notice that finds no place is counted.
TEST(Notices, AStalledCallbackHoldsUpNobody) {
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  std::atomic<unsigned> calls{0};
  Notices notices([&](const Refusal&) {
    ++calls;
    gone.wait();
  });
  notices.Refused({.path = "/first", .digest = {}, .context = {}});
  while (calls == 0) std::this_thread::yield();
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < kMaxNotices + 10; ++i)
    notices.Refused({.path = "/x", .digest = {}, .context = {}});
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
  EXPECT_EQ(notices.Dropped(), 10U);
  EXPECT_FALSE(notices.WaitIdle(10ms));
  std::thread stop([&] { notices.Stop(10ms); });
  for (int i = 0; i < 10'000 && notices.Dropped() == 10U; ++i) std::this_thread::sleep_for(1ms);
  go.set_value();
  stop.join();
  EXPECT_EQ(calls, 1U) << "called after the end";
  EXPECT_EQ(notices.Dropped(), 10U + kMaxNotices);
}

}  // namespace
}  // namespace assay::measure
