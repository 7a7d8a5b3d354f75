#include "base/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/result_testing.h"

namespace assay {
namespace {

TEST(FolderTest, HasTheNames) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "assay-folder-test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "below");
  std::ofstream(folder / "file") << "x";
  EXPECT_THAT(NamesIn(folder), IsOkAnd(testing::UnorderedElementsAre("below", "file")));
  EXPECT_THAT(NamesIn(folder / "below"), IsOkAnd(testing::IsEmpty()));
  std::filesystem::remove_all(folder);
}

TEST(FolderTest, AFolderThatGoesIsAnError) {
  const Result<std::vector<std::string>> none = NamesIn("/nonexistent");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().As<OsError>()->err, ENOENT);
  // The folder of a process that has ended and was not waited for can be opened, and not read.
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);
  const std::string fds = "/proc/" + std::to_string(child) + "/fd";
  EXPECT_TRUE(!NamesIn(fds) || NamesIn(fds)->empty());
  waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace assay
