#include "measure/system/file.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "base/result_testing.h"
#include "measure/system/cgroup.h"

namespace assay::measure {
namespace {

using ::testing::AllOf;
using ::testing::Field;

auto Is(std::uint64_t mount, std::uint64_t inode) {
  return IsOkAnd(AllOf(Field(&FdInfo::mount, mount), Field(&FdInfo::inode, inode)));
}

TEST(FdInfo, TheNumbersOfItsLinesOrAnError) {
  EXPECT_THAT(ParseFdInfo("pos:\t0\nflags:\t02\nmnt_id:\t29\nino:\t1234\n"), Is(29, 1234));
  EXPECT_THAT(ParseFdInfo("ino: 1\nmnt_id: 2\nino: 3"), Is(2, 1));
  for (const char* bad :
       {"", "mnt_id:\t29\n", "mnt_id:\t29\ninotify wd:1 ino:5e\n", "mnt_id:\tx\nino:\t1\n",
        "mnt_id:\t18446744073709551616\nino:\t1\n", "mnt_id:\t1 2\nino:\t1\n", "mnt_id:\t-1\nino:\t1\n"})
    EXPECT_THAT(ParseFdInfo(bad), FailsWith("parse.fdinfo")) << bad;
  EXPECT_THAT(FdInfoOf("/proc/self", "0"), IsOk());
}

TEST(Cgroup, ThePathOfTheUnifiedHierarchy) {
  EXPECT_EQ(CgroupIn("0::/system.slice/a b\n"), "/system.slice/a b");
  EXPECT_EQ(CgroupIn("12:cpu:/a\n0::/\n"), "/");
  EXPECT_EQ(CgroupIn("12:cpu:/0::/x\n10::/y\n0::z\n"), std::nullopt);
  EXPECT_TRUE(CgroupOf(getpid()));
}

}  // namespace
}  // namespace assay::measure
