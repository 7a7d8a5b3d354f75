// For tests: matchers of a Result.
//
//   TEST(Example, MatchersOfAResult) {
//     EXPECT_THAT(Result<>(), IsOk());
//     EXPECT_THAT(Result<int>(5), IsOkAnd(testing::Gt(4)));
//     EXPECT_THAT(FromHex("0"), FailsWith("parse.hex"));
//   }
//
// Contract: if a matcher fails, the test's output has the error's code and sentence. FailsWith() takes the
// dotted code, which a test may compare as text, and a matcher of the sentence.
#pragma once

#include <gmock/gmock.h>

#include <ostream>
#include <string>

#include "base/result.h"

namespace assay {

// GoogleTest prints a value by it: without it, a Result would be a row of bytes.
template <typename T>
void PrintTo(const Result<T>& result, std::ostream* out) {
  if (result)
    *out << "no error";
  else
    *out << "error " << result.error().code() << ": " << result.error().Message();
}

MATCHER(IsOk, negation ? "is an error" : "is no error") { return static_cast<bool>(arg); }

MATCHER_P(IsOkAnd, inner, "is no error, and its value matches") {
  return arg && ::testing::ExplainMatchResult(inner, *arg, result_listener);
}

MATCHER_P(FailsWith, code, "is error " + std::string(code)) {
  return !arg && std::string(arg.error().code()) == code;
}
MATCHER_P2(FailsWith, code, sentence, "is error " + std::string(code) + ", and its sentence matches") {
  return !arg && std::string(arg.error().code()) == code &&
         ::testing::ExplainMatchResult(sentence, arg.error().Message(), result_listener);
}

}  // namespace assay
