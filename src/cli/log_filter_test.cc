#include "cli/log_filter.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/result_testing.h"

namespace assay::cli {
namespace {

constexpr std::uint64_t kNow = 1'796'000'000'000;

TEST(LogFilterTest, ATimeOrHowLongAgo) {
  EXPECT_EQ(*ParseSince("90s", kNow), kNow - 90'000);
  EXPECT_EQ(*ParseSince("2h", kNow), kNow - 7'200'000);
  EXPECT_EQ(*ParseSince("1d", kNow), kNow - 86'400'000);
  EXPECT_EQ(TimeText(*ParseSince("2026-11-30", kNow)), "2026-11-30T00:00:00.000Z");
  EXPECT_EQ(TimeText(*ParseSince("2026-11-30T02:03:04Z", kNow)), "2026-11-30T02:03:04.000Z");
  for (const char* text : {"", "yesterday", "2026-13-01", "99999999999999999999d", "1w", "h"})
    EXPECT_FALSE(ParseSince(text, kNow)) << text;
}

TEST(LogFilterTest, WhoAndWhenNeedAContext) {
  ShowOptions o;
  o.by = "bash";
  EXPECT_THAT(LogFilter::Of(o, "", kNow), FailsWith("usage"));
  o.by.clear();
  o.unknown = true;
  EXPECT_THAT(LogFilter::Of(o, "", kNow), FailsWith("usage"));
}

TEST(LogFilterTest, AContainerByItsRecordElseByTheContext) {
  const std::string id(64, 'a');
  ShowOptions o;
  o.container = id.substr(0, 12);
  const Result<LogFilter> filter = LogFilter::Of(o, "", kNow);
  ASSERT_TRUE(filter);
  const auto keeps = [&](const std::string& cgroup) {
    ima::Entry entry;
    entry.path = "/usr/bin/ls";
    entry.cgroup = cgroup;
    return filter->Keeps({}, 0, entry);
  };
  EXPECT_TRUE(keeps("/machine.slice/libpod-" + id + ".scope"));
  EXPECT_TRUE(keeps("/user.slice/user-1000.slice/user@1000.service/libpod-" + id + ".scope"));
  EXPECT_FALSE(keeps("/machine.slice/libpod-" + std::string(64, 'b') + ".scope"));
  EXPECT_FALSE(keeps("/system.slice/ssh.service"));
  EXPECT_FALSE(keeps(""));
  o.container = "1001:" + id;
  EXPECT_FALSE(LogFilter::Of(o, "", kNow)->Keeps({}, 0, ima::Entry{}));
  o.container = "no/container";
  EXPECT_THAT(LogFilter::Of(o, "", kNow), FailsWith("usage"));
}

}  // namespace
}  // namespace assay::cli
