#include "base/clock.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Clock, TimesAreOfTheGregorianCalendarInUtc) {
  EXPECT_EQ(TimeText(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(TimeText(951'868'799'999), "2000-02-29T23:59:59.999Z");
  EXPECT_EQ(TimeText(4'107'542'400'001), "2100-03-01T00:00:00.001Z");  // 2100 has no 29th of February
  EXPECT_EQ(DateText(1'796'038'008'000), "2026-11-30");
  EXPECT_EQ(TimeText(~0ULL), "9999-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace assay
