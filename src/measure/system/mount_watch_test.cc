#include "measure/system/mount_watch.h"

#include <gtest/gtest.h>

#include "base/result_testing.h"

namespace assay::measure {
namespace {

TEST(MountWatch, EndsAtOnceWhereNothingIsMounted) {
  int appeared = 0;
  {
    const auto watch = MountWatch::Start([&](const Mount&) { ++appeared; });
    ASSERT_TRUE(watch) << watch.error().Message();
  }
  EXPECT_EQ(appeared, 0);
}

}  // namespace
}  // namespace assay::measure
