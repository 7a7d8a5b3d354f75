#include "measure/system/violation_record.h"

#include <gtest/gtest.h>

#include "base/members_testing.h"

namespace assay::measure {
namespace {

TEST(ViolationRecord, EachMemberIsWrittenAndRead) {
  const ViolationRecord full{.violation = "anonymous_code",
                             .path = "anonymous_code:/usr/bin/java",
                             .program = Digest::Filled(HashAlg::kSha256, 1)};
  ExpectEachMemberSet(full);
  EXPECT_EQ(ParseViolation(EncodeViolation(full)).value(), full);
  ViolationRecord blank = full;
  blank.path = "a b";
  EXPECT_EQ(ParseViolation(EncodeViolation(blank))->path, "a_b");
}

TEST(ViolationRecord, AProgramIsADigest) {
  const std::string text = EncodeViolation({"mprotect", "/x", Digest::Filled(HashAlg::kSha256, 1)});
  for (const char* to : {"sha256:", "sha1:01", "SHA256:01", ""}) {
    std::string other = text;
    other.replace(other.find("sha256:01"), 9, to);
    EXPECT_FALSE(ParseViolation(other)) << other;
  }
}

}  // namespace
}  // namespace assay::measure
