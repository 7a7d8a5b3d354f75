// The gate where its attester dies: nothing of it may stay. In a private mount namespace.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include "base/fd.h"
#include "measure/lsm/gate.h"
#include "measure/system/mount_testing.h"

namespace assay::measure {
namespace {

constexpr int kPatienceMs = 20'000;

class GateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { EnterPrivateMounts(); }
  void SetUp() override {
    char name[] = "/tmp/assay-gate.XXXXXX";
    dir_ = mkdtemp(name);
    ASSERT_EQ(pipe(held_), 0);  // inherited, as a lock would be
  }
  void TearDown() override {
    while (umount2(gate().c_str(), MNT_FORCE | MNT_DETACH) == 0) continue;
    close(held_[0]);
    std::filesystem::remove_all(dir_);
  }
  std::string gate() const { return dir_ + "/gate"; }
  // An attester that starts a gate, and ends as `mark` or `then` says.
  template <typename Mark, typename Then>
  void Attester(Mark mark, Then then) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      close(held_[0]);
      dup2(held_[1], STDOUT_FILENO);  // which the gate keeps
      GateOptions options;
      options.dir = gate();
      options.ask = [](pid_t, GateReply, bool) {};
      options.mark = mark;
      const Result<std::unique_ptr<Gate>> started = Gate::Start(std::move(options));
      if (!started) _exit(1);
      then();
      _exit(2);
    }
    close(held_[1]);
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << status;
  }
  bool AllGone() const {
    pollfd wait{held_[0], POLLIN, 0};
    char byte = 0;
    return poll(&wait, 1, kPatienceMs) == 1 && read(held_[0], &byte, 1) == 0;
  }

  std::string dir_;
  int held_[2] = {-1, -1};
};

TEST_F(GateTest, AnAttesterKilledBeforeTheGateMayGoLeavesNobodyWaiting) {
  Attester(
      [](pid_t) -> Result<> {
        kill(getpid(), SIGKILL);
        return {};
      },
      [] {});
  EXPECT_TRUE(AllGone());
}

// While the gate's program is read, page by page, from the one that dies.
TEST_F(GateTest, AnAttesterKilledWhileTheGateStartsLeavesNobodyWaiting) {
  for (int us = 0; us < 5000; us += 50) {
    TearDown();
    SetUp();
    Attester(
        [us](pid_t) -> Result<> {
          std::thread([us] {
            usleep(static_cast<useconds_t>(us));
            kill(getpid(), SIGKILL);
          }).detach();
          return {};
        },
        [] { pause(); });
    EXPECT_TRUE(AllGone()) << us;
    // And nothing is in the way of the next one.
    close(held_[0]);
    ASSERT_EQ(pipe(held_), 0);
    Attester([](pid_t) -> Result<> { return {}; }, [] { kill(getpid(), SIGKILL); });
    EXPECT_TRUE(AllGone()) << us;
  }
}

TEST_F(GateTest, AnAttesterKilledLaterTakesItsGateAlong) {
  Attester([](pid_t) -> Result<> { return {}; }, [] { kill(getpid(), SIGKILL); });
  EXPECT_TRUE(AllGone());
}

}  // namespace
}  // namespace assay::measure
