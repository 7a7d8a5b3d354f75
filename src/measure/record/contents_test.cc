#include "measure/record/contents.h"

#include <gtest/gtest.h>

#include <string>

#include "base/digest.h"

namespace assay::measure {
namespace {

class ContentsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(contents_.Start()); }
  Content Of(std::string_view path, std::string_view text, std::uint64_t record) const {
    Content content = contents_.OfFile(path, std::nullopt, Hash(HashAlg::kSha256, AsBytes(text)).view());
    content.record = record;
    return content;
  }
  Contents contents_{3};
};

TEST_F(ContentsTest, KnowsTheLastContentOfAPathAndItsRecord) {
  contents_.Learn({Of("/a b", "1", 7)});
  EXPECT_EQ(contents_.Find(Of("/a b", "1", 0)), 7U);
  EXPECT_EQ(contents_.Find(Of("/a_b", "1", 0)), 7U) << "as it stands in the list";
  EXPECT_FALSE(contents_.Find(Of("/a b", "2", 0)));
  contents_.Learn({Of("/a b", "2", 9)});
  EXPECT_FALSE(contents_.Find(Of("/a b", "1", 0)));
  EXPECT_FALSE(contents_.Find(contents_.OfViolation("/a b")));
}

TEST_F(ContentsTest, EachControlGroupHasOneWhereTheRecordNamesIt) {
  const Digest digest = Hash(HashAlg::kSha256, AsBytes("1"));
  contents_.Learn({contents_.OfFile("/a", "/one", digest.view())});
  EXPECT_TRUE(contents_.Find(contents_.OfFile("/a", "/one", digest.view())));
  EXPECT_FALSE(contents_.Find(contents_.OfFile("/a", "/two", digest.view())));
  EXPECT_FALSE(contents_.Find(contents_.OfFile("/a", "", digest.view())));
  EXPECT_FALSE(contents_.Find(contents_.OfFile("/a", std::nullopt, digest.view())));
}

TEST_F(ContentsTest, ABuffersNameIsNoPlace) {
  contents_.Learn({Of("buffer:0:bash-c:/usr/bin/bash", "1", 1)});
  contents_.Learn({Of("buffer:0:bash-c:/usr/bin/bash", "2", 2)});
  EXPECT_EQ(contents_.Find(Of("buffer:0:bash-c:/usr/bin/bash", "1", 0)), 1U);
  EXPECT_EQ(contents_.Find(Of("buffer:0:bash-c:/usr/bin/bash", "2", 0)), 2U);
  EXPECT_FALSE(contents_.Find(Of("buffer:0:bash-c:/usr/bin/bash", "3", 0)));
}

// A record is in the list and on its way into the PCR; a group takes another content of the same path
// meanwhile.
TEST_F(ContentsTest, WhatIsLearntMeanwhileIsLater) {
  contents_.Begin({Of("/a", "1", 1), Of("/b", "1", 1)});
  EXPECT_FALSE(contents_.Find(Of("/a", "1", 0))) << "it is not in the PCR yet";
  contents_.Learn({Of("/a", "2", 2)});
  contents_.Settle();
  EXPECT_EQ(contents_.Find(Of("/a", "2", 0)), 2U);
  EXPECT_EQ(contents_.Find(Of("/b", "1", 0)), 1U);
  contents_.Settle();
  EXPECT_EQ(contents_.Find(Of("/a", "2", 0)), 2U);
}

TEST_F(ContentsTest, APathBeyondTheBoundIsNotKept) {
  for (int i = 0; i < 4; ++i) contents_.Learn({Of("/" + std::to_string(i), "1", 1)});
  EXPECT_TRUE(contents_.Find(Of("/2", "1", 0)));
  EXPECT_FALSE(contents_.Find(Of("/3", "1", 0)));
  contents_.Learn({Of("/2", "2", 5)});
  EXPECT_EQ(contents_.Find(Of("/2", "2", 0)), 5U) << "a path that is kept is kept up to date";
}

}  // namespace
}  // namespace assay::measure
