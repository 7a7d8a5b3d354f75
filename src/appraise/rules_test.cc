// Each rule of the verifier, broken alone by evidence that is good in everything else.
#include <algorithm>

#include "appraise/other_digest.h"
#include "appraise/rules_fixture.h"
#include "base/json_dump.h"

namespace assay::appraise {
namespace {

TEST_F(RulesTest, GoodEvidence) {
  const Appraisal a = Judge();
  ExpectOnly(a, {});
  EXPECT_EQ(a.counts.at(EntryState::kTrusted), 6U);
  EXPECT_TRUE(Of(a, false).contains("ak.first-use"));
}

// --- The quote

TEST_F(RulesTest, KeysOfAnotherHost) {
  state_ = Judge().host;
  const SyntheticHost other;
  ExpectOnly(Appraise(other.Ask(other.Quote(nonce_), nonce_), state_, other, policy_), {"ak.changed"});
  // The same key, but not the same TPM behind it.
  state_.ek_name = "000b00";
  ExpectOnly(Judge(), {"ek.missing"});
  evidence::Evidence e = host_.Quote(nonce_);
  e.ek_public = e.ak_public;
  ExpectOnly(Judge(e), {"ek.changed"});
  state_.ek_name.clear();
  ExpectOnly(Judge(e), {});
  e.ek_public.pop_back();
  ExpectOnly(Judge(e), {"ek.malformed"});
}

TEST_F(RulesTest, ClaimsThatAreNone) {
  evidence::Evidence e = host_.Quote(nonce_);
  e.claims = ToBytes(AsBytes("{}"));
  host_.Attest(e, nonce_, host_.Selection());
  host_.Sign(e);
  ExpectOnly(Judge(e), {"claims.malformed"});
  e.claims = ToBytes(AsBytes("["));
  ExpectOnly(Judge(e), {"claims.malformed", "quote.qualifying"});
}

TEST_F(RulesTest, ContextThatIsNone) {
  host_.context = ToBytes(AsBytes("no line"));
  ExpectOnly(Judge(), {"context.malformed"});
}

TEST_F(RulesTest, PcrValuesLeftOut) {
  ExpectOnly(Judge([](evidence::Claims& c) { c.pcrs[SyntheticHost::kBank].erase(10); }),
             {"quote.pcr-values"});
  ExpectOnly(Judge([](evidence::Claims& c) { c.pcrs.clear(); }), {"quote.pcr-values"});
}

TEST_F(RulesTest, EntriesAreJudgedAlsoWhenNothingProvesThem) {
  host_.File("trojan", "/usr/bin/p1");
  const Appraisal a = Judge([](evidence::Claims& c) { c.pcrs.clear(); });
  ExpectOnly(a, {"quote.pcr-values", "entry.changed"});
  EXPECT_EQ(a.host.records, 0U);  // and nothing is learnt
}

TEST_F(RulesTest, ARecordsControlGroupIsInTheResult) {
  const std::string container(64, 'c');
  host_.File("content 1", "/usr/bin/p1", "/docker/" + container);
  host_.File("trojan", "/usr/bin/p2", "/system.slice/one.service");
  const Appraisal a = Judge();
  ExpectOnly(a, {"entry.changed"});
  EXPECT_EQ(a.findings.back().cgroup, "/system.slice/one.service");
  EXPECT_NE(DumpJson(ToJson(a, true)).find("\"container\":\"" + container + '"'), std::string::npos)
      << ToJson(a, true);
}

TEST_F(RulesTest, AListOfAnotherPcr) {
  ExpectOnly(Judge([](evidence::Claims& c) { c.pcr = 9; }), {"quote.other-pcr"});
}

TEST_F(RulesTest, ThePolicysOwnPcrMustNotBeResettable) {
  policy_.pcr = 16;
  EXPECT_TRUE(Of(Judge(), true).contains("quote.resettable-pcr"));
}

TEST_F(RulesTest, UnsafeClockIsSaid) {
  host_.clock.safe = false;
  ExpectInfo(Judge(), "clock.unsafe");
}

TEST_F(RulesTest, ResetIsSeenInTheSignedClock) {
  state_ = Judge().host;
  Reboot();
  Appraisal a = Next();
  ExpectOnly(a, {"clock.rebooted"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
  EXPECT_TRUE(a.rebooted);
  ExpectInfo(Judge(), "clock.rebooted");
  host_.clock.reset_count = 0;
  ExpectOnly(Judge(), {"clock.reset-count"});
}

// The same records as before the reboot, and more: the two boots are not mixed up.
TEST_F(RulesTest, RecordsOfTheFormerBootSayNothingOfThisOne) {
  host_.File("trojan", "/usr/bin/p1");
  const Appraisal before = Judge();
  ExpectOnly(before, {"entry.changed"});
  state_ = before.host;
  std::vector<Bytes> without(host_.records.begin(), host_.records.end() - 1);
  host_.RecordAgain(without);
  Reboot();
  for (int i = 0; i < 5; ++i) host_.File(fmt::format("content {}", i), fmt::format("/usr/bin/p{}", i));
  ExpectOnly(Next(), {"clock.rebooted"});  // what was asked for continues a list that is no more
  const Appraisal after = Judge();
  ExpectOnly(after, {});
  EXPECT_EQ(after.host.records, host_.records.size());
  EXPECT_TRUE(after.host.standing.empty());
}

// A reboot may cost the clock some minutes, not its history: that is another TPM, or an old copy of this one.
TEST_F(RulesTest, ClockThatLostMoreThanAPowerCutExplains) {
  host_.clock.clock = 10'000'000;
  state_ = Judge().host;
  Reboot();
  host_.clock.clock = 6'000'000;
  ExpectInfo(Judge(), "clock.rebooted");
  host_.clock.clock = 5'000'000;
  ExpectOnly(Judge(), {"clock.back"});
}

// TPM Restart resets the PCRs without counting a reset; a resume counts the same and keeps them. The list
// decides.
TEST_F(RulesTest, RestartIsSeenInTheSignedClock) {
  state_ = Judge().host;
  host_.clock.restart_count = 1;
  const Appraisal a = Next();
  ExpectOnly(a, {"clock.restarted"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
  ExpectInfo(Judge(), "clock.restarted");
}

// --- The list

TEST_F(RulesTest, ListFromAnotherRecordThanAsked) {
  state_ = Judge().host;
  ExpectOnly(Judge(host_.Quote(nonce_, 3), 0), {"list.start"});
  const Appraisal a = Judge(host_.Quote(nonce_, 3), 3);  // nobody knows the first 3 alone
  ExpectOnly(a, {"list.no-prefix"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
  state_.prefix.clear();  // known by number, but not in this bank
  ExpectOnly(Next(), {"list.no-prefix"});
}

TEST_F(RulesTest, RecordsCountedWrongly) {
  ExpectOnly(Judge([](evidence::Claims& c) { ++c.list_count; }), {"list.count"});
}

// Where the attester noted no values along the way, it can only be said that the list is not the PCR's.
TEST_F(RulesTest, ListOfAnotherPcrValue) {
  evidence::Evidence e = host_.Quote(nonce_, 0, [](evidence::Claims& c) { c.checkpoints.clear(); });
  host_.records[7] = host_.records[6];
  e.list.clear();
  for (const Bytes& r : host_.records) e.list.insert(e.list.end(), r.begin(), r.end());
  ExpectOnly(Judge(e), {"list.mismatch"});
}

TEST_F(RulesTest, AnotherHistoryInTheSameBoot) {
  host_.File("unknown", "/tmp/x");
  state_ = Judge().host;
  SyntheticHost again = host_;  // as if the PCR had been reset behind the clock's back
  const SyntheticHost other;
  again.RecordAgain(other.records);
  again.run_key = other.run_key;
  ExpectOnly(Appraise(again.Ask(again.Quote(nonce_), nonce_), state_, host_, policy_), {"list.history"});
}

TEST_F(RulesTest, BootAggregate) {
  auto with_first = [&](const Bytes& data) {
    SyntheticHost host = host_;
    host.records[0] = ima::EncodeRecord(10, DigestOf(""), "ima-ng", data);
    host.RecordAgain(std::vector<Bytes>(host.records));
    return Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host_, policy_);
  };
  auto aggregate = [&](HashAlg alg, std::uint32_t pcrs) {
    Hasher hasher(alg);
    for (std::uint32_t i = 0; i < pcrs; ++i) hasher.Update(host_.pcrs[SyntheticHost::kBank][i].view());
    return ima::EncodeNg(hasher.Finish(), "boot_aggregate");
  };
  ExpectOnly(with_first(aggregate(HashAlg::kSha256, 10)), {});
  ExpectOnly(with_first(aggregate(HashAlg::kSha256, 8)), {});  // as kernels before 5.8
  ExpectOnly(with_first(aggregate(HashAlg::kSha256, 9)), {"list.boot-aggregate"});
  ExpectOnly(with_first(ima::EncodeNg(DigestOf("x"), "boot_aggregate")), {"list.boot-aggregate"});
  host_.Know("x", "/usr/bin/x");
  ExpectOnly(with_first(ima::EncodeNg(DigestOf("x"), "/usr/bin/x")), {"list.boot-aggregate"});
  // Over a bank that was not quoted.
  const Appraisal a = with_first(aggregate(HashAlg::kSha1, 8));
  ExpectOnly(a, {"list.boot-aggregate-unproven"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
}

TEST_F(RulesTest, BootAggregateOfSha1IsOverPcr0To7) {
  constexpr std::uint16_t kSha1 = 0x0004;
  Hasher hasher(HashAlg::kSha1);
  for (std::uint32_t i = 0; i < 10; ++i) {
    host_.pcrs[kSha1][i] = Hash(HashAlg::kSha1, AsBytes(fmt::format("PCR {}", i)));
    if (i < 8) hasher.Update(host_.pcrs[kSha1][i].view());
  }
  const Bytes data = ima::EncodeNg(hasher.Finish(), "boot_aggregate");
  host_.records[0] = ima::EncodeRecord(10, DigestOf(""), "ima-ng", data);
  host_.RecordAgain(std::vector<Bytes>(host_.records));
  ExpectOnly(Judge(), {});
}

TEST_F(RulesTest, FewPcrsQuoted) {
  for (std::uint32_t i = 0; i < 10; ++i) host_.pcrs[SyntheticHost::kBank].erase(i);
  ExpectOnly(Judge(), {"list.boot-aggregate-unproven"});
}

TEST_F(RulesTest, SecondBootAggregate) {
  host_.Extend("ima-ng", ima::EncodeNg(DigestOf("x"), "boot_aggregate"));
  ExpectStays({"list.second-boot-aggregate"});
}

TEST_F(RulesTest, RecordsOfAnotherPcrAreSaid) {
  host_.Extend("ima-ng", ima::EncodeNg(DigestOf("content 1"), "/usr/bin/p1"), false, 11);
  ExpectStays({"list.foreign-pcr"});
}

TEST_F(RulesTest, MalformedGroup) {
  host_.Extend("ima-buf", ima::EncodeBuf(DigestOf("xxxxx"), ima::kGroupName, AsBytes("xxxxx")));
  ExpectStays({"list.group"});
}

TEST_F(RulesTest, GroupUnderAnothersDigest) {
  host_.Extend("ima-buf", ima::EncodeBuf(DigestOf("other"), ima::kGroupName, {}));
  ExpectStays({"list.group"});
}

TEST_F(RulesTest, GroupsAreOpened) {
  host_.Group({ima::EncodeNg(DigestOf("content 1"), "/usr/bin/p1"),
               ima::EncodeNg(DigestOf("trojan"), "/usr/bin/p2")});
  const Appraisal a = Judge();
  ExpectOnly(a, {"entry.changed"});
  EXPECT_EQ(a.findings.back().sub, 1U);
  host_.Group({Bytes(3, 1)});
  ExpectOnly(Judge(), {"entry.changed", "entry.malformed"});
}

TEST_F(RulesTest, OwnRecordsAreNeverInAGroup) {
  const std::string_view json = R"({"engine":"fanotify","scope":"host"})";
  const Bytes data = ima::EncodeBuf(DigestOf(json), "assay-engine", AsBytes(json));
  const Bytes buffer = ima::EncodeGroup({{"ima-buf", data}});
  host_.Extend("ima-buf", ima::EncodeBuf(Hash(HashAlg::kSha256, buffer), ima::kGroupName, buffer));
  ExpectStays({"own.malformed"});
}

TEST_F(RulesTest, ViolationsHoldNoDigest) {
  host_.Extend("ima-ng", ima::EncodeNg(Digest::Filled(HashAlg::kSha256, 0), "/usr/bin/p1"), true);
  ExpectStays({"entry.violation"});
  host_.Extend("ima-ng", ima::EncodeNg(DigestOf("trojan"), "/usr/bin/p1"), true);
  ExpectOnly(Judge(), {"entry.violation", "list.forged-violation"});
}

TEST_F(RulesTest, ViolationsInAGroupAreViolations) {
  host_.Group({ima::EncodeNg(DigestOf("content 1"), "/usr/bin/p1"),
               ima::EncodeNg(Digest::Filled(HashAlg::kSha256, 0), "/usr/bin/p2")});
  const Appraisal a = Judge();
  ExpectOnly(a, {"entry.violation"});
  EXPECT_EQ(a.findings.back().sub, 1U);
}

TEST_F(RulesTest, WrongColumnsStay) {
  std::fill_n(host_.records[5].begin() + 4, 32, 0xFF);
  ExpectStays({"list.all-ones-column"});
  host_.records[5][4] = 1;
  state_ = {};
  ExpectStays({"list.column"});
}

TEST_F(RulesTest, TailThatTheQuoteDoesNotCover) {
  evidence::Evidence e = host_.Quote(nonce_);
  host_.File("trojan", "/usr/bin/p1");
  e.list.insert(e.list.end(), host_.records.back().begin(), host_.records.back().end());
  ExpectOnly(Judge(e), {"list.beyond-quote", "entry.changed"});
  policy_.allow_unquoted_tail = true;
  const Appraisal a = Judge(e);
  ExpectInfo(a, "list.beyond-quote");
  EXPECT_EQ(a.host.records, host_.records.size() - 1);  // it comes again, and counts then
  host_.records.pop_back();
}

// --- What the attester says of itself

TEST_F(RulesTest, OwnRecordsMissing) {
  auto only = [&](std::initializer_list<std::size_t> kept) {
    SyntheticHost host = host_;
    std::vector<Bytes> records;
    for (const std::size_t i : kept) records.push_back(host_.records[i]);
    host.RecordAgain(records);
    return Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host_, policy_);
  };
  // 0 boot_aggregate, 1 assay-start, 2 assayd, 3 assay-policy, 4 assay-engine, 5 a file
  ExpectOnly(only({0, 1, 2, 3, 4, 5}), {});
  ExpectOnly(only({0, 5}), {"own.no-start"});
  ExpectOnly(only({0, 1, 3, 4, 5}), {"own.missing-binary"});
  ExpectOnly(only({0, 1, 2, 4, 5}), {"own.no-policy"});
  ExpectOnly(only({0, 1, 2, 3, 5}), {"own.no-engine"});
  ExpectOnly(only({0, 5, 1, 2, 3, 4}), {"own.late-start"});
  ExpectOnly(only({0, 2, 1, 3, 4}), {"own.late-start"});  // a part measured before counts as measured
  policy_.require_attester_records = false;
  ExpectOnly(only({0, 5}), {});
}

// The kernel's own list: no record says what measures.
TEST_F(RulesTest, KernelsOwnList) {
  auto judge = [&](std::initializer_list<std::size_t> kept) {
    SyntheticHost host = host_;
    std::vector<Bytes> records;
    for (const std::size_t i : kept) records.push_back(host_.records[i]);
    host.RecordAgain(records);
    const evidence::Evidence e = host.Quote(nonce_, 0, [](evidence::Claims& c) {
      c.engine = "kernel-ima";
      c.kernel_policy = "ima_policy=tcb";
    });
    return Appraise(host.Ask(e, nonce_), state_, host, policy_);
  };
  ExpectOnly(judge({0, 5}), {"own.engine", "own.kernel-policy"});
  policy_.engines = {"kernel-ima"};
  const Appraisal unproven = judge({0, 5});
  ExpectOnly(unproven, {"own.kernel-policy"});
  EXPECT_EQ(unproven.verdict, Verdict::kUnknown);
  policy_.allow_kernel_policy = true;
  EXPECT_EQ(judge({0, 5}).verdict, Verdict::kTrusted);
  ExpectInfo(judge({0, 5}), "own.kernel-policy");
  ExpectOnly(judge({0}), {"own.kernel-silent"});  // nothing measures
  ExpectOnly(judge({5}), {"list.boot-aggregate", "own.kernel-silent"});
  // A list of ours is judged as one, whatever the engine is called.
  ExpectOnly(judge({0, 1, 2, 3, 5}), {"own.no-engine"});
}

TEST_F(RulesTest, EngineOfThisRun) {
  policy_.allow_gaps = true;
  host_.OwnStart(2);
  ExpectOnly(Judge(), {"own.no-engine"});  // the former run's engine is not this one's
  host_.Own("assay-engine", R"({"engine":"none","scope":"none"})");
  ExpectOnly(Judge(), {"own.engine"});
}

TEST_F(RulesTest, PartsSaidLaterThanMeasured) {
  policy_.allow_gaps = true;
  host_.Know("library", "/usr/lib/library.so");
  host_.File("library", "/usr/lib/library.so");
  state_ = Judge().host;
  host_.Start(2, R"("/usr/sbin/assayd","/usr/lib/library.so")");
  ExpectOnly(Judge(), {});     // the whole list shows both
  const Appraisal a = Next();  // a part of it does not
  ExpectOnly(a, {"own.missing-binary"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
}

TEST_F(RulesTest, EngineThatIsNotWell) {
  const Appraisal a = Judge([](evidence::Claims& c) { c.engine_state = "queue overflow"; });
  ExpectOnly(a, {"own.engine-state"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
}

TEST_F(RulesTest, ScopeIsSaid) {
  host_.Own("assay-engine", R"({"engine":"fanotify","scope":"namespace","mounts":["/"]})");
  ExpectInfo(Judge(), "own.scope");
}

TEST_F(RulesTest, WhatRanBeforeIsSaid) {
  policy_.allow_gaps = true;
  host_.Start(2, R"("/usr/sbin/assayd")", 12);
  ExpectInfo(Judge(), "own.ran-before");
  policy_.allow_what_ran_before = false;
  ExpectStays({"own.ran-before"});
}

TEST_F(RulesTest, OwnRecordsThatAreNone) {
  host_.Own("assay-engine", "{}");
  ExpectStays({"own.malformed"});
}

// Whatever it says: it ends the run before it.
TEST_F(RulesTest, StartThatIsNone) {
  host_.Own("assay-start", "{}");
  ExpectStays({"own.malformed", "own.no-engine", "run.missing"});
}

TEST_F(RulesTest, OwnRecordUnderAnothersDigest) {
  host_.Extend("ima-buf", ima::EncodeBuf(DigestOf("x"), "assay-policy", AsBytes("{}")));
  ExpectStays({"own.malformed"});
}

TEST_F(RulesTest, OwnRecordOfALaterVersion) {
  host_.Own("assay-future", "{}");
  ExpectStays({"own.unknown-record"});
}

// A user's own unknown content, and his zeal, are not held against a machine that loaded nothing of it.
TEST_F(RulesTest, WhatAUserShowsIsNotLoaded) {
  host_.File("unknown to all", "measure:1000:/home/user/file");
  host_.Own("assay-limit", R"({"refused":3,"period_ms":600000,"uid":1000})");
  const Appraisal a = Judge();
  ExpectInfo(a, "entry.shown-unknown");
  ExpectInfo(a, "own.limit");
}

// cron's `sh -c` lines don't make a machine red; an owner that wants them judged says so.
TEST_F(RulesTest, ContentWithoutAFileIsNotedOrWeighs) {
  const std::string name = "buffer:0:bash-c:/usr/bin/bash";
  host_.File("echo unknown", name);
  host_.File("echo others", name);
  const Appraisal noted = Judge();
  ExpectInfo(noted, "entry.buffer-unknown");
  EXPECT_TRUE(std::any_of(noted.findings.begin(), noted.findings.end(), [&](const Finding& f) {
    return f.text.starts_with("2 contents without a file") && f.text.ends_with(name + " (2)");
  }));
  policy_.buffers_fail = true;
  state_ = {};
  ExpectStays({"entry.buffer-unknown"});
  policy_.allowed.insert("sha256:" + DigestOf("echo unknown").hex());
  policy_.allowed.insert("sha256:" + DigestOf("echo others").hex());
  state_ = {};
  EXPECT_EQ(Judge().verdict, Verdict::kTrusted);
  // What packages have is known here, too, and what they revoke is not excused by having no file.
  host_.File("a packaged script", name);
  host_.Know("a packaged script", "/usr/bin/script", Standing::kGood);
  state_ = {};
  EXPECT_EQ(Judge().verdict, Verdict::kTrusted);
  host_.Know("a packaged script", "/usr/bin/script", Standing::kRevoked);
  state_ = {};
  ExpectStays({"entry.revoked"});
}

TEST_F(RulesTest, LoadedByAPathThatOnlyLooksSo) {
  host_.File("unknown to all", "/measure:1000:/home/user/file");
  ExpectStays({"entry.unknown"});
}

TEST_F(RulesTest, UnknownInterpreter) {
  host_.File("own build", "/usr/bin/bash");
  policy_.interpreters = {"/usr/bin/bash"};
  ExpectStays({"entry.unknown", "own.interpreter"});
  host_.Know("own build", "/usr/bin/bash", Standing::kVulnerable);
  policy_.vulnerable_fails = false;
  state_ = {};
  ExpectInfo(Judge(), "entry.vulnerable");  // known, if vulnerable: it is the build that measures
}

// --- Entries

TEST_F(RulesTest, TheSamePathTwice) {
  host_.Know("content 1 new", "/usr/bin/p1", Standing::kGood, "2.0");
  host_.File("content 1 new", "/usr/bin/p1");
  ExpectOnly(Judge(), {});  // an upgrade
  host_.File("trojan", "/usr/bin/p1");
  host_.File("content 1", "/usr/bin/p1");  // put back: what ran between stays in the list
  const Appraisal a = Judge();
  ExpectOnly(a, {"entry.changed"});
  EXPECT_EQ(a.findings.back().digest, DigestOf("trojan").ToString());
}

TEST_F(RulesTest, MergedUsrIsNoChange) {
  host_.Know("old", "/bin/tool", Standing::kGood, "1.0");
  host_.Know("new", "/usr/bin/tool", Standing::kGood, "2.0");
  host_.File("old", "/usr/bin/tool");
  host_.File("new", "/usr/bin/tool");
  ExpectOnly(Judge(), {});
}

TEST_F(RulesTest, MovedContentIsKnownUnlessSomethingElseBelongsThere) {
  host_.File("content 1", "/opt/moved");
  ExpectOnly(Judge(), {});
  host_.File("content 1", "/usr/bin/p2");
  ExpectStays({"entry.swapped"});
}

TEST_F(RulesTest, Standings) {
  host_.Know("content 1", "/usr/bin/p1", Standing::kVulnerable, "0.9");
  ExpectOnly(Judge(), {});  // another package has the same content and is good
  host_.Know("old", "/usr/bin/old", Standing::kVulnerable);
  host_.File("old", "/usr/bin/old");
  ExpectStays({"entry.vulnerable"});
  host_.Know("content 2", "/usr/bin/p2", Standing::kRevoked, "0.9");
  ExpectOnly(Judge(), {"entry.vulnerable", "entry.revoked"});  // revoked content is good nowhere
}

TEST_F(RulesTest, WeakFileDigests) {
  host_.Extend("ima-ng", ima::EncodeNg(Hash(HashAlg::kSha1, AsBytes("content 1")), "/usr/bin/p1"));
  ExpectStays({"entry.weak-digest"});
}

// Reference values have SHA-256 of content. A digest of another kind is in none of them, whatever the file
// is.
TEST_F(RulesTest, DigestsThatNoReferenceCouldHave) {
  policy_.interpreters = {"/usr/bin/p1"};
  host_.Extend("ima-ng", ima::EncodeNg(Hash(HashAlg::kSha512, AsBytes("content 1")), "/usr/bin/p1"));
  ExpectStays({"entry.not-comparable"});
  EXPECT_EQ(Judge().verdict, Verdict::kUnknown);
  host_.Extend("ima-ng", ima::EncodeNg(Hash(HashAlg::kSha384, AsBytes("content 2")), "/usr/bin/p2"));
  ExpectOnly(Judge(), {"entry.not-comparable"});
  policy_.allowed = {Hash(HashAlg::kSha512, AsBytes("content 1")).ToString(),
                     Hash(HashAlg::kSha384, AsBytes("content 2")).ToString()};
  ExpectOnly(Judge(), {});
}

void ExtendVerity(SyntheticHost& kernel, const Digest& tree) {
  constexpr std::string_view kKind("verity:sha256:\0", 15), kPath("/usr/bin/p3\0", 12);
  Writer w;
  kernel.Extend("ima-ngv2", w.U32Le(15 + 32).Put(kKind).Put(tree.view()).U32Le(12).Put(kPath).bytes());
}

TEST_F(RulesTest, DigestsOfFsVerity) {
  policy_.require_attester_records = false;
  SyntheticHost kernel;  // only the kernel's own list has such digests
  kernel.RecordAgain({kernel.records.front()});
  kernel.Know("content 3", "/usr/bin/p3");
  const Digest tree = DigestOf("tree");
  ExtendVerity(kernel, tree);
  const auto judge = [&] {
    return Appraise(kernel.Ask(kernel.Quote(nonce_), nonce_), state_, kernel, policy_);
  };
  const Appraisal a = judge();
  EXPECT_TRUE(Of(a, true).contains("entry.not-comparable")) << Describe(a, false, false);
  EXPECT_FALSE(Of(a, true).contains("entry.changed"));
  policy_.allowed = {"verity:" + tree.ToString()};
  EXPECT_FALSE(Of(judge(), true).contains("entry.not-comparable"));
}

// Reference values that have such a digest know the file by it, and judge by the package.
TEST_F(RulesTest, DigestsOfOtherKindsThatReferencesHave) {
  struct Host : SyntheticHost {
    std::map<Digest, Origin> further;
    std::vector<Origin> Find(const Digest& digest) const override {
      const auto found = further.find(digest);
      return found == further.end() ? SyntheticHost::Find(digest) : std::vector<Origin>{found->second};
    }
  };
  policy_.require_attester_records = false;
  Host kernel;
  kernel.RecordAgain({kernel.records.front()});
  kernel.Know("content 3", "/usr/bin/p3");
  const Digest tree = DigestOf("tree");
  ExtendVerity(kernel, tree);
  const Digest strong = Hash(HashAlg::kSha512, AsBytes("content 3"));
  kernel.Extend("ima-ng", ima::EncodeNg(strong, "/usr/bin/p3"));
  const auto judge = [&](Standing standing) {
    const Origin origin{standing, "package", "1.0", "amd64", "/usr/bin/p3", "", 0};
    kernel.further = {{StandIn("verity:" + tree.ToString()), origin}, {StandIn(strong.ToString()), origin}};
    return Of(Appraise(kernel.Ask(kernel.Quote(nonce_), nonce_), state_, kernel, policy_), true);
  };
  const Names good = judge(Standing::kGood);
  EXPECT_FALSE(good.contains("entry.not-comparable"));
  EXPECT_FALSE(good.contains("entry.unknown"));
  EXPECT_TRUE(judge(Standing::kRevoked).contains("entry.revoked"));
  EXPECT_TRUE(judge(Standing::kVulnerable).contains("entry.vulnerable"));
  // The same bytes as the SHA-256 of a content are another digest.
  kernel.further = {{tree, Origin{Standing::kGood, "package", "1.0", "amd64", "/usr/bin/p3", "", 0}}};
  const Appraisal a = Appraise(kernel.Ask(kernel.Quote(nonce_), nonce_), state_, kernel, policy_);
  EXPECT_TRUE(Of(a, true).contains("entry.not-comparable"));
}

TEST_F(RulesTest, BufferUnderAnothersDigest) {
  policy_.allowed = {DigestOf("good").ToString()};
  host_.Extend("ima-buf", ima::EncodeBuf(DigestOf("good"), "app", AsBytes("good")));
  ExpectOnly(Judge(), {});
  host_.Extend("ima-buf", ima::EncodeBuf(DigestOf("good"), "app", AsBytes("bad")));
  ExpectStays({"entry.malformed"});
}

TEST_F(RulesTest, UnknownTemplate) {
  host_.Extend("no-such|n-ng", Bytes(8, 0));
  ExpectStays({"entry.malformed"});
}

TEST_F(RulesTest, WhatThePolicyLeavesUnjudgedIsSaid) {
  policy_.allowed_cgroups = {"/system.slice/docker-*.scope"};
  host_.File("anything", "/var/cache/x", "/system.slice/docker-1.scope");
  ExpectInfo(Judge(), "policy.not-judged");
  host_.File("anything", "/var/cache/x", "/user.slice/system.slice/docker-1.scope");
  ExpectOnly(Judge(), {"entry.unknown"});
  host_.File("another", "/usr/sbin/assayd", "/system.slice/docker-1.scope");  // the attester's parts are
  ExpectOnly(Judge(), {"entry.unknown", "entry.changed", "own.unknown-binary"});
}

TEST_F(RulesTest, FindingsAreKeptWithinBounds) {
  host_.checkpoint_stride = 1000;
  for (int i = 0; i < 6000; ++i) host_.File(fmt::format("unknown {}", i), fmt::format("/tmp/{}", i));
  Appraisal a = Judge();
  EXPECT_EQ(a.findings.size(), 6002U);  // and two notes
  state_ = *ParseHostState(EncodeHostState(a.host));
  EXPECT_LE(state_.standing.size(), 5001U);
  a = Next();
  ExpectOnly(a, {"entry.unknown", "list.more-findings"});
  state_ = a.host;
  ExpectOnly(Next(), {"entry.unknown", "list.more-findings"});
}

}  // namespace
}  // namespace assay::appraise
