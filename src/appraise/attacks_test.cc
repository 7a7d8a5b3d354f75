// What an attacker may try with a quote: each is refused by its own name. A real recorder and TPM make the
// evidence; a key of the test's own signs what no TPM would.
#include "appraise/attacks_fixture.h"
#include "appraise/finding_names.h"
#include "base/result_testing.h"

namespace assay::appraise {
namespace {

TEST_F(AttacksTest, HonestEvidenceIsTrustedAndGoesOnFromWhereItWas) {
  Appraisal a = Judge(Collect());
  ExpectOnly(a, {});
  EXPECT_EQ(a.counts[EntryState::kTrusted], 31U);
  host_ = a.host;
  const auto text = EncodeHostState(host_);
  auto parsed = ParseHostState(text);
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(EncodeHostState(*parsed), text);
  host_ = *parsed;
  first_ = host_.records;
  nonce_ = evidence::Nonce::Filled(8);
  ExpectOnly(Judge(Collect()), {});  // nothing new
  Record("trojan", Path(1));
  Record("script", "/tmp/script");
  a = Judge(Collect());
  ExpectOnly(a, {"entry.changed", "entry.unknown"});
  EXPECT_EQ(a.entries.size(), 2U);
  EXPECT_EQ(a.findings.back().context->uid, 3U);
  host_ = a.host;
  first_ = host_.records;
  ExpectOnly(Judge(Collect()), {"entry.changed", "entry.unknown"});  // it stays so until the next boot
}

TEST_F(AttacksTest, ReplayedQuote) {
  const evidence::Evidence old = Collect();
  nonce_ = evidence::Nonce::Filled(9);
  ExpectOnly(Judge(old), {"quote.nonce"});
}

TEST_F(AttacksTest, WrongNonceInQualifyingData) {
  evidence::Evidence e = Collect();
  const evidence::Evidence other = (nonce_ = evidence::Nonce::Filled(9), Collect());
  e.claims = other.claims;  // says the right nonce, but the quote is over another
  ExpectOnly(Judge(e), {"quote.qualifying"});
}

TEST_F(AttacksTest, RelayedEvidence) {
  ExpectOnly(Judge(Collect({"tls-exporter", Bytes(32, 1)})), {"quote.relayed"});
}

TEST_F(AttacksTest, OtherAk) {
  host_ = Judge(Collect()).host;
  ASSERT_THAT(tpm_->Reconnect(), IsOk());  // a TPM has room for three keys
  auto other = attest::Collector::Create(
      {.event_log = "",
       .started_ms = 0,
       .engine = [] { return std::pair<std::string, std::string>("fanotify", "ok"); },
       .kernel_policy = "",
       .run = [this](ByteView statement) { return run_key_->Sign(statement); }},
      *recorder_, *tpm_, tpm::AkKind::kRsa2048);
  ASSERT_THAT(other, IsOk());
  collector_ = std::move(*other);
  ExpectOnly(Judge(Collect()), {"ak.changed"});
}

TEST_F(AttacksTest, OtherAkThanThePinnedOne) {
  policy_.pinned_ak = std::string(68, '0');
  ExpectOnly(Judge(Collect()), {"ak.changed"});
  policy_.pinned_ak = "";
  policy_.allow_first_use = false;
  ExpectOnly(Judge(Collect()), {"ak.unknown"});
}

TEST_F(AttacksTest, ForeignSignature) {
  evidence::Evidence e = Collect();
  e.signature.back() ^= 1;
  ExpectOnly(Judge(e), {"quote.signature"});
}

TEST_F(AttacksTest, SelectionAltered) {
  ExpectOnly(Judge(Collect({"unix", {}}, "sha256:0,1,2,10")), {"quote.selection"});
}

TEST_F(AttacksTest, Sha1Only) {
  ExpectOnly(Judge(Collect({"unix", {}}, "sha1:0,1,2,3,4,5,6,7,8,9,10")),
             {"quote.selection", "quote.weak-bank"});
  asked_ = "sha1:0,1,2,3,4,5,6,7,8,9,10";
  ExpectOnly(Judge(Collect({"unix", {}}, asked_)), {"quote.weak-bank"});
}

TEST_F(AttacksTest, SeveralBanksAreAllReplayed) {
  asked_ = "sha1:0,1,2,3,4,5,6,7,8,9,10+sha256:0,1,2,3,4,5,6,7,8,9,10";
  ExpectOnly(Judge(Collect({"unix", {}}, asked_)), {});
}

TEST_F(AttacksTest, ClaimsOrContextAltered) {
  evidence::Evidence e = Collect();
  const std::string_view word = "exec";
  const auto at = std::search(e.context.begin(), e.context.end(), word.begin(), word.end());
  ASSERT_NE(at, e.context.end());
  *at = 'E';
  ExpectOnly(Judge(e), {"quote.qualifying"});
}

TEST_F(AttacksTest, RebootBetweenTwoRounds) {
  host_ = Judge(Collect()).host;
  collector_.reset();
  run_key_.reset();
  ResetTpm();
  host_.boot_id = "the boot before";
  host_.clock += 60'000;  // power was lost: the clock is that of some time before
  Start();
  first_ = host_.records;
  for (int i = 0; i < 40; ++i) Record(Content(i % 30), Path(i % 30));
  first_ = 3;
  Appraisal a = Judge(Collect());
  EXPECT_TRUE(a.rebooted);
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
  ExpectOnly(a, {"clock.rebooted"});
  EXPECT_EQ(a.host.records, host_.records);  // nothing learnt from it
  first_ = 0;
  a = Judge(Collect());
  EXPECT_TRUE(a.rebooted);
  ExpectOnly(a, {});
}

// The list is extended anew into the empty PCR, and explains it. It stays known for as long as the boot does.
TEST_F(AttacksTest, TpmResetWithoutAReboot) {
  host_ = Judge(Collect()).host;
  collector_.reset();
  run_key_.reset();
  ResetTpm();
  Start();
  first_ = 0;
  Appraisal a = Judge(Collect());
  EXPECT_EQ(a.verdict, Verdict::kNotTrusted);
  ExpectOnly(a, {"clock.reset-running"});
  host_ = a.host;
  EXPECT_EQ(host_.reset_in, host_.boot_id);
  ExpectOnly(Judge(Collect()), {"clock.reset-running"});
  first_ = host_.records;
  ExpectOnly(Judge(Collect()), {"clock.reset-running"});
  host_.reset_in = "the boot before";
  ExpectOnly(Judge(Collect()), {});

  // Another boot id is only a claim: no boot is that fast.
  host_ = Judge(Collect()).host;
  const auto clock = tpm_->ReadClock();
  ASSERT_THAT(clock, IsOk());
  host_.boot_id = "another";
  host_.reset_count -= 1;
  host_.clock = clock->clock;
  first_ = 0;
  ExpectOnly(Judge(Collect()), {"clock.reset-running"});
}

// A verifier that asks for the first time is told by the attester, though the run key is gone too.
TEST_F(AttacksTest, TpmResetIsToldByTheAttester) {
  tpm::TpmForTest::Reset(*tpm_, swtpm_);
  const evidence::Evidence e = Collect();
  EXPECT_EQ(evidence::ParseClaims(e.claims)->recorder, "recorder.pcr-reset");
  EXPECT_TRUE(e.run_signature.empty());
  const std::set<std::string> names = Weighing(Judge(e));
  EXPECT_TRUE(names.contains("clock.reset-running"));
  EXPECT_TRUE(names.contains("list.beyond-quote"));  // the PCR is empty
}

// The keys are gone after a suspend; the PCRs are not.
TEST_F(AttacksTest, ASuspendKeepsTheVerdict) {
  host_ = Judge(Collect()).host;
  policy_.allow_gaps = true;  // of the run key: a new run begins
  tpm::TpmForTest::Suspend(*tpm_, swtpm_);
  run_key_.reset();
  collector_.reset();
  recorder_.reset();
  Start(2);
  ExpectOnly(Judge(Collect()), {});
}

TEST_F(AttacksTest, ClockSetBack) {
  host_ = Judge(Collect()).host;
  host_.clock += 1'000'000;
  ExpectOnly(Judge(Collect()), {"clock.back"});
  host_.clock -= 1'000'000;
  host_.restart_count += 1;
  const Appraisal restarted = Judge(Collect());
  ExpectOnly(restarted, {"clock.back"});
  EXPECT_TRUE(std::any_of(restarted.findings.begin(), restarted.findings.end(), [](const Finding& f) {
    return f.name == FindingName::kClockBack && f.text.find("restart count went from") != std::string::npos;
  }));
  host_.restart_count -= 1;
  host_.reset_count += 1;
  ExpectOnly(Judge(Collect()), {"clock.reset-count"});
}

TEST_F(AttacksTest, SoftwareTpm) {
  policy_.allow_software_tpm = false;
  ExpectOnly(Judge(Collect()), {"tpm.software"});
}

TEST_F(AttacksTest, ListNotShown) {
  level_ = evidence::Level::kQuote;
  const Appraisal a = Judge(Collect());
  ExpectOnly(a, {"evidence.no-list"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
}

TEST_F(AttacksTest, WhatTheAttesterSaysOfItself) {
  policy_.engines = {"lsm"};
  ExpectOnly(Judge(Collect()), {"own.engine"});
  policy_.engines = {"fanotify"};
  policy_.attester_policies = {"sha256:00"};
  ExpectOnly(Judge(Collect()), {"own.policy"});
  policy_.attester_policies.clear();
  references_ = References();
  for (int i = 0; i < 30; ++i) references_.Put(Content(i), Path(i));
  ExpectOnly(Judge(Collect()), {"own.unknown-binary", "entry.unknown"});
  policy_.attester_digests = {DigestOf("assayd").ToString()};
  ExpectOnly(Judge(Collect()), {});
}

TEST_F(AttacksTest, RestartOfTheAttesterIsAGap) {
  Start(2);
  ExpectOnly(Judge(Collect()), {"list.gap"});
  policy_.allow_gaps = true;
  ExpectOnly(Judge(Collect()), {});
}

TEST_F(AttacksTest, Entries) {
  references_.Put("old ssl", "/usr/lib/libssl.so.3", Standing::kVulnerable);
  references_.Put("bad", "/usr/lib/bad.so", Standing::kRevoked);
  Record("old ssl", "/usr/lib/libssl.so.3");
  Record("bad", "/usr/lib/bad.so");
  Record(Content(2), Path(3));
  policy_.interpreters = {Path(3)};
  ASSERT_THAT(recorder_->RecordViolation(measure::Violation::kToMToU, Path(4), {}), IsOk());
  const Appraisal a = Judge(Collect());
  ExpectOnly(a, {"entry.vulnerable", "entry.revoked", "entry.swapped", "entry.violation", "own.interpreter"});
}

// --- Quotes that no TPM would make, by a key of our own in the AK's place.
// -------------------------------------

constexpr std::uint32_t kRestrictedSigning = SyntheticHost::kRestrictedSigning;

class ForgedTest : public AttacksTest {
 protected:
  Bytes Public(std::uint32_t attributes) const { return forger_.Public(attributes); }
  void Sign(evidence::Evidence& e) const {
    forger_.SignAk(e);
    const Result<Bytes> by_run = run_key_->Sign(evidence::RunStatement(e.attest));
    EXPECT_THAT(by_run, IsOk());
    if (by_run) e.run_signature = *by_run;
  }
  // The honest quote with another selection; its other fields stay.
  static Bytes Reselected(const Bytes& attest, const tpm::PcrSelection& selection, const Digest& digest) {
    const auto q = tpm::ParseQuote(attest);
    EXPECT_THAT(q, IsOk());
    Writer w;
    w.U32Be(0xFF544347).U16Be(0x8018);
    w.U16Be(static_cast<std::uint16_t>(q->qualified_signer.size())).Put(q->qualified_signer);
    w.U16Be(static_cast<std::uint16_t>(q->extra_data.size())).Put(q->extra_data);
    w.U64Be(q->clock.clock).U32Be(q->clock.reset_count).U32Be(q->clock.restart_count).U8(1);
    w.U64Be(q->firmware_version);
    w.U32Be(static_cast<std::uint32_t>(selection.size()));
    for (const auto& bank : selection) {
      std::uint8_t bits[3] = {};
      for (const std::uint32_t pcr : bank.pcrs) bits[pcr / 8] |= static_cast<std::uint8_t>(1U << pcr % 8);
      w.U16Be(bank.bank).U8(3).Put(ByteView(bits));
    }
    w.U16Be(32).Put(digest.view());
    return w.Take();
  }
  SyntheticHost forger_;
};

// Each attribute that an AK must have or must not have, broken alone.
TEST_F(ForgedTest, AkAttributes) {
  evidence::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  Sign(e);
  EXPECT_TRUE(Weighing(Judge(e)).empty())
      << "the forged key must pass when its attributes do: " << Describe(Judge(e), false, false);
  for (const auto& [bit, name] : {std::pair{1U << 16, "ak.not-restricted"},
                                  {1U << 18, "ak.not-signing"},
                                  {1U << 1, "ak.not-fixed-tpm"},
                                  {1U << 4, "ak.not-fixed-parent"},
                                  {1U << 5, "ak.imported"},
                                  {1U << 17, "ak.decrypts"}}) {
    e.ak_public = Public(kRestrictedSigning ^ bit);
    Sign(e);
    ExpectOnly(Judge(e), {name});
  }
  e.ak_public = Public(kRestrictedSigning);
  e.ak_public[3] = 0x0C;  // a name by SHA-384
  Sign(e);
  ExpectOnly(Judge(e), {"ak.weak"});
  e.ak_public.pop_back();
  ExpectOnly(Judge(e), {"ak.malformed"});
}

TEST_F(ForgedTest, NotAQuote) {
  evidence::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  e.attest[0] ^= 1;  // not generated by a TPM
  Sign(e);
  ExpectOnly(Judge(e), {"quote.malformed"});
}

TEST_F(ForgedTest, RepeatedBank) {
  evidence::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  auto selection = *tpm::ParseSelectionText(asked_);
  selection.push_back(selection.front());
  e.attest = Reselected(e.attest, selection, DigestOf("any"));
  Sign(e);
  ExpectOnly(Judge(e), {"quote.selection-repeated"});
}

// Asked for or not: a PCR that can be reset has no place in a quote that is to prove something.
TEST_F(ForgedTest, ResettablePcrBesides) {
  asked_ = "sha256:0,1,2,3,4,5,6,7,8,9,10,16";
  ExpectOnly(Judge(Collect({"unix", {}}, asked_)), {"quote.resettable-pcr"});
  asked_ = "sha256:0,1,2,3,4,5,6,7,8,9,10,23";
  ExpectOnly(Judge(Collect({"unix", {}}, asked_)), {"quote.resettable-pcr"});
}

TEST_F(ForgedTest, PcrValuesOfAnotherMoment) {
  evidence::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  e.attest = Reselected(e.attest, *tpm::ParseSelectionText(asked_), DigestOf("any"));
  Sign(e);
  ExpectOnly(Judge(e), {"quote.pcr-digest"});
}

// PCR 16 can be reset and given any value: a quote over it is not one over PCR 10, whatever the claims call
// it.
TEST_F(ForgedTest, ResettablePcrRelabelled) {
  evidence::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  auto claims = *evidence::ParseClaims(e.claims);
  const evidence::Claims honest = claims;
  auto selection = *tpm::ParseSelectionText("sha256:0,1,2,3,4,5,6,7,8,9,16");
  tpm::PcrValues values;
  for (const auto& [index, value] : claims.pcrs.at(0x000B)) values[0x000B][index == 10 ? 16 : index] = value;
  e.attest = Reselected(e.attest, selection, *tpm::PcrDigest(selection, values));
  Sign(e);
  ExpectOnly(Judge(e), {"quote.selection", "quote.weak-bank", "quote.resettable-pcr"});
  claims = honest;
  claims.pcr = 16;
  e.claims = evidence::EncodeClaims(claims);
  auto quote = *tpm::ParseQuote(e.attest);
  const Bytes qualifying = evidence::Qualifying(nonce_, {"unix", {}}, e.claims, e.context);
  const auto place =
      std::search(e.attest.begin(), e.attest.end(), quote.extra_data.begin(), quote.extra_data.end());
  std::copy(qualifying.begin(), qualifying.end(), place);
  Sign(e);
  ExpectOnly(Judge(e), {"quote.selection", "quote.weak-bank", "quote.resettable-pcr", "quote.other-pcr"});
}

// A TPM that has a SHA-384 bank only.
class Sha384Test : public AttacksTest {
 protected:
  void SetUp() override {
    machine_.banks = "sha384";
    ASSERT_NO_FATAL_FAILURE(AttacksTest::SetUp());
    asked_ = "sha384:0-14";
  }
};

TEST_F(Sha384Test, IsQuotedReplayedAndJudged) {
  const evidence::Evidence e = Collect();
  EXPECT_EQ(evidence::ParseClaims(e.claims)->list_bank, HashAlg::kSha384);
  const Appraisal a = Judge(e);
  ExpectOnly(a, {});
  EXPECT_EQ(a.host.prefix.at(HashAlg::kSha384).alg(), HashAlg::kSha384);
  host_ = a.host;
  first_ = host_.records;
  Record(Content(1), "/usr/bin/more");
  ExpectOnly(Judge(Collect()), {});
  policy_.quote_banks = {HashAlg::kSha256};
  ExpectOnly(Judge(Collect()), {"quote.weak-bank", "list.judged-otherwise"});
}

}  // namespace
}  // namespace assay::appraise
