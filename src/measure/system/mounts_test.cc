#include "measure/system/mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fd.h"

namespace assay::measure {
namespace {

TEST(Mounts, ReadsPointsAndTypes) {
  auto mounts = ParseMountInfo(
      "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
      "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n");
  ASSERT_TRUE(mounts) << mounts.error().Message();
  ASSERT_EQ(mounts->size(), 2u);
  EXPECT_FALSE(HoldsFiles((*mounts)[0]));
  EXPECT_EQ((*mounts)[1].id, 36u);
  EXPECT_EQ((*mounts)[1].point, "/a b");
  EXPECT_EQ((*mounts)[1].type, "ext3");
  EXPECT_EQ((*mounts)[1].device, "98:0");
  EXPECT_EQ((*mounts)[1].options, "rw,errors=continue");
  EXPECT_TRUE(HoldsFiles((*mounts)[1]));
}

TEST(Mounts, NamesWhatIsWrongAndWhere) {
  const std::string good = "22 27 0:21 / /proc rw,relatime - proc proc rw\n";
  struct Case {
    std::string line, what;
    std::uint64_t at = 0;  // in the line
  };
  for (const Case& c :
       {Case{"x 27 0:21 / /p rw - a b c\n", "mount ID"}, Case{" 27 0:21 / /p rw - a b c\n", "mount ID"},
        Case{"12345678901 27 0:21 / /p rw - a b c\n", "mount ID"}, Case{"1 2 3\n", "too few fields"},
        Case{"22 27 0:21 / /proc rw a b c d e\n", "no separator"},
        Case{"22 27 021 / /proc rw - proc proc rw\n", "device", 6},
        Case{"22 27 0: / /proc rw - proc proc rw\n", "device", 6},
        Case{"22 27 0:21 / /pr\\9oc rw,relatime - proc proc rw\n", "escape", 16},
        Case{"22 27 0:21 / /proc\\777 rw,relatime - proc proc rw\n", "escape", 18},
        Case{"22 27 0:21 / /proc\\04 rw,relatime - proc proc rw\n", "escape", 18}}) {
    const auto r = ParseMountInfo(good + c.line);
    ASSERT_FALSE(r) << c.line;
    const auto* e = r.error().As<ParseError>();
    ASSERT_NE(e, nullptr);
    EXPECT_EQ(e->what, c.what) << c.line;
    EXPECT_EQ(e->offset, good.size() + c.at) << c.line;
  }
}

TEST(Mounts, TextIsBounded) {
  const auto r = ParseMountInfo(std::string(kMaxMountInfo + 1, '\n'));
  ASSERT_FALSE(r);
  ASSERT_NE(r.error().As<ParseError>(), nullptr);
  EXPECT_EQ(r.error().As<ParseError>()->offset, kMaxMountInfo);
}

TEST(Mounts, ReadsThisMachine) {
  const auto mounts = ReadMounts();
  ASSERT_TRUE(mounts) << mounts.error().Message();
  EXPECT_FALSE(mounts->empty());
  const auto info = Open(kOwnMountInfo, O_RDONLY);
  ASSERT_TRUE(info);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ReadMounts(info->get())->size(), mounts->size());
  EXPECT_FALSE(ReadMounts("/proc/0/mountinfo"));
}

TEST(Mounts, FoundByTheirNumber) {
  const auto mounts = ReadMounts();
  ASSERT_TRUE(mounts);
  ASSERT_FALSE(mounts->empty());
  const std::optional<Mount> found = FindMount(mounts->front().id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->point, mounts->front().point);
  EXPECT_FALSE(FindMount(UINT64_MAX));
  EXPECT_FALSE(FindMount(mounts->front().id, "/proc/0/mountinfo"));
}

TEST(Mounts, TypeOfADescriptorsMount) {
  const auto status = Open("/proc/self/status", O_RDONLY);
  ASSERT_TRUE(status);
  EXPECT_EQ(MountTypeOf(status->get()), "proc");
  EXPECT_EQ(MountTypeOf(status->get(), "/proc/0/mountinfo"), std::nullopt);
  EXPECT_EQ(MountTypeOf(-1), std::nullopt);
}

}  // namespace
}  // namespace assay::measure
