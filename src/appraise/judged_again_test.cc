// What was judged is judged again when reference values, policy or trusted list change.
#include "appraise/rules_fixture.h"

namespace assay::appraise {
namespace {

constexpr std::uint64_t kDay = 86'400'000;

class JudgedAgain : public RulesTest {
 protected:
  Appraisal Round(std::uint64_t first) const {
    const evidence::Evidence e = host_.Quote(nonce_, first);
    Request request = host_.Ask(e, nonce_, first);
    request.now_ms = now_;
    return Appraise(request, state_, host_, policy_, {}, trusted_);
  }
  Appraisal Later() const { return Round(state_.records); }
  TrustedList trusted_;
  std::uint64_t now_ = 1;
};

TEST_F(JudgedAgain, AStandingFindingVanishesWithBetterReferenceValues) {
  host_.File("tool", "/usr/bin/tool");
  const Appraisal first = Round(0);
  ExpectOnly(first, {"entry.unknown"});
  state_ = first.host;
  ExpectOnly(Later(), {"entry.unknown"});  // nothing changed: it stands
  host_.Know("tool", "/usr/bin/tool");
  host_.fingerprint = "better";
  const Appraisal second = Later();
  // Until the whole list was asked for, what was good before is not known to be good.
  ExpectOnly(second, {"list.judged-otherwise"});
  EXPECT_EQ(second.verdict, Verdict::kUnknown);
  EXPECT_TRUE(second.host.standing.empty());
  EXPECT_EQ(second.host.judged_with, first.host.judged_with);
  state_ = second.host;
  ExpectOnly(Later(), {"list.judged-otherwise"});
  const Appraisal whole = Round(0);
  ExpectOnly(whole, {});
  state_ = whole.host;
  ExpectOnly(Later(), {});
}

TEST_F(JudgedAgain, AStandingFindingChangesItsNameAndText) {
  host_.File("tool", "/usr/bin/tool");
  state_ = Round(0).host;
  host_.Know("other", "/usr/bin/tool", Standing::kGood, "2.0");
  host_.fingerprint = "better";
  const Appraisal a = Later();
  ExpectOnly(a, {"entry.changed", "list.judged-otherwise"});
  EXPECT_NE(TextOf(a, FindingName::kEntryChanged).find("package 2.0"), std::string::npos);
}

TEST_F(JudgedAgain, WhatIsRevokedLaterIsAskedForOnce) {
  state_ = Round(0).host;
  host_.Know("content 1", "/usr/bin/p1", Standing::kRevoked);
  host_.fingerprint = "revoked";
  ExpectOnly(Later(), {"list.judged-otherwise"});
  const Appraisal whole = Round(0);
  ExpectOnly(whole, {"entry.revoked"});
  state_ = whole.host;
  ExpectOnly(Later(), {"entry.revoked"});
}

TEST_F(JudgedAgain, APolicyAndTheOwnersWordCountAtOnce) {
  host_.File("script", "/home/anna/script.sh");
  state_ = Round(0).host;
  policy_.allowed = {DigestOf("script").ToString()};
  ExpectOnly(Later(), {"list.judged-otherwise"});
  policy_.allowed.clear();
  ExpectOnly(Later(), {"entry.unknown"});
  trusted_.entries = {{.digest = DigestOf("script").ToString(),
                       .path = "",
                       .who = "anna",
                       .why = "hers",
                       .when_ms = 1,
                       .expires_ms = 100}};
  ExpectOnly(Later(), {"list.judged-otherwise"});
  const Appraisal whole = Round(0);
  ExpectOnly(whole, {});
  state_ = whole.host;
  ExpectOnly(Later(), {});
  now_ = 100;  // the word has expired
  ExpectOnly(Later(), {"list.judged-otherwise"});
  ExpectOnly(Round(0), {"entry.unknown"});
}

TEST_F(JudgedAgain, AStateOfAnEarlierVerifierAsksOnce) {
  state_ = Round(0).host;
  state_.judged_with.clear();
  ExpectOnly(Later(), {"list.judged-otherwise"});
}

TEST_F(JudgedAgain, TwoFindingsOfOneEntryAreJudgedOnce) {
  policy_.interpreters = {"/usr/bin/perl"};
  host_.File("my perl", "/usr/bin/perl");
  state_ = Round(0).host;
  host_.fingerprint = "other";
  const Appraisal a = Later();
  ExpectOnly(a, {"entry.unknown", "own.interpreter", "list.judged-otherwise"});
  EXPECT_EQ(a.host.standing.size(), 2U);
}

class Outdated : public JudgedAgain {
 protected:
  Outdated() {
    host_.Know("old", "/usr/bin/apt", Standing::kSuperseded, "2.6.1", 10 * kDay);
    host_.Know("new", "/usr/bin/apt", Standing::kGood, "2.6.2");
    host_.File("old", "/usr/bin/apt");
    now_ = 12 * kDay;
  }
};

TEST_F(Outdated, TheFormerVersionIsANote) {
  const Appraisal a = Round(0);
  ExpectInfo(a, "entry.outdated");
  EXPECT_EQ(a.counts.at(EntryState::kOutdated), 1U);
  EXPECT_EQ(TextOf(a, FindingName::kEntryOutdated),
            "/usr/bin/apt is of package 2.6.1, superseded since 1970-01-11 by 2.6.2");
}

TEST_F(Outdated, ThePolicySetsALimitInDays) {
  policy_.outdated_fails_after_days = 2;
  const Appraisal a = Round(0);
  ExpectOnly(a, {});
  state_ = a.host;
  now_ += kDay;
  ExpectOnly(Later(), {"list.judged-otherwise"});  // another day
  ExpectOnly(Round(0), {"entry.outdated"});
  policy_.outdated_fails_after_days = 0;
  ExpectOnly(Round(0), {"entry.outdated"});
}

TEST_F(Outdated, ItCountsAtItsOwnPathOnly) {
  host_.File("old", "/usr/bin/p1");
  host_.File("old", "/tmp/apt");
  const Appraisal a = Round(0);
  ExpectOnly(a, {"entry.changed", "entry.unknown"});
  EXPECT_EQ(TextOf(a, FindingName::kEntryUnknown),
            "/tmp/apt is in no reference; it is /usr/bin/apt of package 2.6.1, which is superseded");
}

TEST_F(Outdated, WhatIsGoodOrRevokedSaysMore) {
  host_.Know("old", "/usr/bin/apt", Standing::kGood, "2.6.3");
  ExpectOnly(Round(0), {});
  EXPECT_EQ(Round(0).counts.count(EntryState::kOutdated), 0U);
  host_.Know("old", "/usr/bin/apt", Standing::kRevoked, "2.6.1");
  ExpectOnly(Round(0), {"entry.revoked"});
}

// Version 1 of two files, then 2 of one of them: a host in the middle of an upgrade.
class Rollback : public JudgedAgain {
 protected:
  Rollback() {
    host_.versions = {"1", "2", "3"};
    for (const char* file : {"a", "b"}) {
      const std::string path = std::string("/usr/bin/") + file;
      host_.Know(path + " 1", path, Standing::kSuperseded, "1", kDay);
      host_.Know(path + " 2", path, Standing::kGood, "2");
    }
    Run("a 1");
    Run("b 1");
    Run("a 2");
    now_ = 2 * kDay;
  }
  void Run(const std::string& file) { host_.File("/usr/bin/" + file, "/usr/bin/" + file.substr(0, 1)); }
  void Took(const Appraisal& a) { state_ = a.host; }
};

TEST_F(Rollback, AnUpgradeIsNone) {
  Took(Round(0));
  Run("b 1");  // of a process from before
  Run("b 2");
  ExpectOnly(Later(), {});
  // The whole list again, from version 1 on: in this boot, and after the TPM resumed.
  ExpectOnly(Round(0), {});
  Took(Round(0));
  ++host_.clock.restart_count;
  ExpectOnly(Round(0), {});
}

TEST_F(Rollback, BackToAnOlderVersion) {
  Took(Round(0));
  Run("a 1");
  const Appraisal a = Later();
  ExpectOnly(a, {"entry.rollback"});
  EXPECT_EQ(TextOf(a, FindingName::kEntryRollback),
            "/usr/bin/a is of package 1, and the host ran 2 of it before in this boot");
  Took(a);
  ExpectOnly(Later(), {"entry.rollback"});
  ExpectOnly(Round(0), {"entry.rollback"});
  // The owner's word counts more.
  TrustedEntry t;
  t.digest = DigestOf("/usr/bin/a 1").ToString();
  t.who = "owner";
  t.why = "meant";
  trusted_.entries.push_back(t);
  ExpectOnly(Round(0), {});
}

TEST_F(Rollback, AcrossABoot) {
  Took(Round(0));
  host_.RecordAgain(std::vector<Bytes>(host_.records.begin(), host_.records.end() - 1));  // without "a 2"
  Reboot();
  const Appraisal a = Round(0);
  ExpectOnly(a, {"entry.rollback"});
  EXPECT_NE(TextOf(a, FindingName::kEntryRollback).find("in an earlier boot"), std::string::npos);
}

// The list has what the initramfs ran, which may be older than what is installed.
TEST_F(Rollback, TheInitramfsMayBeOlder) {
  Took(Round(0));
  SyntheticHost early(host_.pcrs.at(SyntheticHost::kBank), true);
  early.key = host_.key;
  early.clock = host_.clock;
  early.versions = host_.versions;
  for (const char* version : {"1", "2"})
    early.Know(std::string("/usr/bin/a ") + version, "/usr/bin/a",
               version[0] == '1' ? Standing::kSuperseded : Standing::kGood, version, kDay);
  host_ = early;
  Reboot();
  Run("a 1");
  ExpectInfo(Round(0), "entry.rollback");
  Run("a 2");
  Run("a 1");  // but not after the newer one was seen
  ExpectOnly(Round(0), {"entry.rollback"});
}

TEST_F(Rollback, NotWhereTheReferenceValuesWentBack) {
  Took(Round(0));
  Run("a 1");
  host_.Know("/usr/bin/a 1", "/usr/bin/a", Standing::kGood, "1");
  host_.fingerprint = "back";
  ExpectOnly(Round(0), {});
}

TEST_F(Rollback, NotOfContentThatANewerVersionHasToo) {
  host_.Know("/usr/bin/a 1", "/usr/bin/a", Standing::kGood, "3");
  Took(Round(0));
  Run("a 1");
  ExpectOnly(Later(), {});
}

TEST_F(Rollback, NotInAContainer) {
  Took(Round(0));
  host_.File("/usr/bin/a 1", "/usr/bin/a",
             "/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope");
  ExpectOnly(Later(), {});
}

}  // namespace
}  // namespace assay::appraise
