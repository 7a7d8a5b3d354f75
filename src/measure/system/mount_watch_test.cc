#include "measure/system/mount_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/result_testing.h"

namespace assay::measure {
namespace {

TEST(MountInfo, ReadsPointsAndTypes) {
  auto mounts = ParseMountInfo(
      "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
      "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n");
  ASSERT_THAT(mounts, IsOk());
  ASSERT_EQ(mounts->size(), 2u);
  EXPECT_FALSE(HoldsFiles((*mounts)[0]));
  EXPECT_EQ((*mounts)[1].id, 36u);
  EXPECT_EQ((*mounts)[1].point, "/a b");
  EXPECT_EQ((*mounts)[1].type, "ext3");
  EXPECT_EQ((*mounts)[1].device, "98:0");
  EXPECT_EQ((*mounts)[1].options, "rw,errors=continue");
  EXPECT_TRUE(HoldsFiles((*mounts)[1]));
}

TEST(MountInfo, NamesWhatIsWrongAndWhere) {
  const std::string good = "22 27 0:21 / /proc rw,relatime - proc proc rw\n";
  struct Case {
    std::string line, what;
  };
  for (const Case& c : {Case{"x 27 0:21 / /p rw - a b c\n", "mount ID"}, Case{"1 2 3\n", "too few fields"},
                        Case{"22 27 0:21 / /proc rw a b c d e\n", "no separator"},
                        Case{"22 27 0:21 / /pr\\9oc rw,relatime - proc proc rw\n", "escape"}}) {
    auto r = ParseMountInfo(good + c.line);
    ASSERT_THAT(r, FailsWith("?77")) << c.line;
    const auto* e = r.error().As<ParseError>();
    ASSERT_NE(e, nullptr);
    EXPECT_EQ(e->what, c.what);
    EXPECT_GE(e->offset, good.size());
  }
}

TEST(MountInfo, ReadsThisMachine) {
  std::unique_ptr<MountWatch> watch;
  auto started = MountWatch::Start([](const Mount&) {});
  ASSERT_THAT(started, IsOk());
}

}  // namespace
}  // namespace assay::measure
