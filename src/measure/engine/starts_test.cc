#include "measure/engine/starts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace assay::measure {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

Start Python(std::uint64_t at_s, pid_t process = 7) {
  return {.at_ns = at_s * kSecond, .process = process, .hook = "python", .path = "/usr/bin/python3.11"};
}

TEST(Starts, NamesOfHooks) {
  EXPECT_TRUE(IsHookName("python"));
  EXPECT_TRUE(IsHookName("node-20"));
  EXPECT_FALSE(IsHookName(""));
  EXPECT_FALSE(IsHookName("Python"));
  EXPECT_FALSE(IsHookName("a b"));
  EXPECT_FALSE(IsHookName(std::string(33, 'a')));
}

class StartsTest : public ::testing::Test {
 protected:
  std::size_t DueAt(std::uint64_t s) { return starts_.Due(s * kSecond).size(); }
  Starts starts_{std::chrono::seconds(30), 4};
};

TEST_F(StartsTest, AnAnnouncedStartIsFine) {
  starts_.Started(Python(100));
  starts_.Announced(7, "python", 101 * kSecond);
  EXPECT_EQ(DueAt(200), 0U);
}

TEST_F(StartsTest, TheEventMayComeLater) {
  starts_.Announced(7, "python", 101 * kSecond);
  EXPECT_EQ(DueAt(110), 0U);
  starts_.Started(Python(100));
  EXPECT_EQ(DueAt(200), 0U);
}

TEST_F(StartsTest, WithoutAnAnnouncementItIsToldOnceAndAfterItsTime) {
  starts_.Started(Python(100));
  EXPECT_EQ(DueAt(129), 0U);
  const auto due = starts_.Due(130 * kSecond);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].start.path, "/usr/bin/python3.11");
  EXPECT_EQ(due[0].said, "");
  starts_.Started(Python(140, 8));
  EXPECT_EQ(DueAt(200), 0U);
}

TEST_F(StartsTest, WhatWasSaidBeforeTheStartDoesNotCount) {
  starts_.Announced(7, "python", 99 * kSecond);
  starts_.Started(Python(100));
  EXPECT_EQ(DueAt(200), 1U);
}

TEST_F(StartsTest, NorWhatTheProcessSaysAfterItsNextStart) {
  starts_.Started(Python(100));
  starts_.Started(Python(105));
  starts_.Announced(7, "python", 106 * kSecond);
  EXPECT_EQ(DueAt(200), 1U);
}

TEST_F(StartsTest, NorAnotherProcess) {
  starts_.Started(Python(100));
  starts_.Announced(8, "python", 101 * kSecond);
  EXPECT_EQ(DueAt(200), 1U);
}

TEST_F(StartsTest, AnotherHookIsAnotherWay) {
  starts_.Started(Python(100));
  starts_.Started(Python(100, 8));
  starts_.Announced(8, "perl", 101 * kSecond);
  const auto due = starts_.Due(200 * kSecond);
  ASSERT_EQ(due.size(), 2U);
  EXPECT_EQ(due[1].said, "perl");
}

TEST_F(StartsTest, BeyondTheBoundTheOldestIsJudgedEarly) {
  for (int i = 0; i < 5; ++i) starts_.Started(Python(100, 10 + i));
  EXPECT_EQ(starts_.early(), 1U);
  EXPECT_EQ(DueAt(101), 1U);
}

TEST_F(StartsTest, OldAnnouncementsAreForgotten) {
  starts_.Announced(7, "python", 101 * kSecond);
  EXPECT_EQ(DueAt(300), 0U);
  starts_.Started(Python(100));
  EXPECT_EQ(DueAt(301), 1U);
}

TEST_F(StartsTest, AtTheEndOnlyEndedProcessesAreJudged) {
  starts_.Started(Python(100, getpid()));
  EXPECT_EQ(starts_.Rest().size(), 0U);
  starts_.Started(Python(100, 0x7FFFFFFF));
  EXPECT_EQ(starts_.Rest().size(), 1U);
  EXPECT_EQ(starts_.Rest().size(), 0U);
}

}  // namespace
}  // namespace assay::measure
