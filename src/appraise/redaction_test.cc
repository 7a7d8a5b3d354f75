// Rounds for a tenant: what is shown replays to the quote, and tells nothing but counts of the others.
#include "appraise/redaction.h"

#include "appraise/rules_fixture.h"
#include "base/result_testing.h"

namespace assay::appraise {
namespace {

const std::string kId(64, 'a'), kOther(64, 'b');
const std::string kIn = "/machine.slice/libpod-" + kId + ".scope";
const std::string kInOther = "/machine.slice/libpod-" + kOther + ".scope";

class RedactionTest : public RulesTest {
 protected:
  RedactionTest() {
    image_.Know("web server", "/usr/bin/web");
    host_.images.push_back(
        {.who = *evidence::ContainerPattern::Parse(kId), .name = "web.idx", .values = &image_});
    host_.File("web server", "/usr/bin/web", kIn);
    host_.File("secret of a neighbour", "/opt/neighbour", kInOther);
    host_.File("of the machine", "/usr/bin/of-the-machine");
  }
  SavedRound Round() const {
    SavedRound r;
    r.evidence = host_.Quote(nonce_);
    r.binding = {"unix", {}};
    r.nonce = nonce_;
    r.selection = host_.Selection();
    return r;
  }
  static Result<Redacted> For(const SavedRound& round, const std::string& id = kId) {
    return Redact(round, *evidence::ContainerPattern::Parse(id));
  }
  SavedRound Redacted1() const { return For(Round()).value().round; }
  Appraisal JudgeRound(const SavedRound& r) const {
    return Appraise(r.AsRequest(), r.before, host_, policy_);
  }
  SyntheticHost image_;
};

TEST_F(RedactionTest, ATenantSeesItsContainerAndCountsOfTheOthers) {
  ExpectOnly(JudgeRound(Round()), {"entry.unknown"});  // the neighbour's, and the machine's
  const Result<Redacted> r = For(Round());
  ASSERT_THAT(r, IsOk());
  EXPECT_EQ(r->shown, 1U);
  EXPECT_EQ(r->withheld, 7U);
  const std::string_view list = AsText(r->round.evidence.list);
  EXPECT_NE(list.find("/usr/bin/web"), std::string_view::npos);
  for (const char* theirs : {"neighbour", "of-the-machine", "/usr/bin/p0", "bbbbbbbb"})
    EXPECT_EQ(list.find(theirs), std::string_view::npos) << theirs;
  const Appraisal a = JudgeRound(r->round);
  ExpectInfo(a, "list.withheld");
  EXPECT_EQ(a.reach, Reach::kContainer);
  EXPECT_EQ(TextOf(a, FindingName::kListWithheld),
            "7 of " + std::to_string(host_.records.size()) + " records are withheld as none of container " +
                kId + "'s, 0 of them violations; whoever redacted the round vouches for that");
}

TEST_F(RedactionTest, AnAlteredContainerIsSeenByItsTenant) {
  host_.File("backdoor", "/usr/bin/web", kIn);
  const Appraisal a = JudgeRound(Redacted1());
  ExpectOnly(a, {"entry.image-changed"});
}

TEST_F(RedactionTest, WhatIsWithheldStillReplays) {
  SavedRound r = Redacted1();
  Bytes& list = r.evidence.list;
  // The last record is withheld; its column stands before the template's name.
  list[list.size() - 4 - kWithheldName.size() - 4 - 1] ^= 1U;
  const Appraisal a = JudgeRound(r);
  EXPECT_EQ(a.verdict, Verdict::kNotTrusted);
  EXPECT_TRUE(Of(a, true).contains("list.altered")) << Describe(a, false, false);
}

TEST_F(RedactionTest, ARecordThatIsLeftOutIsMissed) {
  SavedRound r = Redacted1();
  r.evidence.list.resize(r.evidence.list.size() - (4 + 32 + 4 + kWithheldName.size() + 4));
  ExpectOnly(JudgeRound(r), {"list.truncated"});
}

TEST_F(RedactionTest, OnlyARedactedRoundMayWithhold) {
  SavedRound r = Redacted1();
  r.redaction.reset();
  const Appraisal a = JudgeRound(r);
  EXPECT_EQ(a.verdict, Verdict::kNotTrusted);
  EXPECT_TRUE(Of(a, true).contains("entry.malformed")) << Describe(a, false, false);
}

TEST_F(RedactionTest, AViolationIsNotDisguised) {
  SavedRound r = Redacted1();
  Bytes& list = r.evidence.list;
  const std::size_t column = list.size() - 4 - kWithheldName.size() - 4 - 32;
  std::fill_n(list.begin() + static_cast<std::ptrdiff_t>(column), 32, 0xFF);
  EXPECT_TRUE(Of(JudgeRound(r), true).contains("list.all-ones-column"));
}

TEST_F(RedactionTest, AContextThatTheQuoteDoesNotCoverIsNotRead) {
  SavedRound r = Redacted1();
  r.evidence.context = ToBytes(AsBytes("forged"));
  const Appraisal a = JudgeRound(r);
  EXPECT_FALSE(Of(a, true).contains("context.malformed"));
  EXPECT_EQ(a.verdict, Verdict::kTrusted);
  EXPECT_EQ(a.entries.back().context, std::nullopt);
}

TEST_F(RedactionTest, ViolationsOfTheContainerAreShownAndOthersCounted) {
  const auto violation = [&](const std::string& path, const std::string& cgroup) {
    const Bytes line = evidence::EncodeContextLine({.index = host_.records.size(),
                                                    .sub = 0,
                                                    .time_ms = 1,
                                                    .pid = 2,
                                                    .uid = 0,
                                                    .comm = "x",
                                                    .hook = "open_writers",
                                                    .cgroup = cgroup});
    host_.context.insert(host_.context.end(), line.begin(), line.end());
    host_.Extend("ima-ng", ima::EncodeNg(Digest::Filled(HashAlg::kSha256, 0), path), true);
  };
  violation("/mine", kIn);
  violation("/theirs", kInOther);
  const Result<Redacted> r = For(Round());
  ASSERT_THAT(r, IsOk());
  EXPECT_EQ(AsText(r->round.evidence.list).find("/theirs"), std::string_view::npos);
  const Appraisal a = JudgeRound(r->round);
  ExpectOnly(a, {"entry.violation"});
  EXPECT_NE(TextOf(a, FindingName::kListWithheld).find(" 1 of them violations"), std::string::npos);
}

TEST_F(RedactionTest, AGroupIsShownOnlyAsAWhole) {
  host_.Group({ima::EncodeNg(DigestOf("content 0"), "/usr/bin/p0")});
  const std::string cgroup_template(ima::TemplateName(ima::Template::kNgCgroup));
  const auto group = [&](const std::vector<Bytes>& data) {
    std::vector<ima::InnerRecord> inner;
    inner.reserve(data.size());
    for (const Bytes& d : data) inner.push_back({cgroup_template, d});
    const Bytes buffer = ima::EncodeGroup(inner);
    host_.Extend("ima-buf", ima::EncodeBuf(Hash(HashAlg::kSha256, buffer), ima::kGroupName, buffer));
  };
  const Bytes mine = ima::EncodeNgCgroup(DigestOf("web server"), "/usr/bin/web", kIn);
  group({mine});
  group({mine, ima::EncodeNgCgroup(DigestOf("x"), "/theirs", kInOther)});
  const Result<Redacted> r = For(Round());
  ASSERT_THAT(r, IsOk());
  EXPECT_EQ(r->shown, 2U);
  EXPECT_EQ(r->in_groups, 1U);
  EXPECT_EQ(AsText(r->round.evidence.list).find("/theirs"), std::string_view::npos);
  ExpectOnly(JudgeRound(r->round), {});
}

TEST_F(RedactionTest, WhatCantBeRedacted) {
  EXPECT_THAT(For(Round(), std::string(64, 'c')), FailsWith("redact.no-container"));
  EXPECT_THAT(For(Redacted1()), FailsWith("redact.again"));
  SavedRound part = Round();
  part.first_record = 3;
  EXPECT_THAT(For(part), FailsWith("redact.not-whole"));
}

TEST_F(RedactionTest, OnlyTheListsOwnBankIsReplayed) {
  policy_.quote_banks = {HashAlg::kSha384};
  const SavedRound r = Redacted1();
  EXPECT_TRUE(Of(JudgeRound(r), true).contains("quote.weak-bank"));
}

}  // namespace
}  // namespace assay::appraise
