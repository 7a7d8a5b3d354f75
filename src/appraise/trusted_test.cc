// The owner's trusted list: as a file, and what it does to entries.
#include "appraise/trusted.h"

#include "appraise/errors.h"
#include "appraise/rules_fixture.h"
#include "base/fd.h"
#include "base/folder_testing.h"
#include "base/members_testing.h"
#include "base/result_testing.h"

namespace assay::appraise {
namespace {

TrustedEntry Word(std::string_view content, const std::string& path = "") {
  return {.digest = DigestOf(content).ToString(),
          .path = path,
          .who = "anna",
          .why = "our build",
          .when_ms = 1,
          .expires_ms = 0};
}

TEST(TrustedList, EachMemberIsWrittenAndRead) {
  TrustedList list{{Word("a", "/a")}};
  list.entries[0].expires_ms = 5;
  ExpectEachMemberSet(list);
  const Result<TrustedList> read = ParseTrusted(EncodeTrusted(list));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(*read, list);
}

TEST(TrustedList, WhatCouldNotBeMeantIsRefused) {
  TrustedList twice{{Word("a"), Word("a")}};
  EXPECT_FALSE(ParseTrusted(EncodeTrusted(twice)));
  for (const auto& edit : std::vector<std::function<void(TrustedEntry&)>>{
           [](TrustedEntry& e) { e.digest += "0"; }, [](TrustedEntry& e) { e.who.clear(); },
           [](TrustedEntry& e) { e.why.clear(); },
           [](TrustedEntry& e) { e.path = std::string(5000, 'p'); }}) {
    TrustedList list{{Word("a")}};
    edit(list.entries[0]);
    EXPECT_THAT(ParseTrusted(EncodeTrusted(list)), FailsWith("parse.trusted"));
  }
  EXPECT_FALSE(ParseTrusted(R"({"version": 2, "entries": []})"));
}

class TrustedFile : public FolderTest {};

TEST_F(TrustedFile, OnlyTheOwnersListIsRead) {
  const std::string path = dir_ + "/trusted.json";
  const PrivateKey owner = *PrivateKey::GenerateP256();
  std::vector<PublicKey> keys;
  EXPECT_THAT(ReadTrusted(path, keys), FailsWith("trusted.no-key"));
  keys.push_back(PrivateKey::GenerateP256()->Public());
  ASSERT_THAT(WriteTrusted(path, {{Word("a")}}, owner), IsOk());
  EXPECT_THAT(ReadTrusted(path, keys), FailsWith("trusted.signature"));
  keys.push_back(owner.Public());
  ASSERT_THAT(ReadTrusted(path, keys), IsOk());
  ASSERT_THAT(WriteFileAtomic(path, AsBytes(EncodeTrusted({{Word("b")}}))), IsOk());
  EXPECT_THAT(ReadTrusted(path, keys), FailsWith("trusted.signature"));
  EXPECT_FALSE(WriteTrusted(path, {{Word("b"), Word("b")}}, owner));
}

class TrustedRules : public RulesTest {
 protected:
  Appraisal JudgeWith(std::uint64_t now = 0) const {
    const evidence::Evidence e = host_.Quote(nonce_);
    Request request = host_.Ask(e, nonce_);
    request.now_ms = now;
    return Appraise(request, state_, host_, policy_, {}, trusted_);
  }
  TrustedList trusted_;
};

TEST_F(TrustedRules, WhatTheOwnerTrustsIsTrusted) {
  host_.File("script", "/home/anna/script.sh");
  host_.File("own ls", "/usr/bin/p1");
  ExpectOnly(JudgeWith(), {"entry.unknown", "entry.changed"});
  trusted_.entries = {Word("script"), Word("own ls", "/bin/p1")};
  const Appraisal a = JudgeWith();
  ExpectInfo(a, "policy.owner-trusted");
  EXPECT_EQ(a.entries.back().state, EntryState::kTrusted);
  EXPECT_EQ(a.entries.back().origin->package, kOwner);
  EXPECT_EQ(a.entries.back().origin->version, "anna");
}

TEST_F(TrustedRules, APathBindsTheWord) {
  host_.File("content 1", "/usr/bin/p2");
  host_.File("script", "/tmp/script.sh");
  trusted_.entries = {Word("content 1", "/usr/bin/p3"), Word("script", "/home/anna/script.sh")};
  ExpectOnly(JudgeWith(), {"entry.swapped", "entry.unknown"});
  trusted_.entries = {Word("content 1", "/usr/bin/p2"), Word("script", "/tmp/script.sh")};
  ExpectOnly(JudgeWith(), {});
}

TEST_F(TrustedRules, ARevokedContentStaysRevoked) {
  host_.Know("bad", "/usr/bin/bad", Standing::kRevoked);
  host_.File("bad", "/usr/bin/bad");
  trusted_.entries = {Word("bad")};
  ExpectOnly(JudgeWith(), {"entry.revoked"});
}

TEST_F(TrustedRules, AnExpiredWordCountsNoMore) {
  host_.File("script", "/home/anna/script.sh");
  trusted_.entries = {Word("script")};
  trusted_.entries[0].expires_ms = 100;
  ExpectOnly(JudgeWith(99), {});
  const Appraisal a = JudgeWith(100);
  ExpectOnly(a, {"entry.unknown"});
  EXPECT_TRUE(Of(a, false).contains("policy.trust-expired"));
}

}  // namespace
}  // namespace assay::appraise
