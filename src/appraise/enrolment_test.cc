// What an attacker may try when a host is enrolled, and afterwards: each is refused by its own name. Real
// software TPMs; certificates by their CA and by CAs of the test's own.
#include "appraise/enrolment.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <tuple>

#include "appraise/result.h"
#include "appraise/synthetic.h"
#include "attest/collector.h"
#include "base/fd.h"
#include "base/json_dump.h"
#include "base/result_testing.h"
#include "measure/record/recorder_testing.h"
#include "tpm/ek_testing.h"

namespace assay::appraise {
namespace {

using Names = std::set<std::string>;
constexpr std::int64_t kNow = 1'900'000'000;  // 2030

// A machine with a TPM that the folder's CA certified, and an attester.
struct Machine : tpm::TestTpm {
  Machine(const std::string& dir_in, const std::string& name, tpm::AkKind ak = tpm::AkKind::kEccP256)
      : dir(dir_in + "/" + name), ca(dir_in + "/ca"), kind(ak) {
    Boot();
  }
  ~Machine() { Halt(); }
  void Boot() {
    ASSERT_NO_FATAL_FAILURE(Start(dir, ca));
    ASSERT_NO_FATAL_FAILURE(Connect());
    if (provision) provision(*tpm);
    measure::RecorderOptions recording;
    recording.dir = dir + "/list";
    recording.allow_retire = true;
    auto opened = measure::Recorder::Open(recording, *tpm);
    ASSERT_THAT(opened, IsOk());
    recorder = std::move(*opened);
    auto made = attest::Collector::Create({}, *recorder, *tpm, kind);
    ASSERT_THAT(made, IsOk());
    collector = std::move(*made);
  }
  void Halt() {
    collector.reset();
    recorder.reset();
    EXPECT_TRUE(!tpm || tpm->Shutdown());
    Stop();
  }
  // Again, after the machine's maker has put something into the TPM.
  void Boot(const std::function<void(tpm::Tpm&)>& makers) {
    Halt();
    provision = makers;
    Boot();
    provision = nullptr;
  }
  std::string dir, ca;
  tpm::AkKind kind;
  std::function<void(tpm::Tpm&)> provision;
  std::unique_ptr<measure::Recorder> recorder;
  std::unique_ptr<attest::Collector> collector;
};

const evidence::Binding kUnix{"unix", {}};

class EnrolmentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    char name[] = "/tmp/assay-enrol.XXXXXX";
    dir_ = mkdtemp(name);
    a_ = std::make_unique<Machine>(dir_, "a");
    b_ = std::make_unique<Machine>(dir_, "b");
  }
  static void TearDownTestSuite() {
    a_.reset();
    b_.reset();
    std::filesystem::remove_all(dir_);
  }
  void SetUp() override {
    policy_.allow_software_tpm = true;
    policy_.require_attester_records = false;
    for (const char* file : {tpm::SoftwareTpm::kCaRoot, tpm::SoftwareTpm::kCaIssuer}) {
      const auto pem = ReadFile(dir_ + "/ca/" + file, 64 << 10);
      ASSERT_TRUE(pem && trust_.AddCertificates(AsText(*pem)));
    }
  }
  // What `shown` says is asked of `who`, as the network would do it.
  static EnrolRequest Ask(const evidence::Identity& shown, Machine& who, const tpm::EkTrust& trust) {
    EnrolRequest r{.identity = shown, .proven = false, .why = "", .trust = trust, .now_s = kNow};
    const auto asked = evidence::AskToActivate(shown);
    if (!asked) {
      r.why = asked.error().Message();
      return r;
    }
    const auto proof = who.collector->Activate(asked->message, kUnix);
    r.why = proof ? "" : proof.error().code();
    if (proof) {
      const auto checked = evidence::CheckProof(*asked, kUnix, proof->proof);
      r.activation = *proof;
      r.device_qualifying = evidence::DeviceQualifying(asked->message.nonce, kUnix);
      r.proven = checked.has_value();
      if (!checked) r.why = checked.error().Message();
    }
    return r;
  }
  Enrolment Run(const evidence::Identity& shown, Machine& who) const {
    return Enrol(Ask(shown, who, trust_), host_, policy_);
  }
  static Names Of(const std::vector<Finding>& findings, bool weighing = true) {
    Names names;
    for (const Finding& f : findings)
      if ((f.weight != Verdict::kTrusted) == weighing) names.emplace(NameText(f.name));
    return names;
  }
  static void ExpectOnly(const Enrolment& e, const Names& names) {
    EXPECT_EQ(Of(e.findings), names) << Describe(e, false);
    EXPECT_EQ(e.verdict == Verdict::kTrusted, names.empty());
    EXPECT_EQ(e.host.ak_name.empty(), !names.empty());
  }
  // The identity with a certificate of the test's own making, for its EK.
  static evidence::Identity Recertified(const tpm::TestCa& ca, const tpm::TestCa::Options& o = {}) {
    evidence::Identity id = a_->collector->Identify();
    id.ek_certificate = ca.Issue(tpm::ParsePublic(id.ek_public)->Key()->get(), o);
    return id;
  }
  Appraisal Attest(Machine& m, std::uint64_t first = 0) {
    evidence::Challenge c;
    c.nonce = evidence::Nonce::Filled(++nonce_);
    c.first_record = first;
    const auto e = m.collector->Collect(c, kUnix, evidence::Level::kFull);
    EXPECT_THAT(e, IsOk());
    return Appraise({.evidence = *e,
                     .binding = kUnix,
                     .nonce = c.nonce,
                     .selection = *tpm::ParseSelectionText("sha256:0-14"),
                     .first_record = first},
                    host_, nothing_, policy_);
  }

  static inline std::string dir_;
  static inline std::unique_ptr<Machine> a_, b_;
  SyntheticHost nothing_;  // as reference values
  tpm::EkTrust trust_;
  HostState host_;
  Policy policy_;
  std::uint8_t nonce_ = 0;
};

TEST_F(EnrolmentTest, ACertifiedTpmIsEnrolledAndPinned) {
  const Enrolment e = Run(a_->collector->Identify(), *a_);
  ExpectOnly(e, {});
  EXPECT_EQ(e.identity, "certificate");
  EXPECT_EQ(e.facts.model, "swtpm");
  EXPECT_TRUE(e.host.tpm_software);
  EXPECT_EQ(Of(e.findings, false), (Names{"ek.certified", "tpm.software"}));
  EXPECT_NE(DumpJson(ToJson(e)).find("\"enrolled\":true"), std::string::npos);
  host_ = e.host;
  const auto again = ParseHostState(EncodeHostState(host_));
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->identity, "certificate");
  const Appraisal a = Attest(*a_);
  EXPECT_EQ(a.verdict, Verdict::kTrusted) << Describe(a, false, false);
  EXPECT_EQ(a.host.identity, "certificate");
  EXPECT_FALSE(Of(a.findings, false).contains("ak.first-use"));
  // Enrolled as software: no later word of the attester's takes that back.
  policy_.allow_software_tpm = false;
  EXPECT_EQ(Of(Attest(*a_).findings), Names{"tpm.software"});
  policy_.allow_software_tpm = true;
  EXPECT_EQ(Of(Attest(*b_).findings), (Names{"ak.changed", "ek.changed"}));
}

TEST_F(EnrolmentTest, NobodyIsBelievedUnasked) {
  EXPECT_EQ(Of(Attest(*a_).findings), Names{"ak.unknown"});
  policy_.allow_first_use = true;
  const Appraisal a = Attest(*a_);
  EXPECT_EQ(a.verdict, Verdict::kTrusted) << Describe(a, false, false);
  EXPECT_EQ(a.host.identity, "first-use");
  host_ = a.host;
  policy_.allow_first_use = false;  // pinned by a laxer policy
  EXPECT_EQ(Of(Attest(*a_).findings), Names{"ak.first-use"});
  const Enrolment e = Run(a_->collector->Identify(), *a_);  // enrolled later: the same keys
  EXPECT_EQ(Of(e.findings), Names{});
  host_ = e.host;
  EXPECT_EQ(Attest(*a_).verdict, Verdict::kTrusted);
}

TEST_F(EnrolmentTest, WithoutACertificate) {
  evidence::Identity id = a_->collector->Identify();
  const std::string ek = Hex(tpm::ParsePublic(id.ek_public)->name);
  id.ek_certificate.clear();
  ExpectOnly(Run(id, *a_), {"ek.not-vouched"});
  policy_.allow_first_use = true;
  EXPECT_EQ(Run(id, *a_).identity, "first-use");
  policy_.allow_first_use = false;
  id.ek_certificate_error = "truncated";  // it has one, which can't be read
  const Enrolment unreadable = Run(id, *a_);
  ExpectOnly(unreadable, {"ek.not-vouched"});
  EXPECT_TRUE(Of(unreadable.findings, false).contains("ek.certificate-unreadable"));
  policy_.allowed_eks = {ek};
  const Enrolment e = Run(id, *a_);
  ExpectOnly(e, {});
  EXPECT_EQ(e.identity, "listed");
  EXPECT_TRUE(Of(e.findings, false).contains("ek.listed"));
  host_ = e.host;
  EXPECT_EQ(Attest(*a_).verdict, Verdict::kTrusted);
  policy_.allowed_eks.clear();
  EXPECT_EQ(Of(Attest(*a_).findings), Names{"ek.not-listed"});
}

TEST_F(EnrolmentTest, WrongCredential) {
  const evidence::Identity id = a_->collector->Identify();
  auto asked = evidence::AskToActivate(id);
  ASSERT_THAT(asked, IsOk());
  asked->message.credential.back() ^= 1;
  EXPECT_THAT(a_->collector->Activate(asked->message, kUnix), FailsWith("attest.wrong-credential"));
  // One that was recorded: the proof is for another nonce, and for another connection.
  const auto first = evidence::AskToActivate(id), second = evidence::AskToActivate(id);
  const auto proof = a_->collector->Activate(first->message, kUnix);
  ASSERT_THAT(proof, IsOk());
  EXPECT_THAT(evidence::CheckProof(*first, kUnix, proof->proof), IsOk());
  EXPECT_THAT(evidence::CheckProof(*second, kUnix, proof->proof), FailsWith("ek.not-proven"));
  EXPECT_THAT(evidence::CheckProof(*first, {"tls-exporter", Bytes(32, 1)}, proof->proof),
              FailsWith("ek.not-proven"));
  EXPECT_THAT(evidence::CheckProof(*first, kUnix, {}), FailsWith("ek.not-proven"));
}

TEST_F(EnrolmentTest, AkOfAnotherTpm) {
  evidence::Identity id = a_->collector->Identify();
  id.ak_public = b_->collector->Identify().ak_public;
  ExpectOnly(Run(id, *a_), {"ek.not-proven"});  // A's TPM does not hold that AK
  ExpectOnly(Run(id, *b_), {"ek.not-proven"});  // B's can't open what is for A's EK
}

TEST_F(EnrolmentTest, AkThatIsNoTpmKeyOrNotRestricted) {
  const SyntheticHost forger;
  evidence::Identity id = a_->collector->Identify();
  id.ak_public = forger.Public(SyntheticHost::kRestrictedSigning);
  ExpectOnly(Run(id, *a_), {"ek.not-proven"});
  // The true AK, called otherwise: its name is another one then.
  id = a_->collector->Identify();
  id.ak_public[5] ^= 1;  // attributes, bit 16
  ExpectOnly(Run(id, *a_), {"ak.not-restricted", "ek.not-proven"});
  id = a_->collector->Identify();
  id.ak_public[10] ^= 1;  // authPolicy
  ExpectOnly(Run(id, *a_), {"ak.template", "ek.not-proven"});
  id.ak_public.pop_back();
  ExpectOnly(Run(id, *a_), {"ak.malformed", "ek.not-proven"});
}

TEST_F(EnrolmentTest, EkCertificateOfAnotherKey) {
  evidence::Identity id = a_->collector->Identify();
  id.ek_certificate = b_->collector->Identify().ek_certificate;
  ExpectOnly(Run(id, *a_), {"ek.certificate-other-key"});
  // B's certificate and B's EK: A can't prove it.
  id = a_->collector->Identify();
  id.ek_public = b_->collector->Identify().ek_public;
  id.ek_certificate = b_->collector->Identify().ek_certificate;
  ExpectOnly(Run(id, *a_), {"ek.not-proven"});
}

TEST_F(EnrolmentTest, EkThatIsNoneOfTheTemplates) {
  evidence::Identity id = a_->collector->Identify();
  id.ek_public[5] ^= 4;  // also signs
  ExpectOnly(Run(id, *a_), {"ek.template", "ek.not-proven"});
  id.ek_public.pop_back();
  ExpectOnly(Run(id, *a_), {"ek.malformed", "ek.not-proven"});
}

TEST_F(EnrolmentTest, ChainsThatAreExpiredSelfMadeOrOfNoUse) {
  const tpm::TestCa ca, other("test root");  // one name, two keys
  ASSERT_THAT(trust_.AddCertificates(ca.pem()), IsOk());
  ExpectOnly(Run(Recertified(ca), *a_), {});
  ExpectOnly(Run(Recertified(other), *a_), {"ek.untrusted-chain"});
  evidence::Identity own = Recertified(other);  // brings its own root along
  own.ek_chain = other.der();
  ExpectOnly(Run(own, *a_), {"ek.untrusted-chain"});
  ExpectOnly(Run(Recertified(ca, {.until = kNow - 1}), *a_), {"ek.certificate-expired"});
  ExpectOnly(Run(Recertified(ca, {.from = kNow + 100}), *a_), {"ek.certificate-expired"});
  ExpectOnly(Run(Recertified(ca, {.usage = "serverAuth"}), *a_), {"ek.certificate-usage"});
  ExpectOnly(Run(Recertified(ca, {.usage = nullptr}), *a_), {"ek.certificate-usage"});
  ExpectOnly(Run(Recertified(ca, {.ca = true}), *a_), {"ek.certificate-usage"});
  ExpectOnly(Run(Recertified(ca, {.unknown_critical = true}), *a_), {"ek.untrusted-chain"});
  ExpectOnly(Run(Recertified(ca, {.digest = EVP_sha1()}), *a_), {"ek.untrusted-chain"});
  evidence::Identity none = a_->collector->Identify();
  none.ek_certificate = Bytes(100, 0x30);
  ExpectOnly(Run(none, *a_), {"ek.certificate-malformed"});
}

TEST_F(EnrolmentTest, RevokedCertificates) {
  const tpm::TestCa ca;
  ASSERT_THAT(trust_.AddCertificates(ca.pem()), IsOk());
  ASSERT_THAT(trust_.AddCrls(ca.Crl(7)), IsOk());
  ExpectOnly(Run(Recertified(ca), *a_), {});
  ExpectOnly(Run(Recertified(ca, {.serial = 7}), *a_), {"ek.certificate-revoked"});
  ExpectOnly(Run(a_->collector->Identify(), *a_), {});  // that CA has no CRL
  trust_.RequireCrls();
  ExpectOnly(Run(a_->collector->Identify(), *a_), {"ek.no-crl"});
  tpm::EkTrust old;
  ASSERT_TRUE(old.AddCertificates(ca.pem()) && old.AddCrls(ca.Crl(7, 1'700'000'000, kNow - 1)));
  const evidence::Identity id = Recertified(ca);
  EXPECT_EQ(Of(Enrol(Ask(id, *a_, old), host_, policy_).findings), Names{"ek.no-crl"});
  EXPECT_THAT(old.AddCrls("nothing"), ::testing::Not(IsOk()));
  EXPECT_THAT(old.AddCertificates("nothing"), ::testing::Not(IsOk()));
}

TEST_F(EnrolmentTest, AnotherTpmAfterEnrolment) {
  host_ = Run(a_->collector->Identify(), *a_).host;
  const Enrolment e = Run(b_->collector->Identify(), *b_);
  EXPECT_EQ(Of(e.findings), (Names{"ak.changed", "ek.changed"}));
  EXPECT_EQ(e.host.ak_name, host_.ak_name);  // as it was
  policy_.pinned_ak = std::string("000b") + std::string(64, '0');
  EXPECT_EQ(Of(Run(a_->collector->Identify(), *a_).findings), Names{"ak.changed"});
}

// A key that really lives in the TPM and opens its credential there, made by other tools: it proves that it
// does, and would sign anything.
TEST_F(EnrolmentTest, AkOfTheTpmThatIsNotRestricted) {
  const std::string dir = dir_ + "/free";
  tpm::TestTpm running;
  ASSERT_NO_FATAL_FAILURE(running.Start(dir, dir_ + "/ca"));
  const tpm::SoftwareTpm& swtpm = running.swtpm;
  evidence::Identity id;
  {
    auto tpm = tpm::Tpm::Connect(swtpm.tcti());
    ASSERT_THAT(tpm, IsOk());
    const auto ek = (*tpm)->Identity();
    ASSERT_THAT(ek, IsOk());
    id.ek_public = ek->public_area;
    id.ek_certificate = ek->certificate;
  }
  const auto tool = [&](const std::string& command) {
    return system(("cd " + dir + " && " + command + " -T " + swtpm.tcti() +
                   " >> tools.log 2>&1 || { cat tools.log; false; }")
                      .c_str());
  };
  ASSERT_EQ(tool("tpm2_createprimary -C e -G ecc256:ecdsa-sha256:null -c ak.ctx -a "
                 "'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'"),
            0);
  ASSERT_EQ(tool("tpm2_readpublic -c ak.ctx -f tpmt -o ak.pub"), 0);
  const auto ak = ReadFile(dir + "/ak.pub", 4096);
  ASSERT_THAT(ak, IsOk());
  id.ak_public = *ak;
  const auto asked = evidence::AskToActivate(id);
  ASSERT_THAT(asked, IsOk());
  const Bytes file = Writer()  // as tpm2-tools keep a credential
                         .U32Be(0xBADCC0DE)
                         .U32Be(1)
                         .U16Be(static_cast<std::uint16_t>(asked->message.credential.size()))
                         .Put(asked->message.credential)
                         .U16Be(static_cast<std::uint16_t>(asked->message.secret.size()))
                         .Put(asked->message.secret)
                         .Take();
  ASSERT_THAT(WriteFileAtomic(dir + "/credential", file), IsOk());
  ASSERT_EQ(tool("tpm2_flushcontext -t"), 0);  // no resource manager does it
  ASSERT_EQ(tool("tpm2_startauthsession --policy-session -S session.ctx"), 0);
  ASSERT_EQ(tool("tpm2_policysecret -S session.ctx -c e"), 0);
  ASSERT_EQ(
      tool("tpm2_activatecredential -c ak.ctx -C 0x81010001 -i credential -o opened -P session:session.ctx"),
      0);
  const auto opened = ReadFile(dir + "/opened", 4096);
  ASSERT_THAT(opened, IsOk());
  EXPECT_EQ(*opened, asked->secret);
  const Bytes proof =
      evidence::EnrolProof(*opened, asked->message.nonce, kUnix, asked->ak_name, asked->ek_name);
  EXPECT_THAT(evidence::CheckProof(*asked, kUnix, proof), IsOk());
  const Enrolment e =
      Enrol({.identity = id, .proven = true, .why = "", .trust = trust_, .now_s = kNow}, host_, policy_);
  ExpectOnly(e, {"ak.not-restricted"});
}

// Machines whose maker gives them an IAK and an IDevID.
class MakersNameTest : public EnrolmentTest {
 protected:
  // What the maker does to a TPM.
  auto Provision(const char* serial, bool iak_too = true) const {
    return [this, serial, iak_too](tpm::Tpm& tpm) {
      for (const auto& [which, index, handle] :
           {std::tuple{tpm::DeviceKey::kIdevid, 0x01C90000U, 0x81020000U},
            {tpm::DeviceKey::kIak, 0x01C90100U, 0x81020001U}}) {
        const bool iak = which == tpm::DeviceKey::kIak;
        if (iak && !iak_too) continue;
        tpm::TestCertificate o = tpm::OfDevice(iak);
        o.device_serial = serial;
        const auto key = tpm::TpmForTest::MakeDeviceKey(tpm, which, tpm::KeyPublic::Kind::kEccP256, handle);
        ASSERT_THAT(key, IsOk());
        ASSERT_THAT(tpm::TpmForTest::WriteNv(tpm, index, maker_.Issue(key->Key()->get(), o)), IsOk());
      }
    };
  }
  static Names Noted(const Enrolment& e) { return Of(e.findings, false); }
  void KnowTheMaker() { ASSERT_THAT(trust_.AddCertificates(maker_.pem()), IsOk()); }

  const tpm::TestCa maker_{"a maker"};
  const DeviceName name_{.subject = "CN=Server 9,serialNumber=4711", .model = "Server 9", .serial = "4711"};
};

TEST_F(MakersNameTest, IsProvenByTheIak) {
  Machine m(dir_, "named"), third(dir_, "idevid");
  const evidence::Identity before = m.collector->Identify(true);
  EXPECT_EQ(before, m.collector->Identify(false)) << "absent: nothing changes";
  m.Boot(Provision("4711"));
  third.Boot(Provision("4713", false));
  EXPECT_EQ(m.collector->Identify(false), before) << "an older verifier does not ask";
  const evidence::Identity id = m.collector->Identify(true);
  ASSERT_FALSE(id.iak_certificate.empty() || id.idevid_certificate.empty());

  // Without the maker's root the TPM is enrolled, and the machine has no name.
  Enrolment e = Run(id, m);
  ExpectOnly(e, {});
  EXPECT_EQ(Noted(e), (Names{"ek.certified", "tpm.software", "device.not-vouched"}));
  EXPECT_EQ(e.host.device, DeviceName{});
  KnowTheMaker();
  e = Run(id, m);
  ExpectOnly(e, {});
  EXPECT_EQ(Noted(e), (Names{"ek.certified", "tpm.software", "device.identified", "device.not-proven"}));
  EXPECT_EQ(e.device, name_);
  EXPECT_EQ(e.host.device, name_);
  EXPECT_NE(DumpJson(ToJson(e)).find(R"("serial":"4711")"), std::string::npos);
  EXPECT_NE(Describe(e, false).find("machine CN=Server 9,serialNumber=4711"), std::string::npos);
  const HostState enrolled = e.host;
  EXPECT_EQ(ParseHostState(EncodeHostState(enrolled))->device, name_);

  // An IDevID alone signs whatever it is given.
  e = Run(third.collector->Identify(true), third);
  ExpectOnly(e, {});
  EXPECT_EQ(Noted(e), (Names{"ek.certified", "tpm.software", "device.not-proven"}));
  EXPECT_EQ(e.host.device, DeviceName{});

  // The same TPM under another name.
  host_ = enrolled;
  host_.device.serial = "4710";
  EXPECT_EQ(Of(Run(id, m).findings), Names{"device.changed"});
}

TEST_F(MakersNameTest, IsNotProvenByAnotherProof) {
  KnowTheMaker();
  Machine m(dir_, "proof"), other(dir_, "other");
  m.Boot(Provision("4711"));
  other.Boot(Provision("4712"));
  const evidence::Identity id = m.collector->Identify(true);
  const evidence::Identity their_id = other.collector->Identify(true);
  const EnrolRequest good = Ask(id, m, trust_), theirs = Ask(their_id, other, trust_);
  const auto with = [&](const auto& change, const evidence::Identity& shown) {
    EnrolRequest r{.identity = shown,
                   .proven = good.proven,
                   .why = "",
                   .trust = trust_,
                   .now_s = kNow,
                   .activation = good.activation,
                   .device_qualifying = good.device_qualifying};
    change(r);
    return Enrol(r, host_, policy_);
  };
  Enrolment e;
  // The proof is for another nonce; by another machine; about another AK; altered; missing.
  ExpectOnly(with([](auto&) {}, id), {});
  ExpectOnly(with([](auto& r) { r.device_qualifying = Bytes(32, 1); }, id), {"device.proof-wrong"});
  ExpectOnly(with(
                 [&](auto& r) {
                   r.activation.iak_attest = theirs.activation.iak_attest;
                   r.activation.iak_signature = theirs.activation.iak_signature;
                 },
                 id),
             {"device.proof-wrong"});
  // The other machine's certificate and its own true statement: about its own AK.
  evidence::Identity mixed = id;
  mixed.iak_certificate = their_id.iak_certificate;
  ExpectOnly(with([](auto&) {}, mixed), {"device.proof-wrong"});
  ExpectOnly(with(
                 [&](auto& r) {
                   r.activation.iak_attest = theirs.activation.iak_attest;
                   r.activation.iak_signature = theirs.activation.iak_signature;
                   r.device_qualifying = theirs.device_qualifying;
                   r.activation.idevid_attest.clear();
                   r.activation.idevid_signature.clear();
                 },
                 mixed),
             {"device.proof-wrong"});
  ExpectOnly(with([](auto& r) { r.activation.iak_signature.clear(); }, id), {"device.proof-wrong"});
  e = with(
      [](auto& r) {
        r.activation.iak_attest.clear();
        r.activation.iak_signature.clear();
        r.activation.device_error = "IAK: a password";
      },
      id);
  ExpectOnly(e, {});
  EXPECT_EQ(e.host.device, DeviceName{});
  EXPECT_NE(Describe(e, false).find("IAK: a password"), std::string::npos);
  // An IDevID's certificate in the place of the IAK's gives no name.
  evidence::Identity exchanged = id;
  exchanged.iak_certificate = id.idevid_certificate;
  e = with(
      [](auto& r) {
        r.activation.iak_attest = r.activation.idevid_attest;
        r.activation.iak_signature = r.activation.idevid_signature;
      },
      exchanged);
  ExpectOnly(e, {});
  EXPECT_EQ(e.host.device, DeviceName{});
}

TEST_F(MakersNameTest, NeedsACertificateThatIsGood) {
  KnowTheMaker();
  Machine m(dir_, "certificates");
  m.Boot(Provision("4711"));
  const evidence::Identity id = m.collector->Identify(true);
  const EnrolRequest good = Ask(id, m, trust_);
  const auto with = [&](const evidence::Identity& shown) {
    const EnrolRequest r{.identity = shown,
                         .proven = good.proven,
                         .why = "",
                         .trust = trust_,
                         .now_s = kNow,
                         .activation = good.activation,
                         .device_qualifying = good.device_qualifying};
    return Enrol(r, host_, policy_);
  };
  // Certificates that are expired or can't be read.
  evidence::Identity expired = id;
  tpm::TestCertificate past = tpm::OfDevice(true);
  past.until = kNow - 1;
  const auto area =
      tpm::TpmForTest::MakeDeviceKey(*m.tpm, tpm::DeviceKey::kIak, tpm::KeyPublic::Kind::kEccP256, 0);
  ASSERT_THAT(area, IsOk());
  expired.iak_certificate = maker_.Issue(area->Key()->get(), past);
  ExpectOnly(with(expired), {"device.certificate-refused"});
  expired.iak_certificate = Bytes(100, 0x30);
  ExpectOnly(with(expired), {"device.certificate-refused", "device.proof-wrong"});
  evidence::Identity unread = m.collector->Identify(false);
  unread.device_certificate_error = "NV index 0x1c90100: truncated";
  const Enrolment e = with(unread);
  ExpectOnly(e, {});
  EXPECT_TRUE(Noted(e).contains("device.certificate-unreadable"));
}

// A copy of the TPM's state can't be told from it by its keys; the clock tells them apart if both are used.
TEST_F(EnrolmentTest, ClonedTpmState) {
  auto original = std::make_unique<Machine>(dir_, "c");
  host_ = Run(original->collector->Identify(), *original).host;
  Appraisal a = Attest(*original);
  EXPECT_EQ(a.verdict, Verdict::kTrusted) << Describe(a, false, false);
  host_ = a.host;
  original->Halt();
  std::filesystem::create_directories(dir_ + "/d");
  std::filesystem::copy(dir_ + "/c/state", dir_ + "/d/state", std::filesystem::copy_options::recursive);
  original->Boot();
  Machine clone(dir_, "d");
  host_.boot_id = "before";
  host_.clock += 60'000;
  a = Attest(clone);  // indistinguishable from a reboot
  EXPECT_EQ(a.verdict, Verdict::kTrusted) << Describe(a, false, false);
  EXPECT_TRUE(a.rebooted);
  host_ = a.host;
  clone.Halt();
  clone.Boot();
  host_.boot_id = "before";
  host_.clock += 60'000;
  host_ = Attest(clone).host;
  EXPECT_EQ(Of(Attest(*original).findings), Names{"clock.reset-count"});  // the other one shows up again
}

}  // namespace
}  // namespace assay::appraise
