// Who answers, and whether the attester was ever there: the key of the run, its end, and the cap. The
// evidence is good in all else.
#include <gtest/gtest.h>

#include "appraise/result.h"
#include "appraise/synthetic.h"
#include "appraise/synthetic_boot.h"
#include "base/result_testing.h"
#include "list/cap.h"

namespace assay::appraise {
namespace {

using Names = std::set<std::string>;

class RunCheckTest : public ::testing::Test {
 protected:
  RunCheckTest() {
    policy_.allow_first_use = true;
    host_.Know("content", "/usr/bin/p");
    host_.File("content", "/usr/bin/p");
  }
  static Names Of(const Appraisal& a, bool weighing) {
    Names names;
    for (const Finding& f : a.findings)
      if ((f.weight != Verdict::kTrusted) == weighing) names.emplace(NameText(f.name));
    return names;
  }
  Appraisal Judge(const evidence::Evidence& e, std::uint64_t first = 0) const {
    return Appraise(host_.Ask(e, nonce_, first), state_, host_, policy_);
  }
  Names Found(const evidence::Evidence& e, std::uint64_t first = 0) const {
    return Of(Judge(e, first), true);
  }
  Names Found() const { return Found(host_.Quote(nonce_)); }
  void Learn() { state_ = Judge(host_.Quote(nonce_)).host; }
  // From where the last round ended.
  Names FoundNext(const std::function<void(evidence::Evidence&)>& edit = {}) const {
    evidence::Evidence e = host_.Quote(nonce_, state_.records);
    if (edit) edit(e);
    return Found(e, state_.records);
  }
  static evidence::Evidence Without(evidence::Evidence e) {
    e.run_signature.clear();
    return e;
  }
  // The list as root can write it with the AK: it has a start and a key of its own.
  static void Impersonate(SyntheticHost& host) { host.run_key = SyntheticHost().run_key; }

  SyntheticHost host_;
  HostState state_;
  Policy policy_;
  evidence::Nonce nonce_ = evidence::Nonce::Filled(7);
};

TEST_F(RunCheckTest, TheRunThatTheListNamesAnswers) { EXPECT_EQ(Found(), Names{}); }

TEST_F(RunCheckTest, AnswerWithoutTheRun) {
  EXPECT_EQ(Found(Without(host_.Quote(nonce_))), Names{"run.missing"});
  Learn();
  EXPECT_EQ(FoundNext(), Names{});
  EXPECT_EQ(FoundNext([](evidence::Evidence& e) { e.run_signature.clear(); }), Names{"run.missing"});
}

TEST_F(RunCheckTest, AnswerByAnotherKey) {
  Learn();
  Impersonate(host_);
  EXPECT_EQ(Found(), Names{"run.signature"});
  EXPECT_EQ(FoundNext(), Names{"run.signature"});
  evidence::Evidence e = host_.Quote(nonce_);
  e.run_signature = Bytes(40, 1);
  EXPECT_EQ(Found(e), Names{"run.signature"});
}

// A handover does not change which key signs: root that writes its records and then answers has another one.
TEST_F(RunCheckTest, AHandoverChangesNoKey) {
  Learn();
  for (const char* by : {R"("predecessor","digest":"{}")", R"("successor")"})
    host_.Own("assay-handover",
              fmt::format(R"({{"by":{},"run":1,"number":1,"version":"2","executable":"/usr/sbin/assayd",)"
                          R"("components":["/usr/sbin/assayd"]}})",
                          fmt::format(fmt::runtime(by), DigestOf("assayd").ToString())));
  EXPECT_EQ(Found(), Names{});
  EXPECT_EQ(FoundNext(), Names{});
  EXPECT_EQ(Found(Without(host_.Quote(nonce_))), Names{"run.missing"});
  Impersonate(host_);
  EXPECT_EQ(FoundNext(), Names{"run.signature"});
}

// The one before's signature is of another quote.
TEST_F(RunCheckTest, SignatureOfAnotherAnswer) {
  evidence::Evidence e = host_.Quote(nonce_);
  e.run_signature = host_.Quote(evidence::Nonce::Filled(8)).run_signature;
  EXPECT_EQ(Found(e), Names{"run.signature"});
}

TEST_F(RunCheckTest, WhoSeesNoListKnowsTheKeyFromBefore) {
  const auto shown = [this] {
    evidence::Evidence e = host_.Quote(nonce_, 0, [](evidence::Claims& c) {
      c.level = evidence::Level::kQuote;
      c.checkpoints.clear();
    });
    e.list.clear();
    return e;
  };
  EXPECT_EQ(Found(shown()), Names{"evidence.no-list"});
  Learn();
  EXPECT_EQ(Found(shown()), Names{"evidence.no-list"});
  EXPECT_EQ(Found(Without(shown())), (Names{"evidence.no-list", "run.missing"}));
  Impersonate(host_);
  EXPECT_EQ(Found(shown()), (Names{"evidence.no-list", "run.signature"}));
}

TEST_F(RunCheckTest, StartWithoutAKey) {
  policy_.allow_gaps = true;
  host_.Own("assay-start", R"({"tasks_before":0,"run":2,"executable":"/usr/sbin/assayd","version":"0.1.0",)"
                           R"("components":["/usr/sbin/assayd"]})");
  host_.Own("assay-engine", R"({"engine":"fanotify","scope":"host","mounts":["/"]})");
  EXPECT_EQ(Found(), Names{"run.missing"});
}

TEST_F(RunCheckTest, KeyThatIsNoRunKey) {
  policy_.allow_gaps = true;
  for (const std::string& key :
       {Hex(host_.Public(SyntheticHost::kRestrictedSigning)), std::string("00"), std::string("zz")}) {
    host_.Own("assay-start",
              fmt::format(R"({{"tasks_before":0,"run":2,"executable":"/usr/sbin/assayd","version":"0.1.0",)"
                          R"("run_key":"{}","components":["/usr/sbin/assayd"]}})",
                          key));
    host_.Own("assay-engine", R"({"engine":"fanotify","scope":"host","mounts":["/"]})");
    EXPECT_EQ(Found(), Names{"run.template"}) << key;
  }
}

// An impostor's only way, and a gap.
TEST_F(RunCheckTest, ANewStartIsAGap) {
  Learn();
  host_.Start(2);
  EXPECT_EQ(Found(), Names{"list.gap"});
  EXPECT_EQ(FoundNext(), Names{"list.gap"});
}

TEST_F(RunCheckTest, WhatFollowsAStop) {
  host_.Own("assay-stop", R"({"run":1})");
  EXPECT_EQ(Found(), Names{"own.stopped"});
  host_.File("content", "/usr/bin/p");
  host_.File("content", "/usr/bin/p");
  EXPECT_EQ(Found(), (Names{"own.after-stop", "own.stopped"}));
  Learn();
  EXPECT_EQ(FoundNext(), (Names{"own.after-stop", "own.stopped"}));
  host_.Start(2);
  EXPECT_EQ(FoundNext(), (Names{"own.after-stop", "list.gap"}));
  policy_.allow_gaps = true;
  EXPECT_EQ(Found(), Names{});
}

TEST_F(RunCheckTest, WhatNoAttesterRecordsHasNoRun) {
  policy_.engines = {"kernel-ima"};
  policy_.allow_kernel_policy = true;
  SyntheticHost kernel = host_;
  kernel.RecordAgain({host_.records.front(), host_.records.back()});
  const evidence::Evidence e =
      Without(kernel.Quote(nonce_, 0, [](evidence::Claims& c) { c.engine = "kernel-ima"; }));
  const Appraisal a = Appraise(kernel.Ask(e, nonce_), state_, host_, policy_);
  EXPECT_EQ(Of(a, true), Names{});
  EXPECT_TRUE(Of(a, false).contains("run.none"));
}

// --- The cap

class CapTest : public RunCheckTest {
 protected:
  static void Cap(SyntheticHost& host) {
    Digest& pcr = host.pcrs[SyntheticHost::kBank][10];
    pcr = ExtendPcr(pcr, ima::CapExtend(HashAlg::kSha256));
  }
  // A boot whose attester did not start: the PCR has boot_aggregate and the cap.
  SyntheticHost Capped() const {
    SyntheticHost host = host_;
    host.RecordAgain({host_.records.front()});
    Cap(host);
    return host;
  }
  Names FoundOf(const SyntheticHost& host) const {
    return Of(Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host_, policy_), true);
  }
};

TEST_F(CapTest, AListThatSaysItIsNamed) {
  SyntheticHost host = host_;
  host.RecordAgain({host_.records.front()});
  host.Extend("ima-buf", ima::CapData());
  host.Start(1);
  EXPECT_EQ(FoundOf(host), (Names{"own.capped", "own.late-start"}));
  policy_.allow_gaps = true;  // no policy takes it away
  EXPECT_EQ(FoundOf(host), (Names{"own.capped", "own.late-start"}));
}

TEST_F(CapTest, AForgedListCanNotExplainIt) {
  for (const bool keeps_checkpoints : {true, false}) {
    SyntheticHost host = Capped();
    if (!keeps_checkpoints) host.checkpoint_stride = 1000;
    host.checkpoints.clear();
    host.Start(1, R"("/usr/sbin/assayd")", 0, true);
    host.File("content", "/usr/bin/p");
    EXPECT_TRUE(FoundOf(host).contains("own.capped"));
  }
}

TEST_F(CapTest, AtTheEndOfAList) {
  Cap(host_);
  EXPECT_TRUE(FoundOf(host_).contains("own.capped"));
  host_.pcrs[SyntheticHost::kBank][10] = DigestOf("anything");
  EXPECT_FALSE(FoundOf(host_).contains("own.capped"));
}

// Also where the list's own PCR is another one than the helper was told.
TEST_F(CapTest, TheOtherPcrSaysIt) {
  Digest& pcr = host_.pcrs[SyntheticHost::kBank][ima::kCapPcr];
  pcr = Digest::Filled(HashAlg::kSha256, 0);
  EXPECT_EQ(FoundOf(host_), Names{});
  pcr = ExtendPcr(pcr, ima::CapExtend(HashAlg::kSha256));
  EXPECT_EQ(FoundOf(host_), Names{"own.capped"});
}

TEST_F(CapTest, TheOtherPcrAfterWhatTheBootLeftThere) {
  const MeasuredBoot boot = MeasureBoot();
  SyntheticHost host(boot.pcrs);
  Digest& pcr = host.pcrs[SyntheticHost::kBank][ima::kCapPcr];
  if (pcr.size() == 0) pcr = Digest::Filled(HashAlg::kSha256, 0);
  const auto found = [&] {
    evidence::Evidence e = host.Quote(nonce_);
    e.event_log = boot.log;
    return Of(Appraise(host.Ask(e, nonce_), state_, host, policy_), true).contains("own.capped");
  };
  EXPECT_FALSE(found());
  pcr = ExtendPcr(pcr, ima::CapExtend(HashAlg::kSha256));
  EXPECT_TRUE(found());
}

TEST_F(CapTest, AnEarlyStartFollowsBootAggregateAtOnce) {
  policy_.allow_gaps = true;
  host_.Start(2, R"("/usr/sbin/assayd")", 0, true);
  EXPECT_EQ(Found(), Names{"own.late-start"});
}

// --- What was kept before there were run keys

TEST(HostStateVersion, WithoutRunKeysTheListIsAskedForAgain) {
  HostState s;
  s.ak_name = "000b";
  s.records = 7;
  s.rounds = 3;
  s.prefix[HashAlg::kSha256] = DigestOf("x");
  s.own["runs"] = "1";
  std::string text = EncodeHostState(s);
  EXPECT_EQ(ParseHostState(text)->records, 7U);
  const auto at = text.find("\"version\": 8");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 12, "\"version\": 2");
  const auto device = text.find(R"( "device": {)");
  ASSERT_NE(device, std::string::npos);
  text.erase(device, text.find("},", device) + 2 - device);
  for (const std::string_view later :
       {R"( "judged_with": "",)", R"( "newest": [],)", R"( "newest_before": [],)", R"( "reset_in": "",)"}) {
    ASSERT_NE(text.find(later), std::string::npos);
    text.erase(text.find(later), later.size());
  }
  const auto old = ParseHostState(text);
  ASSERT_THAT(old, IsOk());
  EXPECT_EQ(old->ak_name, "000b");
  EXPECT_EQ(old->rounds, 3U);
  EXPECT_EQ(old->records, 0U);
  EXPECT_TRUE(old->own.empty() && old->prefix.empty());
}

}  // namespace
}  // namespace assay::appraise
