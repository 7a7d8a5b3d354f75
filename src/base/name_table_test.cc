#include "base/name_table.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

enum class Level { kQuote, kList, kFull };
constexpr auto kLevels =
    Names<Level>({{Level::kQuote, "quote"}, {Level::kList, "list"}, {Level::kFull, "full"}});

// What makes a table that misses an enumerator fail to compile.
static_assert(IsEnumerator<Level::kFull>());
static_assert(!IsEnumerator<static_cast<Level>(3)>());

TEST(NameTable, NamesEachValueAndReadsItBack) {
  static_assert(kLevels.size() == 3);
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    const auto level = static_cast<Level>(i);
    EXPECT_EQ(kLevels.Find(kLevels.Of(level)), level);
  }
  EXPECT_EQ(kLevels.Of(Level::kList), "list");
}

TEST(NameTable, WhatIsNoNameIsAnErrorThatSaysWhichThereAre) {
  EXPECT_EQ(kLevels.Find("Full"), std::nullopt);
  EXPECT_EQ(kLevels.Find(""), std::nullopt);
  ASSERT_TRUE(kLevels.Parse("list", "level"));
  const Result<Level> none = kLevels.Parse("all", "level");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().As<UsageError>(), nullptr);
  EXPECT_EQ(none.error().Message(), "level: not quote, list or full: all");
}

TEST(NameTable, AValueThatIsNoEnumeratorHasNoName) { EXPECT_EQ(kLevels.Of(static_cast<Level>(7)), "?"); }

}  // namespace
}  // namespace assay
