// Keys that the TPM loses while we are connected to it, on a real software TPM.
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/result_testing.h"
#include "tpm/credential.h"
#include "tpm/run_key.h"
#include "tpm/tpm.h"
#include "tpm/tpm_testing.h"

namespace assay::tpm {
namespace {

const PcrSelection kPcr10 = {{.bank = 0x000B, .pcrs = {10}}};

class LostKeysTest : public SoftwareTpmTest {
 protected:
  void SetUp() override {
    certified_ = true;  // by a certificate for the RSA EK, which has to be derived
    ASSERT_NO_FATAL_FAILURE(SoftwareTpmTest::SetUp());
    auto ak = tpm_->CreateAk(AkKind::kEccP256);
    ASSERT_THAT(ak, IsOk());
    ak_ = *ak;
    auto id = tpm_->Identity();
    ASSERT_THAT(id, IsOk());
    ek_kind_ = id->kind;
    auto ek = ParsePublic(id->public_area);
    ASSERT_THAT(ek, IsOk());
    ek_ = *ek;
    WorksAll();
  }

 public:  // for pointers to them
  void Quotes() {
    auto quote = tpm_->MakeQuote(ak_, kPcr10, Bytes(32, 1));
    ASSERT_THAT(quote, IsOk());
    EXPECT_THAT(VerifyQuoteSignature(*ParsePublic(ak_.public_area()), quote->attest, quote->signature),
                IsOk());
  }
  void Activates() {
    const auto c = MakeCredential(ek_, ak_.name(), Bytes(32, 7));
    ASSERT_THAT(c, IsOk());
    auto secret = tpm_->ActivateCredential(ak_, ek_kind_, c->blob, c->secret);
    ASSERT_THAT(secret, IsOk());
    EXPECT_EQ(*secret, Bytes(32, 7));
  }
  void ReadsProtected() { EXPECT_THAT(tpm_->ReadPcrProtected(HashAlg::kSha256, 10), IsOk()); }
  void WorksAll() {
    Quotes();
    Activates();
    ReadsProtected();
  }
  Ak ak_;
  KeyPublic ek_;
  EkKind ek_kind_ = EkKind::kEccP256;
};

TEST_F(LostKeysTest, EachCommandDerivesThemAgain) {
  EXPECT_EQ(tpm_->LostKeys(), 0U);
  using Command = void (LostKeysTest::*)();
  std::uint64_t losses = 0;
  for (const Command first :
       {&LostKeysTest::Quotes, &LostKeysTest::Activates, &LostKeysTest::ReadsProtected}) {
    TpmForTest::FlushAll(*tpm_);
    (this->*first)();
    EXPECT_EQ(tpm_->LostKeys(), ++losses);
    WorksAll();
    EXPECT_EQ(tpm_->LostKeys(), losses);  // all were found lost at once
  }
  TpmForTest::FlushAll(*tpm_);
  EXPECT_THAT(tpm_->EkPublic(EkKind::kEccP256), IsOk());
  EXPECT_THAT(tpm_->EkPublic(EkKind::kRsa2048), IsOk());
  EXPECT_THAT(tpm_->CreateAk(AkKind::kEccP256), IsOk());
  WorksAll();
}

TEST_F(LostKeysTest, AnotherProgramsKeyUnderTheHandleIsNotUsed) {
  TpmForTest::OccupyHandles(*tpm_);
  Quotes();
  EXPECT_EQ(tpm_->LostKeys(), 1U);
}

TEST_F(LostKeysTest, ASuspendKeepsPcrsAndLosesKeys) {
  const std::vector<Digest> values{Hash(HashAlg::kSha256, AsBytes("x"))};
  ASSERT_THAT(tpm_->Extend(RawExtend::ForTest(), 10, values), IsOk());
  const auto before = tpm_->ReadPcrs(kPcr10);
  const auto clock = tpm_->ReadClock();
  TpmForTest::Suspend(*tpm_, swtpm_);
  WorksAll();
  EXPECT_GE(tpm_->LostKeys(), 1U);
  const auto after = tpm_->ReadPcrs(kPcr10);
  ASSERT_TRUE(before && after && clock);
  EXPECT_EQ(*after, *before);
  EXPECT_EQ(tpm_->ReadClock()->restart_count, clock->restart_count + 1);
}

TEST_F(LostKeysTest, AResetTpmIsStartedByReconnect) {
  ASSERT_NO_FATAL_FAILURE(TpmForTest::PowerCycle(swtpm_));
  EXPECT_THAT(tpm_->ReadClock(), FailsWith("tpm.gone"));
  ASSERT_THAT(tpm_->Reconnect(), IsOk());
  WorksAll();
}

// A refusal that is no loss is handed on, and nothing is derived again because of it.
TEST_F(LostKeysTest, AWrongCredentialIsNoLoss) {
  const auto c = MakeCredential(ek_, Bytes(34, 5), Bytes(32, 7));
  ASSERT_THAT(c, IsOk());
  EXPECT_THAT(tpm_->ActivateCredential(ak_, ek_kind_, c->blob, c->secret), FailsWith("tpm.refused"));
  EXPECT_EQ(tpm_->LostKeys(), 0U);
}

// The run key's random numbers are not kept: it can't be derived again, and says so at once.
TEST_F(LostKeysTest, ARunKeyIsLostForGood) {
  auto run = RunKey::Create(*tpm_);
  ASSERT_THAT(run, IsOk());
  ASSERT_THAT((*run)->Sign(AsBytes("x")), IsOk());
  TpmForTest::FlushAll(*tpm_);
  EXPECT_THAT((*run)->Sign(AsBytes("x")), FailsWith("run-key.lost"));
  EXPECT_TRUE((*run)->lost());
  run->reset();
  auto next = RunKey::Create(*tpm_);
  ASSERT_THAT(next, IsOk());
  EXPECT_THAT((*next)->Sign(AsBytes("x")), IsOk());
  next->reset();
}

}  // namespace
}  // namespace assay::tpm
