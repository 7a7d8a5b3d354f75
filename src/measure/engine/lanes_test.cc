#include "measure/engine/lanes.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace assay::measure {
namespace {

using namespace std::chrono_literals;

// Until it is told, as a file system that does not answer.
struct Hang {
  std::promise<void> promise;
  std::shared_future<void> told{promise.get_future()};
  Lane::Job Job() {
    return [told = told](bool dropped) {
      if (!dropped) told.wait();
    };
  }
};

TEST(Lane, UsersTakeTurns) {
  Hang hang;
  Lane lane({.workers = 1, .most = 1, .for_root = 0});
  lane.Push(0, hang.Job());
  std::mutex mutex;
  std::vector<uid_t> order;
  std::promise<void> all;
  for (const uid_t uid : {1U, 1U, 1U, 2U, 3U, 2U})
    lane.Push(uid, [&, uid](bool) {
      const std::lock_guard lock(mutex);
      order.push_back(uid);
      if (order.size() == 6) all.set_value();
    });
  hang.promise.set_value();
  all.get_future().wait();
  EXPECT_EQ(order, (std::vector<uid_t>{1, 2, 3, 1, 2, 1}));
}

TEST(Lane, OneUserHoldsAShareAndUsersLeaveSomeForRoot) {
  Hang hang;
  Lane lane({.workers = 1, .most = 6, .share = 2, .for_root = 2});
  for (int i = 0; i < 10; ++i) lane.Push(1, hang.Job());
  for (int i = 0; i < 10; ++i) lane.Tick();
  std::promise<void> others;
  lane.Push(2, [&](bool) { others.set_value(); });
  lane.Tick();
  lane.Tick();
  EXPECT_EQ(others.get_future().wait_for(10s), std::future_status::ready);
  // The second worker may not have taken its job yet.
  for (int i = 0; i < 10'000 && lane.Waiting() > 8; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(lane.Waiting(), 8U);
  for (uid_t uid = 3; uid < 8; ++uid) lane.Push(uid, hang.Job());
  for (int i = 0; i < 20; ++i) lane.Tick();
  std::promise<void> roots;
  lane.Push(0, [&](bool) { roots.set_value(); });
  for (int i = 0; i < 4; ++i) lane.Tick();
  EXPECT_EQ(roots.get_future().wait_for(10s), std::future_status::ready);
  hang.promise.set_value();
  EXPECT_TRUE(lane.Stop(10s));
}

TEST(Lane, StopDropsWhatWaitsAndGivesUpWhatHangs) {
  const unsigned before = LeftBehind();
  Hang hang;
  std::atomic<int> dropped{0}, unblocked{0};
  {
    Lane lane({.workers = 1, .most = 1, .for_root = 0});
    lane.Push(1, hang.Job());
    while (lane.Waiting() > 0) std::this_thread::yield();
    lane.Push(1, [&](bool drop) { dropped += drop ? 1 : 0; });
    EXPECT_FALSE(lane.Stop(50ms, [&] { ++unblocked; }));
    EXPECT_EQ(dropped, 1);
    EXPECT_EQ(unblocked, 1);
    EXPECT_EQ(LeftBehind(), before + 1);
    lane.Push(1, [&](bool drop) { dropped += drop ? 1 : 0; });
    EXPECT_EQ(dropped, 2);
  }
  hang.promise.set_value();
}

TEST(UseGate, CloseWaitsForWhoIsInside) {
  UseGate gate;
  ASSERT_TRUE(gate.Enter());
  std::atomic<bool> left{false};
  std::thread user([&] {
    std::this_thread::sleep_for(50ms);
    left = true;
    gate.Leave();
  });
  gate.Close();
  EXPECT_TRUE(left);
  EXPECT_FALSE(gate.Enter());
  user.join();
}

}  // namespace
}  // namespace assay::measure
