#include "measure/engine/last_means.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

namespace assay::measure {
namespace {

std::vector<pid_t> ChildrenNamed(const std::string& name) {
  std::ifstream file("/proc/self/task/" + std::to_string(gettid()) + "/children");
  std::vector<pid_t> found;
  for (pid_t pid = 0; file >> pid;) {
    std::string comm;
    std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> comm;
    if (comm == name) found.push_back(pid);
  }
  return found;
}

// What it does to a server that does not answer is shown by tests/e2e/hang. Here: it is started once, takes
// what is no FUSE, and ends with this process whole.
TEST(LastMeans, ItsChildEndsWithItsParent) {
  const pid_t parent = fork();
  if (parent == 0) {
    int owner = 0;
    if (!ChildrenNamed("assay-last").empty()) _exit(1);
    EndAtDeath(&owner, {});
    if (!ChildrenNamed("assay-last").empty()) _exit(2);
    EndAtDeath(&owner, {makedev(0, 4711)});
    for (int i = 0; i < 1000 && ChildrenNamed("assay-last").empty(); ++i) usleep(10'000);
    const std::vector<pid_t> children = ChildrenNamed("assay-last");
    EndAtDeath(&owner, {});
    EndAtDeath(&owner, {makedev(0, 4712)});
    if (children.size() != 1 || ChildrenNamed("assay-last") != children) _exit(3);
    std::ofstream("/proc/self/comm") << children[0];  // for the test
    raise(SIGSTOP);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(parent, &status, WUNTRACED), parent);
  ASSERT_TRUE(WIFSTOPPED(status)) << WEXITSTATUS(status);
  pid_t child = 0;
  std::ifstream("/proc/" + std::to_string(parent) + "/comm") >> child;
  ASSERT_GT(child, 0);
  EXPECT_EQ(kill(child, 0), 0);
  ASSERT_EQ(kill(parent, SIGKILL), 0);
  waitpid(parent, &status, 0);
  for (int i = 0; i < 1000 && kill(child, 0) == 0; ++i) {
    std::string line;
    std::getline(std::ifstream("/proc/" + std::to_string(child) + "/stat") >> std::ws, line);
    if (line.find(") Z") != std::string::npos) break;  // it is not reaped at once everywhere
    usleep(10'000);
  }
  std::string line;
  std::getline(std::ifstream("/proc/" + std::to_string(child) + "/stat") >> std::ws, line);
  EXPECT_TRUE(line.empty() || line.find(") Z") != std::string::npos) << line;
}

}  // namespace
}  // namespace assay::measure
