// The identity that a machine's maker put into its TPM, tested with real software TPMs: certificates in NV,
// keys that are persistent or made again from their template, and what they say of the AK.
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/result_testing.h"
#include "tpm/device_certificate.h"
#include "tpm/ek_testing.h"
#include "tpm/tpm_testing.h"

namespace assay::tpm {
namespace {

constexpr std::int64_t kNow = 1'900'000'000;  // 2030
constexpr std::uint32_t kIdevidNv = 0x01C90000, kIakNv = 0x01C90100;
constexpr std::uint32_t kIdevidHandle = 0x81020000, kIakHandle = 0x81020001;
using Kind = KeyPublic::Kind;

class DeviceIdentityTest : public SoftwareTpmTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(SoftwareTpmTest::SetUp());
    ASSERT_THAT(trust_.AddCertificates(maker_.pem()), IsOk());
  }
  // The maker makes a key and its certificate.
  Bytes Provision(Tpm& tpm, DeviceKey which, Kind kind, std::uint32_t handle,
                  std::string_view password = "") const {
    const Result<KeyPublic> key = TpmForTest::MakeDeviceKey(tpm, which, kind, handle, password);
    EXPECT_THAT(key, IsOk());
    return key ? maker_.Issue(key->Key()->get(), OfDevice(which == DeviceKey::kIak)) : Bytes();
  }
  static std::vector<std::string> Names(const DeviceReport& r) {
    std::vector<std::string> names;
    for (const StateError& p : r.problems) names.emplace_back(p.error.name());
    return names;
  }
  const TestCa maker_{"a maker"};
  EkTrust trust_;
  const Bytes nonce_ = Bytes(32, 7);
};

using Strings = std::vector<std::string>;

TEST_F(DeviceIdentityTest, AMachineWithoutOne) {
  const auto id = tpm_->ReadDeviceIdentity();
  ASSERT_THAT(id, IsOk());
  EXPECT_TRUE(id->iak.empty() && id->idevid.empty() && id->chain.empty());
  EXPECT_EQ(id->error, "");
}

TEST_F(DeviceIdentityTest, EachTemplatePersistentAndMadeAgain) {
  const auto ak = tpm_->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(ak, IsOk());
  ASSERT_THAT(tpm_->ReadPcrProtected(HashAlg::kSha256, 10), IsOk());  // one more key is loaded
  const auto ek = tpm_->Identity();
  ASSERT_THAT(ek, IsOk());
  for (const bool persistent : {true, false}) {
    for (const Kind kind : {Kind::kEccP256, Kind::kEccP384, Kind::kRsa2048}) {
      for (const DeviceKey which : {DeviceKey::kIak, DeviceKey::kIdevid}) {
        const std::string what = std::to_string(static_cast<int>(kind)) + (persistent ? " kept" : " made") +
                                 (which == DeviceKey::kIak ? " IAK" : " IDevID");
        machine_.Connect();  // as after a start: nothing is known
        const std::uint32_t handle =
            kIdevidHandle + 2 * static_cast<std::uint32_t>(kind) + (which == DeviceKey::kIak ? 1 : 0);
        const auto again = tpm_->CreateAk(AkKind::kEccP256);
        ASSERT_THAT(again, IsOk());
        ASSERT_EQ(again->name(), ak->name());
        const auto key = TpmForTest::MakeDeviceKey(*tpm_, which, kind, persistent ? handle + 8 : 0);
        ASSERT_THAT(key, IsOk()) << what;
        const Bytes certificate = maker_.Issue(key->Key()->get(), OfDevice(which == DeviceKey::kIak));
        EXPECT_EQ(Names(CheckDeviceCertificate(certificate, {}, trust_, kNow)), Strings{});
        ASSERT_THAT(tpm_->ReadPcrProtected(HashAlg::kSha256, 10), IsOk());
        for (int i = 0; i < 2; ++i) {  // the second time it is loaded from its saved context
          const auto made = tpm_->CertifyAk(*again, which, certificate, nonce_);
          ASSERT_THAT(made, IsOk()) << what;
          EXPECT_THAT(CheckDeviceProof(certificate, made->attest, made->signature, ak->name(), nonce_),
                      IsOk())
              << what;
        }
        EXPECT_THAT(tpm_->MakeQuote(*again, {{.bank = 0x000B, .pcrs = {10}}}, nonce_), IsOk());
        if (persistent) continue;
        ASSERT_THAT(tpm_->Shutdown(), IsOk());                      // else it counts as a failed password
        ASSERT_NO_FATAL_FAILURE(TpmForTest::Reset(*tpm_, swtpm_));  // the saved context is void
        EXPECT_THAT(tpm_->CertifyAk(*again, which, certificate, nonce_), IsOk()) << what;
      }
      if (!persistent) continue;
      // The maker's keys are removed, so that the same certificates need the template.
      for (const std::uint32_t handle : {kIdevidHandle + 8 + 2 * static_cast<std::uint32_t>(kind),
                                         kIdevidHandle + 9 + 2 * static_cast<std::uint32_t>(kind)})
        ASSERT_THAT(TpmForTest::Evict(*tpm_, handle), IsOk());
    }
  }
}

// A TPM without a resource manager holds three keys.
TEST_F(DeviceIdentityTest, RoomIsMadeForOneMore) {
  const Bytes iak = Provision(*tpm_, DeviceKey::kIak, Kind::kEccP256, 0);
  for (int i = 0; i < 2; ++i) {
    for (const AkKind kind : {AkKind::kEccP256, AkKind::kRsa2048}) {
      const auto ecc = tpm_->CreateAk(AkKind::kEccP256), rsa = tpm_->CreateAk(AkKind::kRsa2048);
      ASSERT_TRUE(ecc && rsa);
      ASSERT_THAT(tpm_->ReadPcrProtected(HashAlg::kSha256, 10), IsOk());
      const Ak& ak = kind == AkKind::kEccP256 ? *ecc : *rsa;
      const auto made = tpm_->CertifyAk(ak, DeviceKey::kIak, iak, nonce_);
      ASSERT_THAT(made, IsOk());
      EXPECT_THAT(CheckDeviceProof(iak, made->attest, made->signature, ak.name(), nonce_), IsOk());
      EXPECT_THAT(tpm_->MakeQuote(ak, {{.bank = 0x000B, .pcrs = {10}}}, nonce_), IsOk());
    }
  }
  EXPECT_EQ(tpm_->LostKeys(), 0U);
}

TEST_F(DeviceIdentityTest, CertificatesInNvAreToldApart) {
  const Bytes iak = Provision(*tpm_, DeviceKey::kIak, Kind::kEccP256, kIakHandle);
  const Bytes idevid = Provision(*tpm_, DeviceKey::kIdevid, Kind::kEccP256, kIdevidHandle);
  const Bytes issuer = TestCa("an issuer").der();
  // The IAK's chain goes on in the next index, in the middle of a certificate; the IDevID's is padded.
  const Bytes chain = Writer().Put(iak).Put(issuer).Take();
  ASSERT_THAT(TpmForTest::WriteNv(*tpm_, kIakNv, ByteView(chain).first(iak.size() + 50)), IsOk());
  ASSERT_THAT(TpmForTest::WriteNv(*tpm_, kIakNv + 1, ByteView(chain).subspan(iak.size() + 50)), IsOk());
  ASSERT_THAT(TpmForTest::WriteNv(*tpm_, kIdevidNv, Writer().Put(idevid).Put(Bytes(40, 0xFF)).Take()),
              IsOk());
  const auto id = tpm_->ReadDeviceIdentity();
  ASSERT_THAT(id, IsOk());
  EXPECT_EQ(id->error, "");
  EXPECT_EQ(id->iak, iak);
  EXPECT_EQ(id->idevid, idevid);
  EXPECT_EQ(id->chain, issuer);
  const DeviceReport report = CheckDeviceCertificate(id->iak, id->chain, trust_, kNow);
  EXPECT_EQ(Names(report), Strings{});
  EXPECT_EQ(report.facts.subject, "CN=Server 9,serialNumber=4711");
  EXPECT_EQ(report.facts.model, "Server 9");
  EXPECT_EQ(report.facts.serial, "4711");
  EXPECT_TRUE(report.facts.restricted);
  EXPECT_FALSE(CheckDeviceCertificate(id->idevid, {}, trust_, kNow).facts.restricted);
}

// Makers that keep both in the first range.
TEST_F(DeviceIdentityTest, BothInOneRange) {
  const Bytes iak = Provision(*tpm_, DeviceKey::kIak, Kind::kEccP256, 0);
  const Bytes idevid = Provision(*tpm_, DeviceKey::kIdevid, Kind::kEccP256, 0);
  ASSERT_THAT(TpmForTest::WriteNv(*tpm_, kIdevidNv, iak), IsOk());
  ASSERT_THAT(TpmForTest::WriteNv(*tpm_, kIdevidNv + 0x20, idevid), IsOk());
  const auto id = tpm_->ReadDeviceIdentity();
  ASSERT_THAT(id, IsOk());
  EXPECT_EQ(id->iak, iak);
  EXPECT_EQ(id->idevid, idevid);
}

TEST_F(DeviceIdentityTest, ACertificateThatCantBeReadIsTold) {
  const Bytes idevid = Provision(*tpm_, DeviceKey::kIdevid, Kind::kEccP256, 0);
  ASSERT_THAT(TpmForTest::WriteNv(*tpm_, kIdevidNv, idevid), IsOk());
  ASSERT_THAT(TpmForTest::WriteNv(*tpm_, kIakNv, Bytes{0x30, 0x82, 0x40, 0x00, 1, 2, 3}), IsOk());
  auto id = tpm_->ReadDeviceIdentity();
  ASSERT_THAT(id, IsOk());
  EXPECT_TRUE(id->iak.empty());
  EXPECT_EQ(id->idevid, idevid);  // the other one is read
  EXPECT_NE(id->error.find("0x1c90100"), std::string::npos) << id->error;
  // An element that is no certificate.
  machine_.Connect();
  ASSERT_THAT(TpmForTest::WriteNv(*tpm_, kIdevidNv + 1, Bytes{0x30, 3, 1, 2, 3}), IsOk());
  id = tpm_->ReadDeviceIdentity();
  ASSERT_THAT(id, IsOk());
  EXPECT_EQ(id->idevid, idevid);
  EXPECT_NE(id->error, "");
}

TEST_F(DeviceIdentityTest, KeysThatCantBeUsed) {
  const auto ak = tpm_->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(ak, IsOk());
  const Bytes iak = Provision(*tpm_, DeviceKey::kIak, Kind::kEccP256, kIakHandle, "the maker's");
  for (int i = 0; i < 100; ++i)  // tried once: else the TPM would be locked out
    EXPECT_THAT(tpm_->CertifyAk(*ak, DeviceKey::kIak, iak, nonce_), FailsWith("tpm.refused"));
  const Bytes other = maker_.Issue(PrivateKey::GenerateP256()->get(), OfDevice(false));
  for (int i = 0; i < 2; ++i)
    EXPECT_THAT(tpm_->CertifyAk(*ak, DeviceKey::kIdevid, other, nonce_), FailsWith("tpm.no-device-key"));
  EXPECT_THAT(tpm_->CertifyAk(*ak, DeviceKey::kIdevid, other, Bytes(65, 1)), FailsWith("usage"));
}

TEST_F(DeviceIdentityTest, ProofsThatAreNone) {
  TestTpm other;
  ASSERT_NO_FATAL_FAILURE(other.Start(dir_ + "/other"));
  other.Connect();
  const Bytes iak = Provision(*tpm_, DeviceKey::kIak, Kind::kEccP256, kIakHandle);
  const Bytes theirs = Provision(*other.tpm, DeviceKey::kIak, Kind::kEccP256, kIakHandle);
  const auto ak = tpm_->CreateAk(AkKind::kEccP256), their_ak = other.tpm->CreateAk(AkKind::kEccP256);
  ASSERT_TRUE(ak && their_ak);
  const auto made = tpm_->CertifyAk(*ak, DeviceKey::kIak, iak, nonce_);
  const auto their = other.tpm->CertifyAk(*their_ak, DeviceKey::kIak, theirs, nonce_);
  ASSERT_TRUE(made && their);
  const auto check = [&](const Bytes& certificate, const SignedQuote& q, const Bytes& name,
                         const Bytes& nonce) {
    const Result<> r = CheckDeviceProof(certificate, q.attest, q.signature, name, nonce);
    return r ? "" : r.error().code() + ": " + r.error().Message();
  };
  const auto says = [](std::string_view text) { return ::testing::HasSubstr(std::string(text)); };
  EXPECT_EQ(check(iak, *made, ak->name(), nonce_), "");
  EXPECT_THAT(check(iak, *made, ak->name(), Bytes(32, 8)), says("another nonce"));
  EXPECT_THAT(check(iak, *made, their_ak->name(), nonce_), says("another key than the AK"));
  EXPECT_THAT(check(theirs, *their, ak->name(), nonce_), says("another key than the AK"));
  EXPECT_THAT(check(theirs, *made, ak->name(), nonce_), says("device.proof-wrong: it is not signed"));
  SignedQuote altered = *made;
  altered.signature.back() ^= 1;
  EXPECT_THAT(check(iak, altered, ak->name(), nonce_), says("it is not signed"));
  altered = *made;
  altered.attest.back() ^= 1;
  EXPECT_THAT(check(iak, altered, ak->name(), nonce_), says("it is not signed"));
  altered.signature.clear();
  EXPECT_THAT(check(iak, altered, ak->name(), nonce_), says("it is not signed"));
  EXPECT_THAT(check({}, *made, ak->name(), nonce_), says("no key"));
  // A free key signs a statement that no TPM made: only a certificate for a restricted key excludes that.
  const auto free_key = PrivateKey::GenerateP256();
  ASSERT_THAT(free_key, IsOk());
  const auto sign = [&](const Bytes& attest) {
    const Bytes r_s = *free_key->SignEs256(attest);
    return Writer()
        .U16Be(0x0018)
        .U16Be(0x000B)
        .U16Be(32)
        .Put(ByteView(r_s).first(32))
        .U16Be(32)
        .Put(ByteView(r_s).last(32))
        .Take();
  };
  const Bytes free_certificate = maker_.Issue(free_key->get(), OfDevice(false));
  SignedQuote forged{.attest = made->attest, .signature = sign(made->attest)};
  EXPECT_EQ(check(free_certificate, forged, ak->name(), nonce_), "");
  // A quote is no statement about a key.
  const auto quote = tpm_->MakeQuote(*ak, {{.bank = 0x000B, .pcrs = {10}}}, nonce_);
  ASSERT_THAT(quote, IsOk());
  forged = {.attest = quote->attest, .signature = sign(quote->attest)};
  EXPECT_THAT(check(free_certificate, forged, ak->name(), nonce_), says("not about the creation"));
  forged.attest = made->attest;
  forged.attest[0] = 0;
  forged.signature = sign(forged.attest);
  EXPECT_THAT(check(free_certificate, forged, ak->name(), nonce_), says("not generated by a TPM"));
}

TEST(DeviceCertificate, WhatDoesNotVouch) {
  const TestCa maker("a maker"), impostor("a maker"), other("another");
  EkTrust trust;
  ASSERT_THAT(trust.AddCertificates(maker.pem()), IsOk());
  const auto key = PrivateKey::GenerateP256();
  ASSERT_THAT(key, IsOk());
  const auto names = [&](const TestCa& ca, const TestCertificate& o, const Bytes& chain = {}) {
    Strings out;
    for (const StateError& p : CheckDeviceCertificate(ca.Issue(key->get(), o), chain, trust, kNow).problems)
      out.emplace_back(p.error.name());
    return out;
  };
  const auto with = [](const auto& change) {
    TestCertificate o = OfDevice(true);
    change(o);
    return o;
  };
  const Strings refused{"device.certificate-refused"}, not_vouched{"device.not-vouched"};
  EXPECT_EQ(names(maker, OfDevice(true)), Strings{});
  EXPECT_EQ(names(other, OfDevice(true)), not_vouched);
  EXPECT_EQ(names(other, OfDevice(true), other.der()), not_vouched);  // brings its own root along
  EXPECT_EQ(names(impostor, OfDevice(true)), refused);                // the root's name, another key
  EXPECT_EQ(names(maker, with([](auto& o) { o.until = kNow - 1; })), refused);
  EXPECT_EQ(names(maker, with([](auto& o) { o.from = kNow + 1; })), refused);
  EXPECT_EQ(names(maker, with([](auto& o) { o.ca = true; })), refused);
  EXPECT_EQ(names(maker, with([](auto& o) { o.unknown_critical = true; })), refused);
  EXPECT_EQ(names(maker, with([](auto& o) { o.digest = EVP_sha1(); })), refused);
  ASSERT_THAT(trust.AddCrls(maker.Crl(7)), IsOk());
  EXPECT_EQ(names(maker, with([](auto& o) { o.serial = 7; })), refused);
  EXPECT_EQ(names(maker, OfDevice(true)), Strings{});
  EXPECT_EQ(CheckDeviceCertificate(Bytes(9, 0x30), {}, trust, kNow).problems.at(0).error.name(),
            refused.at(0));
  EXPECT_THAT(ReadDeviceCertificate(Bytes(9, 0x30)), FailsWith("parse.device-certificate"));
  EXPECT_FALSE(IsForKey({}, KeyPublic()));
}

}  // namespace
}  // namespace assay::tpm
