#include "attest/callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "base/fd.h"
#include "base/folder_testing.h"
#include "base/log.h"
#include "base/result_testing.h"
#include "evidence/errors.h"

namespace assay::attest {
namespace {

const evidence::Refusal kForbidden{evidence::RefusalCode::kForbidden, "this certificate is not allowed"};

TEST(CallersTest, CountsWhoAskedTheLastOneFirst) {
  Callers callers;
  callers.Note({"aa", "tls", evidence::Level::kFull}, std::nullopt);
  callers.Note({"bb", "tls", std::nullopt}, kForbidden);
  callers.Note({"aa", "tls", evidence::Level::kFull}, std::nullopt);
  const std::vector<Caller> all = callers.All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "aa");
  EXPECT_EQ(all[0].answered, 2u);
  EXPECT_EQ(all[0].outcome, "answered");
  EXPECT_EQ(all[1].name, "bb");
  EXPECT_EQ(all[1].refused, 1u);
  EXPECT_EQ(all[1].outcome, "forbidden");
  EXPECT_FALSE(all[1].level);
}

TEST(CallersTest, IsBounded) {
  Callers callers;
  for (std::size_t i = 0; i < 3 * Callers::kMax; ++i)
    callers.Note({std::to_string(i), "tls", std::nullopt}, kForbidden);
  EXPECT_EQ(callers.All().size(), Callers::kMax);
  EXPECT_EQ(callers.All()[0].name, std::to_string(3 * Callers::kMax - 1));
}

class CallersLogTest : public FolderTest {
 protected:
  std::size_t LinesOf(const std::function<void(Callers&)>& questions, log::Level level = log::Level::kInfo);
};

// How many lines of a log that begins with this level these questions make.
std::size_t CallersLogTest::LinesOf(const std::function<void(Callers&)>& questions, log::Level level) {
  const std::string file = dir_ + "/log";
  unlink(file.c_str());
  EXPECT_THAT(log::Init({.level = level, .json = false, .file = file}), IsOk());
  Callers callers;
  questions(callers);
  EXPECT_THAT(log::Init({}), IsOk());
  const Result<Bytes> text = ReadFile(file, 1 << 20);
  EXPECT_THAT(text, IsOk());
  return text ? static_cast<std::size_t>(std::count(text->begin(), text->end(), '\n')) : 0;
}

TEST_F(CallersLogTest, ALineAtFirstAndAtEachChange) {
  EXPECT_EQ(LinesOf([](Callers& callers) {
              for (int i = 0; i < 100; ++i) callers.Note({"aa", "tls", std::nullopt}, kForbidden);
              for (int i = 0; i < 100; ++i) callers.Note({"aa", "tls", evidence::Level::kList}, std::nullopt);
              for (int i = 0; i < 100; ++i) callers.Note({"aa", "tls", evidence::Level::kFull}, std::nullopt);
            }),
            3u);
}

TEST_F(CallersLogTest, WhatEachVerifierHearsAfterARebootIsNoWarning) {
  const evidence::Refusal shorter{evidence::RefusalCode::kBadRequest, "the list does not reach so far"};
  const auto ordinary = [&](Callers& callers) {
    callers.Note({"aa", "tls", evidence::Level::kFull}, shorter, true);
  };
  EXPECT_EQ(LinesOf(ordinary), 1u);
  EXPECT_EQ(LinesOf(ordinary, log::Level::kWarn), 0u);
  EXPECT_EQ(LinesOf([&](Callers& callers) { callers.Note({"aa", "tls", evidence::Level::kFull}, shorter); },
                    log::Level::kWarn),
            1u);
}

TEST_F(CallersLogTest, StrangersCannotFillTheLog) {
  const std::size_t lines = LinesOf([](Callers& callers) {
    for (int i = 0; i < 1000; ++i) callers.Note({std::to_string(i), "tls", std::nullopt}, kForbidden);
  });
  EXPECT_GE(lines, std::size_t{Callers::kNewPerMinute});
  EXPECT_LE(lines, std::size_t{2} * Callers::kNewPerMinute);  // the minute may change in between
}

}  // namespace
}  // namespace assay::attest
