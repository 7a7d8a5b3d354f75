// What a recording tells its caller, and what the caller tells it.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "measure/record/recorder_testing.h"

namespace assay::measure {
namespace {

// Of the path's record, or of the group that has it: also where nothing is new, and after a restart.
TEST_F(RecorderTest, TheIndexIsOfTheRecordThatHasTheContent) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d == DigestOf("known"); };
  Open();
  EXPECT_EQ(Add("/a", "1").index, 1U);
  EXPECT_EQ(Add("/b", "known").index, 2U) << "of the group that is open";
  EXPECT_EQ(Add("/c", "known").index, 2U);
  EXPECT_EQ(Add("/b", "known").index, 2U) << "it is open still";
  EXPECT_EQ(Add("/d", "2").index, 3U);
  const auto violate = [&](const std::optional<Digest>& program) {
    const auto r = recorder_->RecordViolation(Violation::kAnonymousCode, "/e", {}, program);
    EXPECT_TRUE(r);
    return r ? *r : Recorded{};
  };
  EXPECT_EQ(violate(std::nullopt).index, 4U);
  EXPECT_EQ(violate(DigestOf("program")).index, 5U) << "its program is in record 6";
  const auto check_again = [&](std::uint64_t e) {
    const std::pair<Recorded, std::uint64_t> all[] = {{Add("/a", "1"), 1},
                                                      {Add("/b", "known"), 2},
                                                      {Add("/c", "known"), 2},
                                                      {Add("/d", "2"), 3},
                                                      {violate(DigestOf("program")), e}};
    for (const auto& [again, index] : all) {
      EXPECT_FALSE(again.is_new);
      EXPECT_EQ(again.index, index);
    }
  };
  check_again(5);
  EXPECT_EQ(Add("/a", "3").index, 7U);
  EXPECT_EQ(Add("/a", "1").index, 8U);
  Close();
  Open();
  EXPECT_EQ(Add("/a", "1").index, 8U);
  EXPECT_EQ(Add("/c", "known").index, 2U);
  EXPECT_EQ(Add("/d", "2").index, 3U);
  EXPECT_EQ(violate(DigestOf("program")).index, 5U);
}

// Rules have asked already whether the digest is in the manifest: their answer travels with the measurement.
TEST_F(RecorderTest, WhatTheCallerKnowsOfTheDigestIsNotAskedAgain) {
  options_.group_ms = 60'000;
  int asked = 0;
  options_.known = [&asked](const Digest&) {
    ++asked;
    return true;
  };
  Open();
  const auto record = [&](std::string_view path, std::optional<bool> known) {
    ASSERT_TRUE(recorder_->Record(
        {.digest = DigestOf(path), .path = std::string(path), .context = {}, .known = known}));
  };
  record("/a", true);
  EXPECT_EQ(recorder_->State().count, 1U) << "it is in the open group";
  record("/b", false);
  EXPECT_EQ(recorder_->State().count, 3U) << "the group, and a record of its own";
  EXPECT_EQ(asked, 0);
  record("/c", std::nullopt);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(recorder_->State().count, 3U);
}

}  // namespace
}  // namespace assay::measure
