#include "measure/file.h"

#include <gtest/gtest.h>

#include "measure/engine.h"

namespace assay::measure {
namespace {

// Programs at a fixed address: maps pads, map_files does not.
TEST(MapFile, IsNamedWithoutLeadingZeros) {
  EXPECT_EQ(MapFile("1", "00400000-00401000"), "/proc/1/map_files/400000-401000");
  EXPECT_EQ(MapFile("self", "7f0000000000-7f0000001000"), "/proc/self/map_files/7f0000000000-7f0000001000");
  EXPECT_EQ(MapFile("1", "00000000-"), "/proc/1/map_files/0");
  EXPECT_EQ(MapFile("1", "-"), "/proc/1/map_files/");
}

}  // namespace
}  // namespace assay::measure
