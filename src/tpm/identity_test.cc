// The identity of a TPM, tested with real software TPMs: the EK, its certificate from a CA, and credentials
// made without a TPM.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/result_testing.h"
#include "tpm/credential.h"
#include "tpm/ek_certificate.h"
#include "tpm/ek_testing.h"
#include "tpm/tpm.h"
#include "tpm/tpm_testing.h"

namespace assay::tpm {
namespace {

constexpr std::int64_t kNow = 1'900'000'000;  // 2030

// A TPM of its own, with a certificate by the folder's CA or without one.
struct Machine : TestTpm {
  Machine(const std::string& dir, const std::string& name, bool certified) {
    Start(dir + "/" + name, certified ? dir + "/ca" : "");
    Connect();
  }
};

class IdentityTest : public FolderTest {
 protected:
  EkTrust Trust(bool issuer = true) const {
    EkTrust trust;
    for (const char* file : {SoftwareTpm::kCaRoot, SoftwareTpm::kCaIssuer}) {
      if (!issuer && file == SoftwareTpm::kCaIssuer) continue;
      const auto pem = ReadFile(dir_ + "/ca/" + file, 64 << 10);
      EXPECT_THAT(pem, IsOk()) << file;
      EXPECT_TRUE(pem && trust.AddCertificates(AsText(*pem)));
    }
    return trust;
  }
  static std::vector<std::string> Names(const EkReport& r) {
    std::vector<std::string> names;
    for (const StateError& p : r.problems) names.emplace_back(p.error.name());
    return names;
  }
};

using Strings = std::vector<std::string>;

TEST_F(IdentityTest, CertificateFromNvLeadsToTheCa) {
  const Machine m(dir_, "a", true);
  auto id = m.tpm->Identity();
  ASSERT_THAT(id, IsOk());
  EXPECT_EQ(id->kind, EkKind::kRsa2048);
  ASSERT_FALSE(id->certificate.empty());
  const auto ek = ParsePublic(id->public_area);
  ASSERT_THAT(ek, IsOk());
  EXPECT_THAT(CheckEkTemplate(*ek), IsOk());
  EXPECT_THAT(CheckAkAttributes(*ek), FailsWith("ak.not-signing"));
  const EkReport r = CheckEkCertificate(id->certificate, id->chain, *ek, Trust(), kNow);
  EXPECT_EQ(Names(r), Strings{});
  EXPECT_EQ(r.facts.manufacturer, "id:00001014");
  EXPECT_EQ(r.facts.model, "swtpm");
  EXPECT_TRUE(r.facts.Software());
  // The issuer's certificate may be in the chain instead of among the roots.
  const auto issuer_pem = ReadFile(dir_ + "/ca/" + SoftwareTpm::kCaIssuer, 64 << 10);
  ASSERT_THAT(issuer_pem, IsOk());
  const std::string text(AsText(*issuer_pem));
  std::string body = text.substr(text.find('\n') + 1);
  body = body.substr(0, body.find("-----END"));
  std::erase(body, '\n');
  const auto issuer_der = FromBase64(body);
  ASSERT_THAT(issuer_der, IsOk());
  EXPECT_EQ(Names(CheckEkCertificate(id->certificate, *issuer_der, *ek, Trust(false), kNow)), Strings{});
  EXPECT_EQ(Names(CheckEkCertificate(id->certificate, {}, *ek, Trust(false), kNow)),
            Strings{"ek.untrusted-chain"});
}

TEST_F(IdentityTest, CertificateOfTheWrongTimeOrKey) {
  const Machine m(dir_, "a", true), other(dir_, "b", true), none(dir_, "c", false);
  const auto id = m.tpm->Identity(), id2 = other.tpm->Identity(), id3 = none.tpm->Identity();
  ASSERT_TRUE(id && id2 && id3);
  EXPECT_TRUE(id3->certificate.empty());
  EXPECT_EQ(id3->kind, EkKind::kEccP256);
  const auto ek = ParsePublic(id->public_area);
  ASSERT_THAT(ek, IsOk());
  EXPECT_EQ(Names(CheckEkCertificate(id2->certificate, {}, *ek, Trust(), kNow)),
            Strings{"ek.certificate-other-key"});
  EXPECT_EQ(Names(CheckEkCertificate(id->certificate, {}, *ek, Trust(), 1'000'000'000)),
            Strings{"ek.certificate-expired"});  // not valid yet
  EXPECT_EQ(Names(CheckEkCertificate(id->certificate, {}, *ek, EkTrust(), kNow)),
            Strings{"ek.untrusted-chain"});
  EkTrust crls = Trust();
  crls.RequireCrls();
  EXPECT_EQ(Names(CheckEkCertificate(id->certificate, {}, *ek, crls, kNow)), Strings{"ek.no-crl"});
}

TEST_F(IdentityTest, CredentialsOpenInTheirTpmForTheirAkOnly) {
  const Machine m(dir_, "a", true), other(dir_, "b", false);
  const Bytes secret = *RandomBytes(kCredentialSecret);
  for (const EkKind kind : {EkKind::kRsa2048, EkKind::kEccP256}) {
    for (const AkKind ak_kind : {AkKind::kEccP256, AkKind::kRsa2048}) {
      const auto ek_area = m.tpm->EkPublic(kind);
      ASSERT_THAT(ek_area, IsOk());
      const auto ek = ParsePublic(*ek_area);
      const auto ak = m.tpm->CreateAk(ak_kind);
      ASSERT_TRUE(ek && ak);
      const auto c = MakeCredential(*ek, ak->name(), secret);
      ASSERT_THAT(c, IsOk());
      EXPECT_LE(c->blob.size(), kMaxCredential);
      EXPECT_LE(c->secret.size(), kMaxEncryptedSecret);
      const auto found = m.tpm->ActivateCredential(*ak, kind, c->blob, c->secret);
      ASSERT_THAT(found, IsOk());
      EXPECT_EQ(*found, secret);
      const auto refused = [](const Result<Bytes>& r) {
        return !r && r.error().code() == "tpm.refused" ? r.error().Message() : "not refused";
      };
      // For the AK of another TPM.
      const auto theirs = other.tpm->CreateAk(ak_kind);
      ASSERT_THAT(theirs, IsOk());
      const auto for_theirs = MakeCredential(*ek, theirs->name(), secret);
      ASSERT_THAT(for_theirs, IsOk());
      EXPECT_NE(refused(m.tpm->ActivateCredential(*ak, kind, for_theirs->blob, for_theirs->secret))
                    .find("integrity"),
                std::string::npos);
      // Opened by another TPM.
      EXPECT_NE(refused(other.tpm->ActivateCredential(*theirs, kind, for_theirs->blob, for_theirs->secret)),
                "not refused");
      // Altered, or too short.
      Bytes altered = c->blob;
      altered.back() ^= 1;
      EXPECT_NE(refused(m.tpm->ActivateCredential(*ak, kind, altered, c->secret)).find("integrity"),
                std::string::npos);
      EXPECT_NE(refused(m.tpm->ActivateCredential(*ak, kind, ByteView(c->blob).first(10), c->secret)),
                "not refused");
      EXPECT_THAT(m.tpm->ActivateCredential(*ak, kind, Bytes(5000), c->secret), FailsWith("usage"));
    }
  }
  // Quotes still work: no session or key was left in the TPM.
  const auto ak = m.tpm->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(ak, IsOk());
  for (int i = 0; i < 5; ++i)
    EXPECT_THAT(m.tpm->MakeQuote(*ak, {{.bank = 0x000B, .pcrs = {10}}}, Bytes(32, 1)), IsOk());
  const auto not_an_ek = ParsePublic(ak->public_area());
  ASSERT_THAT(not_an_ek, IsOk());
  EXPECT_THAT(MakeCredential(*not_an_ek, ak->name(), secret), FailsWith("ek.template"));
}

TEST_F(IdentityTest, EkThatIsNotKeptInTheTpmIsDerived) {
  TestTpm before;
  ASSERT_NO_FATAL_FAILURE(before.Start(dir_ + "/a", dir_ + "/ca"));
  const std::string evict =
      "tpm2_evictcontrol -T " + before.swtpm.tcti() + " -C o -c 0x81010001 > /dev/null 2>&1";
  const int evicted = system(evict.c_str());
  before.Stop();
  ASSERT_EQ(evicted, 0);
  const Machine m(dir_, "a", true);
  const auto id = m.tpm->Identity();
  ASSERT_THAT(id, IsOk());
  const auto ek = ParsePublic(id->public_area);
  const auto ak = m.tpm->CreateAk(AkKind::kEccP256);
  ASSERT_TRUE(ek && ak);
  EXPECT_EQ(Names(CheckEkCertificate(id->certificate, {}, *ek, Trust(), kNow)), Strings{});  // the same key
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(m.tpm->ReadPcrProtected(HashAlg::kSha256, 10), IsOk());  // all three keys are loaded
    const auto c = MakeCredential(*ek, ak->name(), Bytes(32, 9));
    ASSERT_THAT(c, IsOk());
    const auto found = m.tpm->ActivateCredential(*ak, EkKind::kRsa2048, c->blob, c->secret);
    ASSERT_THAT(found, IsOk());
    ASSERT_TRUE(i != 1 || m.tpm->Reconnect());
  }
}

// swtpm's own certificates: the template gives the very key that swtpm_setup has made, and its credential
// opens.
TEST_F(IdentityTest, KeysOfTheHighRange) {
  struct Case {
    EkKind kind;
    std::vector<std::string> setup, undefine;
  };
  const Case cases[] = {{EkKind::kEccP384, {}, {"0x1c00002"}},
                        {EkKind::kRsa3072, {"--rsa-keysize", "3072"}, {"0x1c00016"}}};
  for (const Case& c : cases) {
    const std::string name = c.kind == EkKind::kEccP384 ? "p384" : "rsa3072";
    TestTpm m;
    m.setup = c.setup;
    ASSERT_NO_FATAL_FAILURE(m.Start(dir_ + "/" + name, dir_ + "/ca"));
    for (const std::string& index : c.undefine) {
      const std::string undefine =
          "tpm2_nvundefine -T " + m.swtpm.tcti() + " -C p " + index + " > /dev/null 2>&1";
      ASSERT_EQ(system(undefine.c_str()), 0) << name;
    }
    m.Connect();
    const auto id = m.tpm->Identity();
    ASSERT_THAT(id, IsOk());
    EXPECT_EQ(id->kind, c.kind) << name;
    EXPECT_EQ(id->certificate_error, "");
    const auto ek = ParsePublic(id->public_area);
    ASSERT_THAT(ek, IsOk());
    EXPECT_THAT(CheckEkTemplate(*ek), IsOk());
    EXPECT_THAT(CheckAkAttributes(*ek), FailsWith("ak.not-signing"));
    EXPECT_EQ(Names(CheckEkCertificate(id->certificate, id->chain, *ek, Trust(), kNow)), Strings{}) << name;
  }
}

TEST_F(IdentityTest, CredentialsForEachKindOfEk) {
  const Machine m(dir_, "a", false), other(dir_, "b", false);
  const auto ak = m.tpm->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(ak, IsOk());
  for (const EkKind kind : {EkKind::kEccP256, EkKind::kRsa2048, EkKind::kEccP256High, EkKind::kRsa2048High,
                            EkKind::kEccP384, EkKind::kRsa3072}) {
    const int n = static_cast<int>(kind);
    const auto area = m.tpm->EkPublic(kind);
    ASSERT_THAT(area, IsOk()) << n;
    const auto ek = ParsePublic(*area);
    ASSERT_THAT(ek, IsOk());
    ASSERT_THAT(CheckEkTemplate(*ek), IsOk()) << n;
    for (const std::uint32_t bit : {1U << 1, 1U << 6, 1U << 10}) {  // fixedTPM, userWithAuth, noDA
      KeyPublic altered = *ek;
      altered.attributes ^= bit;
      EXPECT_THAT(CheckEkTemplate(altered), FailsWith("ek.template")) << n;
    }
    const auto c = MakeCredential(*ek, ak->name(), Bytes(32, 7));
    ASSERT_THAT(c, IsOk()) << n;
    EXPECT_LE(c->blob.size(), kMaxCredential);
    EXPECT_LE(c->secret.size(), kMaxEncryptedSecret);
    const auto found = m.tpm->ActivateCredential(*ak, kind, c->blob, c->secret);
    ASSERT_THAT(found, IsOk()) << n;
    EXPECT_EQ(*found, Bytes(32, 7));
    EXPECT_THAT(
        other.tpm->ActivateCredential(*other.tpm->CreateAk(AkKind::kEccP256), kind, c->blob, c->secret),
        FailsWith("tpm.refused"));
  }
}

TEST_F(IdentityTest, ACertificateThatCantBeReadIsTold) {
  TestTpm m;
  ASSERT_NO_FATAL_FAILURE(m.Start(dir_ + "/a"));
  const auto nv = [&](const std::string& command) {
    return system((command + " -T " + m.swtpm.tcti() + " > /dev/null 2>&1").c_str());
  };
  ASSERT_THAT(WriteFileAtomic(dir_ + "/junk", Bytes{0x30, 0x82, 0x40, 0x00, 1, 2, 3}), IsOk());
  ASSERT_EQ(nv("tpm2_nvdefine 0x1c0000a -C o -s 7 -a 'ownerread|ownerwrite|authread|authwrite'"), 0);
  ASSERT_EQ(nv("tpm2_nvwrite 0x1c0000a -C o -i " + dir_ + "/junk"), 0);
  m.Connect();
  const auto id = m.tpm->Identity();
  ASSERT_THAT(id, IsOk());
  EXPECT_TRUE(id->certificate.empty());
  EXPECT_NE(id->certificate_error.find("0x1c0000a"), std::string::npos) << id->certificate_error;
}

// Somebody has taken ownership of the TPM.
TEST_F(IdentityTest, PasswordsOfHierarchies) {
  TestTpm m;
  ASSERT_NO_FATAL_FAILURE(m.Start(dir_ + "/a", dir_ + "/ca"));
  const std::string tcti = m.swtpm.tcti();
  const auto run = [&](const std::string& command) {
    return system((command + " -T " + tcti + " > /dev/null 2>&1").c_str());
  };
  ASSERT_EQ(run("tpm2_changeauth -c e Endorsing"), 0);
  ASSERT_EQ(run("tpm2_changeauth -c o Owning"), 0);
  const auto password = [](std::string_view text) { return ToBytes(AsBytes(text)); };
  m.Connect();
  const auto refused = m.tpm->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(refused, FailsWith("tpm.password"));
  EXPECT_NE(refused.error().Message().find("endorsement hierarchy has a password"), std::string::npos);
  EXPECT_THAT(m.tpm->EkPublic(EkKind::kEccP256), FailsWith("tpm.password"));
  m.tpm.reset();
  auto wrong = Tpm::Connect(tcti, {.endorsement = password("Owning"), .owner = {}});
  ASSERT_THAT(wrong, IsOk());
  const auto other = (*wrong)->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(other, FailsWith("tpm.password"));
  EXPECT_NE(other.error().Message().find("another password"), std::string::npos);
  wrong->reset();
  EXPECT_THAT(Tpm::Connect(tcti, {.endorsement = Bytes(65, 'x'), .owner = {}}), FailsWith("usage"));

  auto right = Tpm::Connect(tcti, {.endorsement = password("Endorsing"), .owner = password("Owning")});
  ASSERT_THAT(right, IsOk());
  for (int i = 0; i < 2; ++i) {  // the second time after a new connection
    const auto ak = (*right)->CreateAk(AkKind::kEccP256);
    ASSERT_THAT(ak, IsOk());
    for (const EkKind kind : {EkKind::kEccP256, EkKind::kRsa2048, EkKind::kEccP384}) {
      const auto area = (*right)->EkPublic(kind);
      ASSERT_THAT(area, IsOk());
      const auto c = MakeCredential(*ParsePublic(*area), ak->name(), Bytes(32, 7));
      ASSERT_THAT(c, IsOk());
      EXPECT_THAT((*right)->ActivateCredential(*ak, kind, c->blob, c->secret), IsOk());
    }
    EXPECT_THAT((*right)->ReadPcrProtected(HashAlg::kSha256, 10), IsOk());
    ASSERT_THAT((*right)->Reconnect(), IsOk());
  }
  right->reset();
}

TEST_F(IdentityTest, ACertificateThatOnlyTheOwnerMayRead) {
  TestTpm m;
  ASSERT_NO_FATAL_FAILURE(m.Start(dir_ + "/a"));
  const std::string tcti = m.swtpm.tcti();
  const auto run = [&](const std::string& command) {
    return system((command + " -T " + tcti + " > /dev/null 2>&1").c_str());
  };
  ASSERT_THAT(WriteFileAtomic(dir_ + "/der", Bytes{0x30, 3, 1, 2, 3}), IsOk());
  ASSERT_EQ(run("tpm2_nvdefine 0x1c0000a -C o -s 5 -a 'ownerread|ownerwrite'"), 0);
  ASSERT_EQ(run("tpm2_nvwrite 0x1c0000a -C o -i " + dir_ + "/der"), 0);
  ASSERT_EQ(run("tpm2_changeauth -c o Owning"), 0);
  m.Connect();
  const auto id = m.tpm->Identity();
  ASSERT_THAT(id, IsOk());
  EXPECT_TRUE(id->certificate.empty());
  EXPECT_NE(id->certificate_error.find("the owner hierarchy has a password"), std::string::npos)
      << id->certificate_error;
  m.tpm.reset();
  auto right = Tpm::Connect(tcti, {.endorsement = {}, .owner = ToBytes(AsBytes("Owning"))});
  ASSERT_THAT(right, IsOk());
  const auto read = (*right)->Identity();
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->certificate, (Bytes{0x30, 3, 1, 2, 3}));
  right->reset();
}

TEST_F(IdentityTest, KeyThatIsMarkedForOaep) {
  const Machine m(dir_, "a", true);
  const auto id = m.tpm->Identity();
  ASSERT_THAT(id, IsOk());
  const Bytes rsa{0x2A, 0x86, 0x48, 0x86, 0xF7,
                  0x0D, 0x01, 0x01, 0x01};  // rsaEncryption; ...7 is id-RSAES-OAEP
  Bytes der = id->certificate;
  const auto at = std::search(der.begin(), der.end(), rsa.begin(), rsa.end());
  ASSERT_NE(at, der.end());
  at[8] = 7;
  const auto ek = ParsePublic(id->public_area);
  ASSERT_THAT(ek, IsOk());
  // The certificate is altered, so that its signature is wrong; but its key is found.
  EXPECT_EQ(Names(CheckEkCertificate(der, {}, *ek, Trust(), kNow)), Strings{"ek.untrusted-chain"});
}

TEST(EkCertificate, PaddingIsDroppedAndNothingElse) {
  const Bytes whole{0x30, 0x03, 1, 2, 3};
  for (const std::uint8_t pad : {0, 0xFF}) {
    Bytes padded = whole;
    padded.resize(40, pad);
    ASSERT_THAT(TrimDer(padded), IsOk());
    EXPECT_EQ(*TrimDer(padded), whole);
  }
  // Padding before it, and the header of TPM 1.2.
  const Bytes headed[] = {{0, 0, 0xFF, 0x30, 3, 1, 2, 3},
                          {0x10, 1, 0, 0, 5, 0x30, 3, 1, 2, 3},
                          {0x10, 1, 0, 0, 5, 0x30, 3, 1, 2, 3, 0xFF, 0xFF},
                          {0x10, 1, 0, 0, 8, 0x30, 3, 1, 2, 3, 0, 0, 0, 0xFF},
                          {0x10, 1, 0, 0, 7, 0x10, 2, 0x30, 3, 1, 2, 3, 0, 0}};
  for (const Bytes& nv : headed) {
    ASSERT_THAT(TrimDer(nv), IsOk());
    EXPECT_EQ(*TrimDer(nv), whole);
  }
  for (const Bytes& bad :
       {Bytes{0x10, 1, 0, 0, 6, 0x30, 3, 1, 2, 3}, Bytes{0x10, 1, 0, 0, 4, 0x30, 3, 1, 2, 3},
        Bytes{0x10, 1, 0}, Bytes{0x10, 1, 0, 0, 0}, Bytes{0x10, 1, 1, 0, 5, 0x30, 3, 1, 2, 3}, Bytes(9, 0),
        Bytes{0x10, 1, 0, 0, 5, 0x30, 3, 1, 2, 3, 7}})
    EXPECT_THAT(TrimDer(bad), FailsWith("parse.ek-certificate"));
  Bytes more = whole;
  more.push_back(7);
  for (const Bytes& bad : {Bytes{}, Bytes{0x30}, Bytes{0x31, 0}, Bytes{0x30, 0x80, 0, 0},
                           Bytes{0x30, 0x84, 1, 0, 0, 0}, Bytes{0x30, 0x82, 1}, Bytes{0x30, 5, 1}, more})
    EXPECT_THAT(TrimDer(bad), FailsWith("parse.ek-certificate"));
  // Some makers encode the length with more bytes than necessary.
  EXPECT_THAT(TrimDer(Bytes{0x30, 0x83, 0, 0, 1, 9}), IsOk());
  Bytes two = whole;
  two.insert(two.end(), whole.begin(), whole.end());
  two.resize(30, 0xFF);
  ASSERT_THAT(SplitDer(two), IsOk());
  EXPECT_EQ(SplitDer(two)->size(), 2U);
}

// A part that can't be read is named: it used to cut the bundle silently.
TEST(EkCertificate, ABundleIsReadWholeOrNotAtAll) {
  const TestCa a("a"), b("b"), c("c");
  EkTrust all;
  ASSERT_THAT(all.AddCertificates("# the makers' roots\n" + a.pem() + "\n\n" + b.pem() + c.Crl(1) + c.pem()),
              IsOk());
  EXPECT_EQ(all.roots(), 3U);
  std::string broken = b.pem();
  broken.replace(broken.find("\nMII") + 1, 4, "AAAA");  // still base64
  std::string no_base64 = b.pem();
  no_base64.replace(no_base64.size() / 2, 1, "!");
  std::string cut = b.pem();
  cut.resize(cut.find("-----END"));
  std::string no_dashes = b.pem();
  no_dashes.erase(no_dashes.find("-----\n"), 5);
  std::string no_begin = b.pem();
  no_begin.replace(0, 4, "AAAA");
  for (const std::string& bad : {broken, no_base64, cut, no_dashes, no_begin}) {
    for (const std::string& bundle : {a.pem() + bad + c.pem(), a.pem() + c.pem() + bad, bad + a.pem()}) {
      EkTrust trust;
      const Result<> added = trust.AddCertificates(bundle);
      ASSERT_FALSE(added) << bundle;
      EXPECT_NE(added.error().Message().find("part "), std::string::npos) << added.error().Message();
    }
  }
  EkTrust trust;
  const Result<> second = trust.AddCertificates(a.pem() + broken + c.pem());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().Message().find("part 2 (line "), std::string::npos) << second.error().Message();
  EXPECT_THAT(trust.AddCertificates(c.Crl(1)), FailsWith("parse.pem"));

  const std::string crls = a.Crl(1) + b.Crl(2);
  EXPECT_THAT(trust.AddCrls(a.pem() + crls), IsOk());
  std::string bad_crl = b.Crl(2);
  bad_crl.replace(bad_crl.find("\nMI") + 1, 4, "AAAA");
  EXPECT_THAT(trust.AddCrls(a.Crl(1) + bad_crl + c.Crl(3)), ::testing::Not(IsOk()));
  EXPECT_THAT(trust.AddCrls(a.Crl(1) + b.Crl(2).substr(0, 90)), ::testing::Not(IsOk()));
  EXPECT_THAT(trust.AddCrls(a.pem()), FailsWith("parse.pem"));
}

TEST(EkCertificate, VendorsAreReadable) {
  EXPECT_EQ((EkFacts{.manufacturer = "id:49465800", .model = "", .version = ""}.Vendor()), "IFX");
  EXPECT_EQ((EkFacts{.manufacturer = "id:00001014", .model = "", .version = ""}.Vendor()), "id:00001014");
  EXPECT_EQ((EkFacts{.manufacturer = "someone", .model = "", .version = ""}.Vendor()), "someone");
}

}  // namespace
}  // namespace assay::tpm
