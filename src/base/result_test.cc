#include "base/result.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/result_testing.h"

namespace assay {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointee;

Result<int> Failing() { return Fail(ParseError("x", 7, "truncated")); }

TEST(Result, ErrorsKeepTheirTypeAndSayWhatWasBeingDone) {
  const auto g = []() -> Result<int> {
    ASSAY_ASSIGN(int v, Failing());
    return v + 1;
  };
  const auto r = g();
  ASSERT_THAT(r, FailsWith("parse.x"));
  ASSERT_NE(r.error().As<ParseError>(), nullptr);
  EXPECT_EQ(r.error().As<ParseError>()->offset, 7U);
  EXPECT_EQ(r.error().As<OsError>(), nullptr);
  EXPECT_EQ(r.error().In("reading").Message(), "reading: x: truncated at offset 7");
}

TEST(ResultMatchers, TellValuesFromErrors) {
  EXPECT_THAT(Result<>(), IsOk());
  EXPECT_THAT(Result<int>(5), IsOkAnd(5));
  EXPECT_THAT(Result<int>(5), Not(IsOkAnd(6)));
  EXPECT_THAT(Result<std::unique_ptr<int>>(std::make_unique<int>(5)), IsOkAnd(Pointee(5)));
  EXPECT_THAT(Failing(), Not(IsOk()));
  EXPECT_THAT(Failing(), Not(IsOkAnd(5)));
  EXPECT_THAT(Failing(), FailsWith("parse.x"));
  EXPECT_THAT(Failing(), FailsWith("parse.x", HasSubstr("offset 7")));
  EXPECT_THAT(Failing(), Not(FailsWith("parse.x", HasSubstr("offset 8"))));
  EXPECT_THAT(Failing(), Not(FailsWith("parse")));
  EXPECT_THAT(Result<int>(5), Not(FailsWith("parse.x")));
}

TEST(ResultMatchers, AFailureSaysTheCodeAndTheSentence) {
  EXPECT_NONFATAL_FAILURE(EXPECT_THAT(Failing(), IsOk()), "error parse.x: x: truncated at offset 7");
  EXPECT_NONFATAL_FAILURE(EXPECT_THAT(Failing(), IsOkAnd(5)), "error parse.x: x: truncated at offset 7");
  EXPECT_NONFATAL_FAILURE(EXPECT_THAT(Failing(), FailsWith("usage")), "Expected: is error usage");
  EXPECT_NONFATAL_FAILURE(EXPECT_THAT(Result<int>(5), FailsWith("usage")), "no error");
}

}  // namespace
}  // namespace assay
