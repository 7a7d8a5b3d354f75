#include "appraise/saved_round.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/fd.h"
#include "base/members_testing.h"

namespace assay::appraise {
namespace {

SavedRound Full() {
  SavedRound r;
  r.evidence = {.attest = Bytes(1, 1),
                .signature = Bytes(2, 2),
                .run_signature = Bytes(3, 3),
                .ak_public = Bytes(4, 4),
                .ek_public = Bytes(5, 5),
                .claims = Bytes(6, 6),
                .context = Bytes(7, 7),
                .list = Bytes(8, 8),
                .event_log = Bytes(9, 9)};
  r.binding = {"tls-exporter", Bytes(32, 1)};
  r.peer = "unix";
  r.nonce = evidence::Nonce::Filled(2);
  r.selection = {{.bank = 11, .pcrs = {0, 10}}};
  r.first_record = 3;
  r.time_ms = 4;
  r.redaction =
      Redaction{.container = {.user = 1000, .id = "web"}, .context = Digest::Filled(HashAlg::kSha256, 7)};
  r.before.rounds = 5;
  return r;
}

class SavedRoundTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(folder_), nullptr); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  char folder_[32] = "/tmp/assay-round.XXXXXX";
};

TEST_F(SavedRoundTest, EachMemberIsWrittenAndRead) {
  SavedRound full = Full();
  // The host's state has a test of its own for its members.
  members_testing::ExpectMembersSet(full.evidence, "evidence");
  ASSERT_TRUE(SaveRound(full, folder_));
  const Result<SavedRound> read = LoadRound(folder_);
  ASSERT_TRUE(read) << read.error().Message();
  EXPECT_EQ(*read, full);
}

TEST_F(SavedRoundTest, ARoundOfVersion2HasNoRedaction) {
  SavedRound without = Full();
  std::string head = EncodeRound(without);
  head.replace(head.find("\"version\": 3"), 12, "\"version\": 2");
  EXPECT_FALSE(ParseRound(head)) << "a member that version 2 does not have";
  without.redaction.reset();
  head = EncodeRound(without);
  head.replace(head.find("\"version\": 3"), 12, "\"version\": 2");
  EXPECT_TRUE(ParseRound(head));
}

TEST_F(SavedRoundTest, ARoundOfVersion1HasNoRunSignature) {
  SavedRound without = Full();
  without.redaction.reset();
  ASSERT_TRUE(SaveRound(without, folder_));
  std::string head = EncodeRound(without);
  head.replace(head.find("\"version\": 3"), 12, "\"version\": 1");
  const std::string folder = folder_;
  ASSERT_TRUE(WriteFileAtomic(folder + "/round.json", AsBytes(head), 0600));
  std::filesystem::remove(folder + "/run_signature.bin");
  without.evidence.run_signature.clear();
  EXPECT_EQ(LoadRound(folder).value(), without);
}

TEST_F(SavedRoundTest, WhatIsWrongIsRefused) {
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"version\": 3", "\"version\": 4"},
                                                        {"\"nonce\": \"02", "\"nonce\": \""},
                                                        {"sha256:0,10", "md5:0"},
                                                        {"\"container\": \"1000:web", "\"container\": \""},
                                                        {"\"context\": \"07", "\"context\": \""},
                                                        {"\"peer\"", "\"pier\""}}) {
    std::string head = EncodeRound(Full());
    ASSERT_NE(head.find(from), std::string::npos) << from;
    head.replace(head.find(from), from.size(), to);
    EXPECT_FALSE(ParseRound(head)) << to;
  }
}

}  // namespace
}  // namespace assay::appraise
