#include "measure/node/measure_quota.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace assay::measure {
namespace {

using namespace std::chrono_literals;

MeasureQuota::Clock::time_point At(std::chrono::milliseconds t) {
  return MeasureQuota::Clock::time_point(1h) + t;
}

unsigned TakeAll(MeasureQuota& quota, uid_t uid, std::chrono::milliseconds t) {
  unsigned n = 0;
  while (n < 10'000 && quota.Take(uid, At(t))) ++n;
  return n;
}

const QuotaOptions kOptions{.user = {.burst = 10, .per_minute = 6, .share = 30},
                            .all = {.burst = 25, .per_minute = 12, .share = 1000},
                            .period = 60s};

TEST(MeasureQuota, EachUserHasABucketAndAllHaveOneTogether) {
  MeasureQuota quota(kOptions);
  EXPECT_EQ(TakeAll(quota, 1, 0s), 10U);
  EXPECT_EQ(TakeAll(quota, 2, 0s), 10U);
  EXPECT_EQ(TakeAll(quota, 3, 0s), 5U) << "of all users' together";
  EXPECT_EQ(TakeAll(quota, 0, 0s), 10'000U) << "root is not limited";
  EXPECT_EQ(TakeAll(quota, 1, 30s), 3U);
  EXPECT_EQ(TakeAll(quota, 2, 24h), 10U);
}

TEST(MeasureQuota, AShareIsForAsLongAsTheListLives) {
  MeasureQuota quota(kOptions);
  unsigned taken = 0;
  for (int day = 0; day < 30; ++day) taken += TakeAll(quota, 1, day * 24h);
  EXPECT_EQ(taken, 30U);
  EXPECT_EQ(TakeAll(quota, 2, 31 * 24h), 10U);
}

TEST(MeasureQuota, WhatCausedNoRecordIsGivenBack) {
  MeasureQuota quota(kOptions);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(quota.Take(1, At(0s)));
    quota.GiveBack(1);
  }
}

TEST(MeasureQuota, RefusalsAreToldOnceForEachUserAndPeriod) {
  MeasureQuota quota(kOptions);
  EXPECT_EQ(TakeAll(quota, 1, 0s), 10U);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(quota.Take(1, At(1s)));
  EXPECT_TRUE(quota.Due(At(30s)).empty());
  auto due = quota.Due(At(61s));
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].uid, 1U);
  EXPECT_EQ(due[0].refused, 5U);
  EXPECT_TRUE(quota.Due(At(200s)).empty());
  TakeAll(quota, 0, 300s);
  for (uid_t uid = 1; uid <= 2000; ++uid) TakeAll(quota, uid, 300s);
  due = quota.Due(At(301s), true);
  ASSERT_EQ(due.size(), MeasureQuota::kMaxNamed + 1);
  std::uint64_t refused = 0;
  for (const LimitRecord& r : due) refused += r.refused;
  EXPECT_EQ(refused, 2000U);
  EXPECT_EQ(EncodeLimit({.uids = 1, .refused = 2, .uid = 7}, 60s),
            "{\"period_ms\":60000,\"refused\":2,\"uid\":7}");
  EXPECT_EQ(EncodeLimit({.uids = 9, .refused = 20, .uid = 0}, 60s),
            "{\"period_ms\":60000,\"refused\":20,\"users\":9}");
}

}  // namespace
}  // namespace assay::measure
