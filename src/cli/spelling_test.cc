#include "cli/spelling.h"

#include <gtest/gtest.h>

#include "cli/commands.h"

namespace assay::cli {
namespace {

class SpellingTest : public ::testing::Test {
 protected:
  SpellingTest() { AddAll(app_, session_); }
  Session session_;
  CLI::App app_;
};

TEST_F(SpellingTest, ACommandOrOptionThatIsNearIsNamed) {
  EXPECT_EQ(Suggestion(app_, {"atest"}), "attest");
  EXPECT_EQ(Suggestion(app_, {"enroll", "--unix", "x"}), "enrol");
  EXPECT_EQ(Suggestion(app_, {"log", "shwo"}), "show");
  EXPECT_EQ(Suggestion(app_, {"attest", "--refrence", "x"}), "--reference");
  EXPECT_EQ(Suggestion(app_, {"attest", "--jsno"}), "--json");
  EXPECT_EQ(Suggestion(app_, {"log", "edit", "--remov=1"}), "--remove");
}

TEST_F(SpellingTest, NothingIsNamedWhereNothingIsNear) {
  EXPECT_EQ(Suggestion(app_, {"frobnicate"}), "");
  EXPECT_EQ(Suggestion(app_, {"attest", "--unix"}), "");
  EXPECT_EQ(Suggestion(app_, {"run", "--", "--jsno"}), "");
}

TEST_F(SpellingTest, ThePathOfACommand) {
  EXPECT_EQ(PathOf(app_, {"log", "--json", "show", "x"}), " log show");
  EXPECT_EQ(PathOf(app_, {"x"}), "");
}

}  // namespace
}  // namespace assay::cli
