#include "measure/system/maps.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/result_testing.h"

namespace assay::measure {
namespace {

// For programs at a low fixed address maps pads the range with zeros, and map_files does not.
TEST(MapFile, IsNamedWithoutLeadingZeros) {
  EXPECT_EQ(MapFile("1", "00400000-00401000"), "/proc/1/map_files/400000-401000");
  EXPECT_EQ(MapFile("self", "7f0000000000-7f0000001000"), "/proc/self/map_files/7f0000000000-7f0000001000");
  EXPECT_EQ(MapFile("1", "00000000-"), "/proc/1/map_files/0");
  EXPECT_EQ(MapFile("1", "-"), "/proc/1/map_files/");
}

TEST(Mappings, OurOwnCodeIsThere) {
  const auto here = reinterpret_cast<std::uint64_t>(&MapFile);
  struct stat st{};
  ASSERT_EQ(stat("/proc/self/exe", &st), 0);
  char object[64];
  std::snprintf(object, sizeof(object), "%02x:%02x %lu", major(st.st_dev), minor(st.st_dev), st.st_ino);
  std::uint64_t last = 0;
  bool found = false, stack = false, anonymous = false;
  ASSERT_THAT(ForEachMapping("self",
                             [&](const Mapping& m) {
                               EXPECT_LE(last, m.begin);
                               EXPECT_LT(m.begin, m.end);
                               last = m.end;
                               if (here >= m.begin && here < m.end) {
                                 found = true;
                                 EXPECT_TRUE(m.executable);
                                 EXPECT_EQ(m.object, object);
                                 EXPECT_TRUE(m.path.ends_with("assay_measure_system_test")) << m.path;
                               }
                               stack |= m.path == "[stack]" && !m.executable;
                               anonymous |= m.path.empty() && m.object == "00:00 0";
                               return true;
                             }),
              IsOk());
  EXPECT_TRUE(found && stack && anonymous);
}

TEST(Mappings, LinesThatAreNotUnderstoodArePassedOver) {
  std::vector<std::string> ranges;
  ForEachMappingIn(
      "x-y r-xp 0 0 1 /a\n2-1 r-xp 0 0 1 /b\n1-2 r\n1-2\n\n-\n12-1f r-xp 0 08:01 7  /c d\n1-2x r-xp 0 0 1 /e",
      [&](const Mapping& m) {
        EXPECT_EQ(m.begin, 0x12U);
        EXPECT_EQ(m.end, 0x1fU);
        EXPECT_EQ(m.object, "08:01 7");
        EXPECT_EQ(m.path, "/c d");
        ranges.emplace_back(m.range);
        return true;
      });
  EXPECT_EQ(ranges, std::vector<std::string>{"12-1f"});
}

TEST(Mappings, EndWhereTheCallbackSaysSo) {
  int n = 0;
  ASSERT_THAT(ForEachMapping("self", [&](const Mapping&) { return ++n < 2; }), IsOk());
  EXPECT_EQ(n, 2);
  EXPECT_THAT(ForEachMapping("0", [](const Mapping&) { return true; }), ::testing::Not(IsOk()));
}

}  // namespace
}  // namespace assay::measure
