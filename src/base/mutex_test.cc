#include "base/mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <fstream>
#include <string>
#include <thread>

#include "base/thread.h"

namespace assay {
namespace {

using std::chrono::milliseconds;

// The example of mutex.h.
class Queue {
 public:
  void Put(int job) {
    const MutexLock lock(mutex_);
    jobs_.push_back(job);
    changed_.NotifyOne();
  }
  int Take() {
    MutexLock lock(mutex_);
    while (jobs_.empty()) changed_.Wait(mutex_);
    const int job = TakeFirst();
    lock.Unlock();
    return job;
  }
  int TakeByPredicate() {
    const MutexLock lock(mutex_);
    changed_.Wait(mutex_, [this]() ASSAY_REQUIRES(mutex_) { return !jobs_.empty(); });
    return TakeFirst();
  }
  bool WaitForOne(milliseconds time) {
    const MutexLock lock(mutex_);
    return changed_.WaitFor(mutex_, time, [this]() ASSAY_REQUIRES(mutex_) { return !jobs_.empty(); });
  }

 private:
  int TakeFirst() ASSAY_REQUIRES(mutex_) {
    const int job = jobs_.front();
    jobs_.pop_front();
    return job;
  }
  Mutex mutex_;
  CondVar changed_;
  std::deque<int> jobs_ ASSAY_GUARDED_BY(mutex_);
};

TEST(Mutex, HandsJobsFromOneThreadToAnother) {
  Queue queue;
  const Thread other("test-put", [&queue] {
    for (int i = 0; i < 1000; ++i) queue.Put(i);
  });
  for (int i = 0; i < 1000; i += 2) {
    EXPECT_EQ(queue.Take(), i);
    EXPECT_EQ(queue.TakeByPredicate(), i + 1);
  }
}

TEST(Mutex, ALockCanBeGivenBackAndTakenAgain) {
  Mutex mutex;
  MutexLock lock(mutex);
  const auto free = [&mutex] {
    bool got = false;
    Thread("test-try", [&mutex, &got] {
      if (mutex.TryLock()) {
        got = true;
        mutex.Unlock();
      }
    }).Join();
    return got;
  };
  EXPECT_FALSE(free());
  lock.Unlock();
  EXPECT_TRUE(free());
  lock.Lock();
  EXPECT_FALSE(free());
}

TEST(Mutex, AWaitEndsWhenItsTimeHasCome) {
  Queue queue;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(queue.WaitForOne(milliseconds(20)));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(20));
  queue.Put(1);
  EXPECT_TRUE(queue.WaitForOne(milliseconds(0)));

  Mutex mutex;
  CondVar nothing;
  const MutexLock lock(mutex);
  EXPECT_FALSE(nothing.WaitUntil(mutex, std::chrono::steady_clock::now()));
}

TEST(Thread, HasItsNameAndIsJoinedAtTheEndOfItsBlock) {
  std::string name;
  bool ended = false;
  {
    const Thread thread("test-named", [&name, &ended] {
      std::ifstream("/proc/thread-self/comm") >> name;
      std::this_thread::sleep_for(milliseconds(20));
      ended = true;
    });
    EXPECT_TRUE(thread.Joinable());
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(name, "test-named");
}

TEST(Thread, AnAssignmentWaitsForTheOneBefore) {
  std::atomic<int> runs = 0;
  Thread thread("test-one", [&runs] { ++runs; });
  thread = Thread("test-two", [&runs] { ++runs; });
  thread.Join();
  thread.Join();
  EXPECT_FALSE(thread.Joinable());
  EXPECT_EQ(runs, 2);
}

}  // namespace
}  // namespace assay
