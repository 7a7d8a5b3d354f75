#include <gtest/gtest.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

#include "measure/fanotify/exempt.h"

namespace assay::measure {
namespace {

// A process that only waits; number: 0, or the one that it shall have. -1: it can't have that one.
pid_t Start(pid_t number = 0) {
  clone_args args{};
  args.exit_signal = SIGCHLD;
  args.set_tid = number != 0 ? reinterpret_cast<std::uintptr_t>(&number) : 0;
  args.set_tid_size = number != 0 ? 1 : 0;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
  while (pid == 0) pause();
  return pid;
}

void End(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

TEST(ExemptProcesses, AnotherProcessOfTheSameNumberIsNone) {
  const pid_t first = Start();
  ASSERT_GT(first, 0);
  const ExemptProcesses exempt({first});
  EXPECT_TRUE(exempt.Has(first));
  EXPECT_FALSE(exempt.Has(getpid()));
  End(first);
  EXPECT_FALSE(exempt.Has(first));
  const pid_t second = Start(first);
  ASSERT_EQ(second, first);
  EXPECT_FALSE(exempt.Has(second));
  EXPECT_TRUE(ExemptProcesses({second}).Has(second));
  End(second);
  EXPECT_FALSE(ExemptProcesses({second}).Has(second));
}

}  // namespace
}  // namespace assay::measure
