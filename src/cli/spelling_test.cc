#include "cli/spelling.h"

#include <gtest/gtest.h>

#include "cli/commands.h"

namespace assay::cli {
namespace {

class SpellingTest : public ::testing::Test {
 protected:
  SpellingTest() { AddAll(line_.root(), session_); }
  Session session_;
  CommandLine line_{""};
};

TEST_F(SpellingTest, ACommandOrOptionThatIsNearIsNamed) {
  EXPECT_EQ(Suggestion(line_.root(), {"atest"}), "attest");
  EXPECT_EQ(Suggestion(line_.root(), {"enroll", "--unix", "x"}), "enrol");
  EXPECT_EQ(Suggestion(line_.root(), {"log", "shwo"}), "show");
  EXPECT_EQ(Suggestion(line_.root(), {"attest", "--refrence", "x"}), "--reference");
  EXPECT_EQ(Suggestion(line_.root(), {"attest", "--jsno"}), "--json");
  EXPECT_EQ(Suggestion(line_.root(), {"log", "edit", "--remov=1"}), "--remove");
}

TEST_F(SpellingTest, NothingIsNamedWhereNothingIsNear) {
  EXPECT_EQ(Suggestion(line_.root(), {"frobnicate"}), "");
  EXPECT_EQ(Suggestion(line_.root(), {"attest", "--unix"}), "");
  EXPECT_EQ(Suggestion(line_.root(), {"run", "--", "--jsno"}), "");
}

TEST_F(SpellingTest, ThePathOfACommand) {
  EXPECT_EQ(PathOf(line_.root(), {"log", "--json", "show", "x"}), " log show");
  EXPECT_EQ(PathOf(line_.root(), {"x"}), "");
}

}  // namespace
}  // namespace assay::cli
