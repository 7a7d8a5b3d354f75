#include "tpm/tpm.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>

#include "tpm/software_tpm.h"

namespace assay::tpm {
namespace {

class TpmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-tpm.XXXXXX";
    dir_ = mkdtemp(name);
    options_ = {.state_dir = dir_ + "/state", .run_dir = dir_ + "/run", .preload = ""};
    auto started = SoftwareTpm::Start(options_);
    ASSERT_TRUE(started) << started.error().Message();
    swtpm_ = std::move(*started);
    auto tpm = Tpm::Connect(swtpm_.tcti());
    ASSERT_TRUE(tpm) << tpm.error().Message();
    tpm_ = std::move(*tpm);
  }
  void TearDown() override {
    tpm_.reset();
    EXPECT_TRUE(swtpm_.Stop());
    std::filesystem::remove_all(dir_);
  }
  std::string dir_;
  SoftwareTpmOptions options_;
  SoftwareTpm swtpm_;
  std::unique_ptr<Tpm> tpm_;
};

const PcrSelection kPcr10 = {{.bank = 0x000B, .pcrs = {10}}};

TEST_F(TpmTest, SaysWhatItIs) {
  auto info = tpm_->Info();
  ASSERT_TRUE(info) << info.error().Message();
  EXPECT_TRUE(info->software);
  EXPECT_EQ(info->manufacturer, "IBM");
  auto banks = tpm_->ActiveBanks(10);
  ASSERT_TRUE(banks);
  EXPECT_EQ(*banks, (std::vector<HashAlg>{HashAlg::kSha1, HashAlg::kSha256}));
}

TEST_F(TpmTest, ExtendsEachBank) {
  const Digest sha1 = Hash(HashAlg::kSha1, AsBytes("x")), sha256 = Hash(HashAlg::kSha256, AsBytes("x"));
  const std::vector<Digest> values{sha1, sha256};
  ASSERT_TRUE(tpm_->Extend(RawExtend::ForTest(), 10, values));
  auto read =
      tpm_->ReadPcrs({{.bank = 4, .pcrs = {10}}, {.bank = 11, .pcrs = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}});
  ASSERT_TRUE(read) << read.error().Message();
  EXPECT_EQ((*read)[4][10], ExtendPcr(Digest::Filled(HashAlg::kSha1, 0), sha1));
  EXPECT_EQ((*read)[11][10], ExtendPcr(Digest::Filled(HashAlg::kSha256, 0), sha256));
  EXPECT_EQ((*read)[11].size(), 11U);
  auto guarded = tpm_->ReadPcrProtected(HashAlg::kSha256, 10);
  ASSERT_TRUE(guarded) << guarded.error().Message();
  EXPECT_EQ(*guarded, (*read)[11][10]);
}

TEST_F(TpmTest, QuotesWithTheAkOnly) {
  for (const AkKind kind : {AkKind::kEccP256, AkKind::kRsa2048}) {
    auto ak = tpm_->CreateAk(kind);
    ASSERT_TRUE(ak) << ak.error().Message();
    const Bytes qualifying(32, 0x5A);
    auto quote = tpm_->MakeQuote(*ak, kPcr10, qualifying);
    ASSERT_TRUE(quote) << quote.error().Message();
    auto key = ParsePublic(ak->public_area());
    ASSERT_TRUE(key);
    EXPECT_TRUE(CheckAkAttributes(*key));
    EXPECT_TRUE(VerifyQuoteSignature(*key, quote->attest, quote->signature));
    auto parsed = ParseQuote(quote->attest);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->extra_data, qualifying);
    EXPECT_EQ(parsed->selection, kPcr10);
    auto values = tpm_->ReadPcrs(kPcr10);
    ASSERT_TRUE(values);
    EXPECT_TRUE(Equal(PcrDigest(parsed->selection, *values)->view(), parsed->pcr_digest));
    Bytes altered = quote->attest;
    altered[20] ^= 1;
    const auto verified = VerifyQuoteSignature(*key, altered, quote->signature);
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code(), "quote.signature");
    // Every shorter form is an error, and none crashes.
    for (std::size_t n = 0; n < quote->attest.size(); ++n)
      EXPECT_FALSE(ParseQuote(ByteView(quote->attest).first(n)));
    for (std::size_t n = 0; n < ak->public_area().size(); ++n)
      EXPECT_FALSE(ParsePublic(ByteView(ak->public_area()).first(n)));
    auto again = tpm_->CreateAk(kind);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->name(), ak->name());
    auto ek = tpm_->EkPublic(EkKind::kEccP256);
    ASSERT_TRUE(ek);
    auto ek_key = ParsePublic(*ek);
    ASSERT_TRUE(ek_key);
    EXPECT_EQ(CheckAkAttributes(*ek_key).error().code(), "ak.not-signing");
  }
}

TEST_F(TpmTest, ManyQuotesLeaveNothingBehind) {
  auto ak = tpm_->CreateAk(AkKind::kEccP256);
  ASSERT_TRUE(ak);
  for (int i = 0; i < 20; ++i) {
    auto quote = tpm_->MakeQuote(*ak, kPcr10, Bytes(32, 1));
    ASSERT_TRUE(quote) << quote.error().Message();
    auto value = tpm_->ReadPcrProtected(HashAlg::kSha256, 10);
    ASSERT_TRUE(value) << value.error().Message();
  }
  for (int i = 0; i < 5; ++i) {  // as after kills: keys and sessions of former connections are flushed
    ASSERT_TRUE(tpm_->Reconnect());
    auto quote = tpm_->MakeQuote(*ak, kPcr10, Bytes(32, 1));
    ASSERT_TRUE(quote) << quote.error().Message();
  }
}

TEST_F(TpmTest, IsAdoptedNotStartedTwice) {
  tpm_.reset();
  auto second = SoftwareTpm::Start(options_);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->adopted());
  EXPECT_EQ(second->pid(), swtpm_.pid());
  // The process that started it was killed before it called TakenUp(): so the next one must take up the empty
  // PCRs.
  EXPECT_TRUE(second->fresh());
  ASSERT_TRUE(second->TakenUp());
  EXPECT_FALSE(second->fresh());
  EXPECT_FALSE(SoftwareTpm::Start(options_)->fresh());
  auto tpm = Tpm::Connect(second->tcti());
  ASSERT_TRUE(tpm);
}

TEST_F(TpmTest, IsReportedWhenGone) {
  auto ak = tpm_->CreateAk(AkKind::kEccP256);
  ASSERT_TRUE(ak);
  kill(swtpm_.pid(), SIGKILL);
  while (swtpm_.Alive()) {
  }
  const std::vector<Digest> values{Hash(HashAlg::kSha256, AsBytes("x"))};
  const auto extended = tpm_->Extend(RawExtend::ForTest(), 10, values);
  ASSERT_FALSE(extended);
  EXPECT_EQ(extended.error().code(), "tpm.gone");
  EXPECT_EQ(tpm_->ReadClock().error().code(), "tpm.gone");
  EXPECT_EQ(tpm_->Reconnect().error().code(), "tpm.gone");
  auto again = SoftwareTpm::Start(options_);
  ASSERT_TRUE(again) << again.error().Message();
  swtpm_ = *again;
  ASSERT_TRUE(tpm_->Reconnect());
  auto quote = tpm_->MakeQuote(*ak, kPcr10, Bytes(32, 1));
  EXPECT_TRUE(quote) << quote.error().Message();
}

TEST(Selection, TextBothWays) {
  auto s = ParseSelectionText("sha256:0-2,10+sha1:10");
  ASSERT_TRUE(s);
  EXPECT_EQ(SelectionText(*s), "sha256:0,1,2,10+sha1:10");
  for (const char* bad : {"", "sha256", "sha256:", "sha256:24", "sha256:x", "what:1", "sha256:1+sha256:2",
                          "sha256:3-1", "sha256:5,3-1", "sha256:1,", "sha256:1+"})
    EXPECT_FALSE(ParseSelectionText(bad)) << bad;
}

}  // namespace
}  // namespace assay::tpm
