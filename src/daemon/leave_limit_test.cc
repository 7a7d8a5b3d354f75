#include "daemon/leave_limit.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "base/result_testing.h"

namespace assay::daemon {
namespace {

using std::chrono::milliseconds;

class LeaveLimitTest : public ::testing::Test {
 protected:
  LeaveLimitTest() {
    child_ = fork();
    if (child_ == 0) {
      pause();
      _exit(0);
    }
  }
  ~LeaveLimitTest() override { EndedBy(); }
  int EndedBy() {  // by which signal
    if (child_ <= 0) return 0;
    kill(child_, SIGTERM);
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  // Until the time is over, for ten seconds.
  bool Late() const {
    for (int i = 0; i < 1000 && late_ == 0; ++i) usleep(10'000);
    return late_ == 1;
  }
  std::function<void(const Error&)> Count() {
    return [this](const Error& error) {
      EXPECT_EQ(error.code(), "handover.late");
      ++late_;
    };
  }

  pid_t child_ = -1;
  std::atomic<int> late_ = 0;
};

TEST_F(LeaveLimitTest, InTimeNothingHappens) {
  LeaveLimit limit({}, Count());
  limit.Of(child_);
  limit.TasksWait();
  EXPECT_FALSE(limit.End());
  EXPECT_FALSE(limit.End());
  EXPECT_EQ(late_, 0);
  EXPECT_EQ(EndedBy(), SIGTERM);
}

TEST_F(LeaveLimitTest, TheSuccessorIsEndedAndItIsSaidOnce) {
  LeaveLimit limit({.hold = milliseconds(1)}, Count());
  limit.Of(child_);
  EXPECT_EQ(late_, 0);
  limit.TasksWait();
  ASSERT_TRUE(Late());
  EXPECT_EQ(EndedBy(), SIGKILL);
  const std::optional<Error> error = limit.End();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), "handover.late");
  EXPECT_EQ(late_, 1);
}

TEST_F(LeaveLimitTest, ASuccessorThatComesTooLateIsEnded) {
  LeaveLimit limit({.load = milliseconds(1)}, Count());
  ASSERT_TRUE(Late());
  limit.Of(child_);
  limit.TasksWait();
  EXPECT_TRUE(limit.End());
  EXPECT_EQ(EndedBy(), SIGKILL);
}

}  // namespace
}  // namespace assay::daemon
