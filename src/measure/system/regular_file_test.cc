#include "measure/system/regular_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/result_testing.h"

namespace assay::measure {
namespace {

class RegularFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-regular-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string At(const std::string& name) const { return dir_ + "/" + name; }

  std::string dir_;
};

TEST_F(RegularFile, IsOpenedForReading) {
  ASSERT_THAT(WriteFileAtomic(At("file"), AsBytes("text")), IsOk());
  const auto fd = OpenRegular(At("file"));
  ASSERT_THAT(fd, IsOk());
  EXPECT_EQ(AsText(*ReadAll(fd->get(), 100)), "text");
  const auto again = ReopenRegular(fd->get());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(AsText(*ReadAll(again->get(), 100)), "text");  // an offset of its own
}

TEST_F(RegularFile, NothingElseIsEverOpened) {
  ASSERT_EQ(mkfifo(At("pipe").c_str(), 0600), 0);
  ASSERT_EQ(mkdir(At("folder").c_str(), 0700), 0);
  ASSERT_EQ(symlink("pipe", At("link").c_str()), 0);
  const UniqueFd watch(inotify_init1(IN_NONBLOCK));
  for (const char* name : {"pipe", "folder"})
    ASSERT_GE(inotify_add_watch(watch.get(), At(name).c_str(), IN_OPEN), 0);
  for (const std::string& path : {At("pipe"), At("folder"), At("link"), std::string("/dev/null")}) {
    const auto fd = OpenRegular(path);
    ASSERT_THAT(fd, FailsWith("measure.not-a-file")) << path;
  }
  char event[4096];
  EXPECT_EQ(read(watch.get(), event, sizeof(event)), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(RegularFile, FollowsNoLinkWhenAskedNotTo) {
  ASSERT_THAT(WriteFileAtomic(At("file"), AsBytes("text")), IsOk());
  ASSERT_EQ(symlink("file", At("link").c_str()), 0);
  EXPECT_THAT(OpenRegular(At("link")), IsOk());
  EXPECT_THAT(OpenRegular(At("link"), O_NOFOLLOW), ::testing::Not(IsOk()));
}

TEST_F(RegularFile, IsOnTheMountThatItMustBeOn) {
  ASSERT_THAT(WriteFileAtomic(At("file"), AsBytes("text")), IsOk());
  struct statx st{};
  ASSERT_EQ(statx(AT_FDCWD, At("file").c_str(), 0, STATX_MNT_ID, &st), 0);
  EXPECT_THAT(OpenRegular(At("file"), 0, st.stx_mnt_id), IsOk());
  const auto other = OpenRegular(At("file"), 0, st.stx_mnt_id + 100'000);
  ASSERT_THAT(other, FailsWith("measure.other-mount"));
}

}  // namespace
}  // namespace assay::measure
