#include "measure/system/task_names.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace assay::measure {
namespace {

TEST(TaskStat, IsReadBehindANameOfAnyForm) {
  const auto of = [](std::string_view text) {
    const auto task = ParseTaskStat(text);
    return task ? task->comm + " " + std::to_string(task->parent) : "";
  };
  EXPECT_EQ(of("12 (sh) S 7 12 12 0"), "sh 7");
  EXPECT_EQ(of("12 (a) S 1 (b)) R 0 1"), "a) S 1 (b) 0");
  EXPECT_EQ(of("12 () S 7 1"), " 7");
  for (const char* bad : {"", "12", "12 (sh", "12 (sh)", "12 (sh) S", "12 (sh) S 7", "12 (sh) S x 1",
                          "12 )sh( S 7 1", "12 (sh) S -7 1", "12 (sh) S 99999999999 1"})
    EXPECT_EQ(of(bad), "") << bad;
}

TEST(TaskNames, AreOfTheProgramAndItsParents) {
  const pid_t parent = fork();
  if (parent == 0) {
    prctl(PR_SET_NAME, "a,parent");
    const pid_t child = fork();
    if (child == 0) pause();
    Context context;
    NameTask(child, context);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    _exit(context.under.starts_with("a_parent") && context.program.ends_with("_test") ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(parent, &status, 0), parent);
  EXPECT_EQ(status, 0);
}

TEST(TaskNames, OfATaskThatHasEndedAreUnknown) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  Context context;
  context.program = "x";
  context.under = "y";
  NameTask(child, context);
  EXPECT_EQ(context.program + context.under, "");
}

}  // namespace
}  // namespace assay::measure
