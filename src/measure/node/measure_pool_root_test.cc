// Many requests of one user keep neither root's nor another user's from being answered.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "measure/node/fs_testing.h"
#include "measure/node/measure_pool.h"

namespace assay::measure {
namespace {

constexpr uid_t kFlooder = 4711, kOther = 4712;
constexpr int kNone = -1;

class PoolTest : public FsTest {
 protected:
  void Begin() {
    Start();
    const std::string large = Put("large", ""), small = Put("small", "content");
    ASSERT_EQ(truncate(large.c_str(), off_t{4} << 20), 0);
    large_ = UniqueFd(open(large.c_str(), O_RDONLY | O_CLOEXEC));
    small_ = UniqueFd(open(small.c_str(), O_RDONLY | O_CLOEXEC));
    pool_ = std::make_unique<MeasurePool>(*recorder_, MeasurePoolOptions{});
  }
  void TearDown() override {
    pool_.reset();
    FsTest::TearDown();
  }
  // `times` lines about one file. The errno comes to `error`, and 0 once all are done.
  void Submit(uid_t uid, const UniqueFd& file, std::size_t times, std::atomic<int>& error) {
    pool_->Submit({.tid = gettid(), .uid = uid},
                  std::vector<RequestLine>(times, {.text = "fd:" + std::to_string(file.get()), .end = 0}),
                  false, [&error](std::size_t /*done*/, int e, const std::string& /*verdicts*/) {
                    if (error != EBUSY) error = e;
                  });
  }
  static bool ComesSoon(const std::atomic<int>& error) {
    for (int i = 0; i < 500 && error == kNone; ++i) usleep(10'000);
    return error != kNone;
  }

  UniqueFd large_, small_;
  std::atomic<int> floods_{kNone}, other_{kNone}, users_{kNone}, root_{kNone};
  std::unique_ptr<MeasurePool> pool_;
};

TEST_F(PoolTest, OneUsersLongRequestsHoldNobodyElse) {
  Begin();
  for (int i = 0; i < 40; ++i) Submit(kFlooder, large_, 10'000, floods_);
  usleep(100'000);
  Submit(kOther, small_, 1, other_);
  EXPECT_TRUE(ComesSoon(other_));
  EXPECT_EQ(other_, 0);
  // With another one like it: the last worker is root's.
  for (int i = 0; i < 40; ++i) Submit(kOther + 1, large_, 10'000, floods_);
  usleep(100'000);
  Submit(0, small_, 1, root_);
  EXPECT_TRUE(ComesSoon(root_));
  EXPECT_EQ(root_, 0);
  EXPECT_EQ(floods_, kNone);
}

TEST_F(PoolTest, WhatUsersHaveWaitingKeepsNothingOfRootsOut) {
  Begin();
  for (uid_t uid = kFlooder; users_ != EBUSY && uid < kFlooder + 10; ++uid)
    for (int i = 0; i < 2000; ++i) Submit(uid, large_, 20, users_);
  EXPECT_EQ(users_, EBUSY);
  Submit(0, small_, 1, root_);
  EXPECT_TRUE(ComesSoon(root_));
  EXPECT_EQ(root_, 0);
}

}  // namespace
}  // namespace assay::measure
