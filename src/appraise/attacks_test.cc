// What an attacker may try with a quote or a list: each is refused by its own name. A real recorder and TPM
// make the evidence; a key of the test's own signs what no TPM would.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "appraise/appraise.h"
#include "appraise/result.h"
#include "attest/collector.h"
#include "list/list.h"
#include "tpm/software_tpm.h"

namespace assay::appraise {
namespace {

using nlohmann::json;

Digest DigestOf(std::string_view s) { return Hash(HashAlg::kSha256, AsBytes(s)); }

class References : public ReferenceValues {
 public:
  void Put(std::string_view content, const std::string& path, Standing standing = Standing::kGood) {
    const Origin o{standing, "package", "1.0", "amd64", path, ""};
    by_digest_[DigestOf(content)].push_back(o);
    by_path_[path] = o;
  }
  std::vector<Origin> Find(const Digest& digest) const override {
    const auto found = by_digest_.find(digest);
    return found == by_digest_.end() ? std::vector<Origin>{} : found->second;
  }
  std::optional<Origin> FindPath(const std::string& path) const override {
    const auto found = by_path_.find(path);
    return found == by_path_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::map<Digest, std::vector<Origin>> by_digest_;
  std::map<std::string, Origin> by_path_;
};

class AttacksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-attacks.XXXXXX";
    dir_ = mkdtemp(name);
    StartTpm();
    Start();
    policy_.allow_software_tpm = true;
    references_.Put("assayd", "/usr/sbin/assayd");
    for (int i = 0; i < 30; ++i) {
      references_.Put(Content(i), Path(i));
      Record(Content(i), Path(i));
    }
  }
  void TearDown() override {
    collector_.reset();
    recorder_.reset();
    tpm_.reset();
    EXPECT_TRUE(swtpm_.Stop());
    std::filesystem::remove_all(dir_);
  }
  static std::string Content(int i) { return "content " + std::to_string(i); }
  static std::string Path(int i) { return "/usr/bin/p" + std::to_string(i); }

  void StartTpm() {
    auto started =
        tpm::SoftwareTpm::Start({.state_dir = dir_ + "/state", .run_dir = dir_ + "/run", .preload = ""});
    ASSERT_TRUE(started) << started.error().Message();
    swtpm_ = *started;
  }
  // The attester's start, with its own records as assayd writes them.
  void Start(std::uint64_t run = 1) {
    collector_.reset();
    recorder_.reset();
    auto tpm = tpm::Tpm::Connect(swtpm_.tcti());
    ASSERT_TRUE(tpm) << tpm.error().Message();
    tpm_ = std::move(*tpm);
    measure::RecorderOptions options = options_;
    options.dir = dir_ + "/list";
    options.allow_retire = true;
    options.known = [](const Digest& d) { return d.view()[0] < 0x40; };
    auto recorder = measure::Recorder::Open(options, *tpm_);
    ASSERT_TRUE(recorder) << recorder.error().Message();
    recorder_ = std::move(*recorder);
    RecordOwn("assay-start", {{"version", "0.1.0"},
                              {"pid", 1},
                              {"boot_id", "b"},
                              {"uptime_ms", 1},
                              {"scope", "host"},
                              {"tasks_before", 0},
                              {"run", run},
                              {"executable", "/usr/sbin/assayd"},
                              {"components", {"/usr/sbin/assayd"}}});
    Record("assayd", "/usr/sbin/assayd");
    RecordOwn("assay-policy", json::object());
    RecordOwn("assay-engine", {{"engine", "fanotify"}, {"scope", "host"}});
    attest::CollectorOptions collect;
    collect.engine = [] { return std::pair<std::string, std::string>("fanotify", "ok"); };
    auto collector = attest::Collector::Create(std::move(collect), *recorder_, *tpm_, tpm::AkKind::kEccP256);
    ASSERT_TRUE(collector) << collector.error().Message();
    collector_ = std::move(*collector);
  }
  void Record(const std::string& content, const std::string& path) {
    auto r = recorder_->Record(
        {DigestOf(content), path, {.time_ms = 1, .pid = 2, .uid = 3, .comm = "sh", .hook = "exec"}});
    ASSERT_TRUE(r) << r.error().Message();
  }
  void RecordOwn(const std::string& name, const json& content) {
    auto r = recorder_->RecordBuffer(name, AsBytes(content.dump()), {});
    ASSERT_TRUE(r) << r.error().Message();
  }

  attest::Evidence Collect(const attest::Binding& binding = {"unix", {}}, const std::string& selection = "") {
    attest::Challenge c;
    c.nonce = nonce_;
    c.first_record = first_;
    if (!selection.empty()) c.selection = *tpm::ParseSelectionText(selection);
    auto e = collector_->Collect(c, binding, level_);
    EXPECT_TRUE(e) << e.error().Message();
    return e ? *e : attest::Evidence{};
  }
  Appraisal Judge(const attest::Evidence& e) {
    const Request request{.evidence = e,
                          .binding = {"unix", {}},
                          .nonce = nonce_,
                          .selection = *tpm::ParseSelectionText(asked_),
                          .first_record = first_,
                          .now_ms = 0};
    return Appraise(request, host_, references_, policy_);
  }
  static std::set<std::string> Weighing(const Appraisal& a) {
    std::set<std::string> names;
    for (const Finding& f : a.findings)
      if (f.weight != Verdict::kTrusted) names.insert(f.name);
    return names;
  }
  void ExpectOnly(const Appraisal& a, const std::set<std::string>& names) {
    EXPECT_EQ(Weighing(a), names) << Describe(a, false, false);
    EXPECT_EQ(a.verdict == Verdict::kTrusted, names.empty());
  }
  // The evidence with its list edited: records are cut apart, changed and put together.
  template <typename Edit>
  attest::Evidence WithList(attest::Evidence e, Edit edit) {
    std::vector<Bytes> records;
    ima::ListReader reader(e.list, HashAlg::kSha256);
    while (true) {
      auto r = reader.Next();
      if (!r || !*r) break;
      records.push_back(ToBytes((*r)->raw));
    }
    edit(records);
    e.list.clear();
    for (const Bytes& r : records) e.list.insert(e.list.end(), r.begin(), r.end());
    return e;
  }
  static Bytes Forged(std::string_view content, const std::string& path) {
    const Bytes data = ima::EncodeNg(DigestOf(content), path);
    return ima::EncodeRecord(10, ima::TemplateDigest(HashAlg::kSha256, "ima-ng", data), "ima-ng", data);
  }

  std::string dir_;
  tpm::SoftwareTpm swtpm_;
  std::unique_ptr<tpm::Tpm> tpm_;
  std::unique_ptr<measure::Recorder> recorder_;
  std::unique_ptr<attest::Collector> collector_;
  measure::RecorderOptions options_;
  References references_;
  Policy policy_;
  HostState host_;
  Bytes nonce_ = Bytes(32, 7);
  std::uint64_t first_ = 0;
  attest::Level level_ = attest::Level::kFull;
  std::string asked_ = "sha256:0,1,2,3,4,5,6,7,8,9,10";
};

TEST_F(AttacksTest, HonestEvidenceIsTrustedAndGoesOnFromWhereItWas) {
  Appraisal a = Judge(Collect());
  ExpectOnly(a, {});
  EXPECT_EQ(a.counts[EntryState::kTrusted], 31U);
  host_ = a.host;
  const auto text = EncodeHostState(host_);
  auto parsed = ParseHostState(text);
  ASSERT_TRUE(parsed) << parsed.error().Message();
  EXPECT_EQ(EncodeHostState(*parsed), text);
  host_ = *parsed;
  first_ = host_.records;
  nonce_ = Bytes(32, 8);
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
  const attest::Evidence old = Collect();
  nonce_ = Bytes(32, 9);
  ExpectOnly(Judge(old), {"quote.nonce"});
}

TEST_F(AttacksTest, WrongNonceInQualifyingData) {
  attest::Evidence e = Collect();
  const attest::Evidence other = (nonce_ = Bytes(32, 9), Collect());
  e.claims = other.claims;  // says the right nonce, but the quote is over another
  ExpectOnly(Judge(e), {"quote.qualifying"});
}

TEST_F(AttacksTest, RelayedEvidence) {
  ExpectOnly(Judge(Collect({"tls-exporter", Bytes(32, 1)})), {"quote.relayed"});
}

TEST_F(AttacksTest, OtherAk) {
  host_ = Judge(Collect()).host;
  auto other = attest::Collector::Create(
      {.event_log = "",
       .started_ms = 0,
       .engine = [] { return std::pair<std::string, std::string>("fanotify", "ok"); }},
      *recorder_, *tpm_, tpm::AkKind::kRsa2048);
  ASSERT_TRUE(other);
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
  attest::Evidence e = Collect();
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

TEST_F(AttacksTest, EntryRemoved) {
  auto e = WithList(Collect(), [](auto& r) { r.erase(r.begin() + 9); });
  const Appraisal a = Judge(e);
  ExpectOnly(a, {"list.removed"});
  EXPECT_EQ(a.findings.back().record, 9U);
}

TEST_F(AttacksTest, EntriesRemovedInTwoPlaces) {
  auto e = WithList(Collect(), [](auto& r) {
    r.erase(r.begin() + 20);
    r.erase(r.begin() + 9, r.begin() + 11);
  });
  ExpectOnly(Judge(e), {"list.removed"});
}

TEST_F(AttacksTest, EntryAdded) {
  auto e = WithList(Collect(), [](auto& r) { r.insert(r.begin() + 9, Forged(Content(1), Path(1))); });
  ExpectOnly(Judge(e), {"list.added"});
}

TEST_F(AttacksTest, EntryAddedAtTheEnd) {
  auto e = WithList(Collect(), [](auto& r) { r.push_back(Forged(Content(1), Path(1))); });
  ExpectOnly(Judge(e), {"list.beyond-quote"});
}

TEST_F(AttacksTest, EntryAltered) {
  auto e = WithList(Collect(), [](auto& r) { r[9] = Forged(Content(1), Path(1)); });
  const Appraisal a = Judge(e);
  ExpectOnly(a, {"list.altered"});
  EXPECT_EQ(a.findings.back().record, 9U);
}

TEST_F(AttacksTest, EntryAlteredUnderItsOldTemplateHash) {
  auto e = WithList(Collect(), [](auto& r) { r[9].back() ^= 1; });
  const auto names = Weighing(Judge(e));
  EXPECT_TRUE(names.contains("list.altered"));
  EXPECT_TRUE(names.contains("list.column"));
}

TEST_F(AttacksTest, EntriesReordered) {
  auto e = WithList(Collect(), [](auto& r) { std::swap(r[9], r[14]); });
  const Appraisal a = Judge(e);
  ExpectOnly(a, {"list.reordered"});
}

TEST_F(AttacksTest, ListTruncated) {
  auto e = WithList(Collect(), [](auto& r) { r.resize(r.size() - 3); });
  ExpectOnly(Judge(e), {"list.truncated"});
  e = Collect();
  e.list.resize(e.list.size() - 3);
  ExpectOnly(Judge(e), {"list.malformed"});
  e.list.clear();
  ExpectOnly(Judge(e), {"list.truncated"});
}

TEST_F(AttacksTest, AllOnesTemplateHash) {
  auto e = WithList(Collect(), [](auto& r) { std::fill_n(r[9].begin() + 4, 32, 0xFF); });
  ExpectOnly(Judge(e), {"list.all-ones-column"});
}

TEST_F(AttacksTest, ZeroedTemplateHashIsNoWayIn) {
  auto e = WithList(Collect(), [](auto& r) { std::fill_n(r[9].begin() + 4, 32, 0); });
  EXPECT_TRUE(Weighing(Judge(e)).contains("list.altered"));
}

TEST_F(AttacksTest, RecordsOfAnotherPcr) {
  auto e = WithList(Collect(), [](auto& r) { r[9][0] = 16; });
  const auto names = Weighing(Judge(e));
  EXPECT_TRUE(names.contains("list.foreign-pcr"));
}

TEST_F(AttacksTest, ClaimsOrContextAltered) {
  attest::Evidence e = Collect();
  const std::string_view word = "exec";
  const auto at = std::search(e.context.begin(), e.context.end(), word.begin(), word.end());
  ASSERT_NE(at, e.context.end());
  *at = 'E';
  ExpectOnly(Judge(e), {"quote.qualifying"});
}

TEST_F(AttacksTest, RebootBetweenTwoRounds) {
  host_ = Judge(Collect()).host;
  collector_.reset();
  recorder_.reset();
  tpm_.reset();
  ASSERT_TRUE(swtpm_.Stop());
  StartTpm();
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

TEST_F(AttacksTest, ClockSetBack) {
  host_ = Judge(Collect()).host;
  host_.clock += 1'000'000;
  ExpectOnly(Judge(Collect()), {"clock.back"});
  host_.reset_count += 1;
  ExpectOnly(Judge(Collect()), {"clock.reset-count"});
}

TEST_F(AttacksTest, SoftwareTpm) {
  policy_.allow_software_tpm = false;
  ExpectOnly(Judge(Collect()), {"tpm.software"});
}

TEST_F(AttacksTest, ListNotShown) {
  level_ = attest::Level::kQuote;
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

TEST_F(AttacksTest, FullList) {
  options_.max_records = 40;
  Start(2);
  for (int i = 0; i < 40; ++i) Record("more " + std::to_string(i), "/opt/m" + std::to_string(i));
  policy_.allow_gaps = true;
  const Appraisal a = Judge(Collect());
  EXPECT_TRUE(Weighing(a).contains("list.full")) << Describe(a, false, false);
  EXPECT_FALSE(Weighing(a).contains("list.mismatch"));
  EXPECT_NE(a.verdict, Verdict::kTrusted);
}

TEST_F(AttacksTest, Entries) {
  references_.Put("old ssl", "/usr/lib/libssl.so.3", Standing::kVulnerable);
  references_.Put("bad", "/usr/lib/bad.so", Standing::kRevoked);
  Record("old ssl", "/usr/lib/libssl.so.3");
  Record("bad", "/usr/lib/bad.so");
  Record(Content(2), Path(3));
  policy_.interpreters = {Path(3)};
  ASSERT_TRUE(recorder_->RecordViolation(measure::Violation::kToMToU, Path(4), {}));
  const Appraisal a = Judge(Collect());
  ExpectOnly(a, {"entry.vulnerable", "entry.revoked", "entry.swapped", "entry.violation", "own.interpreter"});
}

// --- Quotes that no TPM would make, by a key of our own in the AK's place.
// -------------------------------------

// sign, restricted | userWithAuth, sensitiveDataOrigin, fixedParent, fixedTPM
constexpr std::uint32_t kRestrictedSigning = 0x00050072, kUnrestrictedSigning = 0x00040072;

class ForgedTest : public AttacksTest {
 protected:
  Bytes Public(std::uint32_t attributes) const {
    // SubjectPublicKeyInfo of P-256 ends in 04 || x || y.
    const Bytes der = key_.Public().Der();
    const ByteView point = ByteView(der).last(64);
    Writer w;
    w.U16Be(0x0023).U16Be(0x000B).U32Be(attributes).U16Be(0);
    w.U16Be(0x0010).U16Be(0x0018).U16Be(0x000B);  // no symmetric cipher, ECDSA, SHA-256
    w.U16Be(0x0003).U16Be(0x0010);                // P-256, no KDF
    w.U16Be(32).Put(point.first(32)).U16Be(32).Put(point.last(32));
    return w.Take();
  }
  void Sign(attest::Evidence& e) const {
    auto signature = key_.SignEs256(e.attest);
    ASSERT_TRUE(signature);
    Writer w;
    w.U16Be(0x0018).U16Be(0x000B);
    w.U16Be(32).Put(ByteView(*signature).first(32)).U16Be(32).Put(ByteView(*signature).last(32));
    e.signature = w.Take();
  }
  // The honest quote with another selection; its other fields stay.
  static Bytes Reselected(const Bytes& attest, const tpm::PcrSelection& selection, const Digest& digest) {
    const auto q = tpm::ParseQuote(attest);
    EXPECT_TRUE(q);
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
  PrivateKey key_ = *PrivateKey::GenerateP256();
};

TEST_F(ForgedTest, UnrestrictedAk) {
  attest::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  Sign(e);
  EXPECT_TRUE(Weighing(Judge(e)).empty())
      << "the forged key must pass when its attributes do: " << Describe(Judge(e), false, false);
  e.ak_public = Public(kUnrestrictedSigning);
  Sign(e);
  ExpectOnly(Judge(e), {"ak.not-restricted"});
}

TEST_F(ForgedTest, RepeatedBank) {
  attest::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  auto selection = *tpm::ParseSelectionText(asked_);
  selection.push_back(selection.front());
  e.attest = Reselected(e.attest, selection, DigestOf("any"));
  Sign(e);
  ExpectOnly(Judge(e), {"quote.selection-repeated"});
}

TEST_F(ForgedTest, PcrValuesOfAnotherMoment) {
  attest::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  e.attest = Reselected(e.attest, *tpm::ParseSelectionText(asked_), DigestOf("any"));
  Sign(e);
  ExpectOnly(Judge(e), {"quote.pcr-digest"});
}

// PCR 16 can be reset and given any value: a quote over it is not one over PCR 10, whatever the claims call
// it.
TEST_F(ForgedTest, ResettablePcrRelabelled) {
  attest::Evidence e = Collect();
  e.ak_public = Public(kRestrictedSigning);
  auto claims = *attest::ParseClaims(e.claims);
  const attest::Claims honest = claims;
  auto selection = *tpm::ParseSelectionText("sha256:0,1,2,3,4,5,6,7,8,9,16");
  tpm::PcrValues values;
  for (auto& [index, value] : claims.pcrs.front().second)
    values[0x000B][index == 10 ? 16 : index] = *Digest::Of(HashAlg::kSha256, value);
  e.attest = Reselected(e.attest, selection, *tpm::PcrDigest(selection, values));
  Sign(e);
  ExpectOnly(Judge(e), {"quote.selection", "quote.weak-bank"});
  claims = honest;
  claims.pcr = 16;
  e.claims = attest::EncodeClaims(claims);
  auto quote = *tpm::ParseQuote(e.attest);
  const Bytes qualifying = attest::Qualifying(nonce_, {"unix", {}}, e.claims, e.context);
  const auto place =
      std::search(e.attest.begin(), e.attest.end(), quote.extra_data.begin(), quote.extra_data.end());
  std::copy(qualifying.begin(), qualifying.end(), place);
  Sign(e);
  ExpectOnly(Judge(e), {"quote.selection", "quote.weak-bank", "quote.resettable-pcr"});
}

TEST(ResultTest, EarIsSignedAndRead) {
  Appraisal a;
  a.verdict = Verdict::kNotTrusted;
  Finding f;
  f.name = "entry.unknown";
  f.path = "/tmp/\x1b[31m";
  f.text = "the file /tmp/\x1b[31m";
  a.findings.push_back(f);
  const PrivateKey key = *PrivateKey::GenerateP256();
  const EarContext context{
      .host = "h", .verifier_build = "assay", .nonce = Bytes(32, 1), .now_ms = 1000, .valid_s = 300};
  const std::string jwt = *SignEar(a, context, key);
  const auto claims = VerifyEar(jwt, key.Public());
  ASSERT_TRUE(claims) << claims.error().Message();
  const json j = json::parse(*claims);
  EXPECT_EQ(j["submods"]["h"]["ear.status"], 96);
  EXPECT_EQ(j["exp"], 301);
  EXPECT_FALSE(VerifyEar(jwt, PrivateKey::GenerateP256()->Public()));
  EXPECT_FALSE(VerifyEar(jwt + "x", key.Public()));
  EXPECT_EQ(Describe(a, false, false).find('\x1b'), std::string::npos);
}

TEST(PolicyTest, RoundTripAndRefusals) {
  Policy p;
  p.interpreters = {"/usr/bin/bash"};
  const auto again = ParsePolicy(EncodePolicy(p));
  ASSERT_TRUE(again) << again.error().Message();
  EXPECT_EQ(EncodePolicy(*again), EncodePolicy(p));
  EXPECT_FALSE(ParsePolicy(R"({"quote_banks": ["sha1"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"file_algs": ["sha1"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"pcr": 16})"));
  EXPECT_FALSE(ParsePolicy(R"({"no_such": 1})"));
}

}  // namespace
}  // namespace assay::appraise
