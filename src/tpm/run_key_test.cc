#include "tpm/run_key.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/result_testing.h"
#include "tpm/tpm_testing.h"

namespace assay::tpm {
namespace {

class RunKeyTest : public SoftwareTpmTest {
 protected:
  void TearDown() override {
    key_.reset();
    SoftwareTpmTest::TearDown();
  }
  void Make() {
    auto key = RunKey::Create(*tpm_);
    ASSERT_THAT(key, IsOk());
    key_ = std::move(*key);
  }
  bool Signs(std::string_view statement) {
    const Result<Bytes> signature = key_->Sign(AsBytes(statement));
    EXPECT_THAT(signature, IsOk());
    const Result<KeyPublic> area = ParsePublic(key_->public_area());
    return signature && area && CheckRunKey(*area) &&
           VerifyQuoteSignature(*area, AsBytes(statement), *signature) &&
           !VerifyQuoteSignature(*area, AsBytes("another"), *signature);
  }
  std::unique_ptr<RunKey> key_;
};

TEST_F(RunKeyTest, SignsBesideTheOtherKeys) {
  ASSERT_THAT(tpm_->CreateAk(AkKind::kEccP256), IsOk());
  ASSERT_THAT(tpm_->Identity(), IsOk());
  ASSERT_NO_FATAL_FAILURE(Make());
  EXPECT_TRUE(Signs("a statement"));
  const auto ak = tpm_->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(ak, IsOk());
  const PcrSelection pcr{{.bank = 0x000B, .pcrs = {10}}};
  EXPECT_THAT(tpm_->MakeQuote(*ak, pcr, Bytes(32, 1)), IsOk());
  EXPECT_TRUE(Signs("another one"));
}

TEST_F(RunKeyTest, IsAnotherOneEachTime) {
  ASSERT_NO_FATAL_FAILURE(Make());
  const Bytes first = key_->public_area();
  EXPECT_THAT(RunKey::Create(*tpm_), ::testing::Not(IsOk()));  // one for each connection
  key_.reset();
  ASSERT_NO_FATAL_FAILURE(Make());
  EXPECT_NE(key_->public_area(), first);
}

TEST_F(RunKeyTest, OutlivesABrokenConnectionAndNotAReset) {
  ASSERT_NO_FATAL_FAILURE(Make());
  ASSERT_THAT(tpm_->Reconnect(), IsOk());
  EXPECT_TRUE(Signs("a statement"));
  EXPECT_FALSE(key_->lost());
  ASSERT_THAT(swtpm_.Stop(), IsOk());
  EXPECT_THAT(key_->Sign(AsBytes("x")), ::testing::Not(IsOk()));
  EXPECT_FALSE(key_->lost());  // it was not noticed yet
  ASSERT_NO_FATAL_FAILURE(machine_.Start());
  ASSERT_THAT(tpm_->Reconnect(), IsOk());
  const Result<Bytes> signature = key_->Sign(AsBytes("x"));
  ASSERT_THAT(signature, FailsWith("run-key.lost"));
  EXPECT_TRUE(key_->lost());
}

TEST_F(RunKeyTest, IsTheSameForASuccessorOnAnotherConnection) {
  ASSERT_NO_FATAL_FAILURE(Make());
  const Bytes area = key_->public_area();
  const Result<SavedRunKey> saved = key_->Save();
  ASSERT_THAT(saved, IsOk());
  EXPECT_TRUE(Signs("still the first one"));
  key_.reset();  // flushed: the saved context is what is left of it
  ASSERT_THAT(tpm_->Reconnect(), IsOk());
  auto loaded = RunKey::Load(*tpm_, *saved);
  ASSERT_THAT(loaded, IsOk());
  key_ = std::move(*loaded);
  EXPECT_EQ(key_->public_area(), area);
  EXPECT_TRUE(Signs("the successor"));
  ASSERT_THAT(key_->Save(), IsOk());  // and its own successor
}

TEST_F(RunKeyTest, ASavedKeyNeedsItsAuthorisationItsNameAndItsTpm) {
  ASSERT_NO_FATAL_FAILURE(Make());
  const Result<SavedRunKey> saved = key_->Save();
  ASSERT_THAT(saved, IsOk());
  key_.reset();
  SavedRunKey guessed = *saved;
  guessed.auth[0] ^= 1;
  auto other = RunKey::Load(*tpm_, guessed);
  ASSERT_THAT(other, IsOk());
  EXPECT_THAT((*other)->Sign(AsBytes("x")), ::testing::Not(IsOk()));
  other->reset();
  ASSERT_NO_FATAL_FAILURE(Make());
  SavedRunKey renamed = *saved;
  renamed.public_area = key_->public_area();
  key_.reset();
  EXPECT_THAT(RunKey::Load(*tpm_, renamed), FailsWith("run-key.lost"));
  SavedRunKey torn = *saved;
  torn.context.resize(torn.context.size() / 2);
  EXPECT_THAT(RunKey::Load(*tpm_, torn), ::testing::Not(IsOk()));
  ASSERT_NO_FATAL_FAILURE(machine_.Reset());
  ASSERT_THAT(tpm_->Reconnect(), IsOk());
  EXPECT_THAT(RunKey::Load(*tpm_, *saved), ::testing::Not(IsOk()));
}

TEST_F(RunKeyTest, TheAkIsNone) {
  const auto ak = tpm_->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(ak, IsOk());
  const Result<KeyPublic> area = ParsePublic(ak->public_area());
  ASSERT_THAT(area, IsOk());
  const Result<> checked = CheckRunKey(*area);
  ASSERT_THAT(checked, FailsWith("run.template"));
}

TEST(ResourceManager, IsKnownByTheTcti) {
  for (const char* with : {"device:/dev/tpmrm0", "device:/dev/tpmrm1", "tabrmd", "tabrmd:bus_type=system"})
    EXPECT_TRUE(HasResourceManager(with)) << with;
  for (const char* without : {"device:/dev/tpm0", "device", "swtpm:path=/x", "mssim", "tabrmdx", ""})
    EXPECT_FALSE(HasResourceManager(without)) << without;
}

}  // namespace
}  // namespace assay::tpm
