#include "tpm/tpm.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>

#include "base/result_testing.h"
#include "tpm/tpm_testing.h"

namespace assay::tpm {
namespace {

class TpmTest : public SoftwareTpmTest {};

const PcrSelection kPcr10 = {{.bank = 0x000B, .pcrs = {10}}};

TEST_F(TpmTest, SaysWhatItIs) {
  auto info = tpm_->Info();
  ASSERT_THAT(info, IsOk());
  EXPECT_TRUE(info->software);
  EXPECT_EQ(info->manufacturer, "IBM");
  auto banks = tpm_->ActiveBanks(10);
  ASSERT_THAT(banks, IsOk());
  EXPECT_EQ(*banks, (std::vector<HashAlg>{HashAlg::kSha1, HashAlg::kSha256}));
}

TEST_F(TpmTest, ExtendsEachBank) {
  const Digest sha1 = Hash(HashAlg::kSha1, AsBytes("x")), sha256 = Hash(HashAlg::kSha256, AsBytes("x"));
  const std::vector<Digest> values{sha1, sha256};
  ASSERT_THAT(tpm_->Extend(RawExtend::ForTest(), 10, values), IsOk());
  auto read =
      tpm_->ReadPcrs({{.bank = 4, .pcrs = {10}}, {.bank = 11, .pcrs = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}});
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ((*read)[4][10], ExtendPcr(Digest::Filled(HashAlg::kSha1, 0), sha1));
  EXPECT_EQ((*read)[11][10], ExtendPcr(Digest::Filled(HashAlg::kSha256, 0), sha256));
  EXPECT_EQ((*read)[11].size(), 11U);
  auto guarded = tpm_->ReadPcrProtected(HashAlg::kSha256, 10);
  ASSERT_THAT(guarded, IsOk());
  EXPECT_EQ(*guarded, (*read)[11][10]);
}

TEST_F(TpmTest, QuotesWithTheAkOnly) {
  for (const AkKind kind : {AkKind::kEccP256, AkKind::kRsa2048}) {
    auto ak = tpm_->CreateAk(kind);
    ASSERT_THAT(ak, IsOk());
    const Bytes qualifying(32, 0x5A);
    auto quote = tpm_->MakeQuote(*ak, kPcr10, qualifying);
    ASSERT_THAT(quote, IsOk());
    auto key = ParsePublic(ak->public_area());
    ASSERT_THAT(key, IsOk());
    EXPECT_THAT(CheckAkAttributes(*key), IsOk());
    EXPECT_THAT(VerifyQuoteSignature(*key, quote->attest, quote->signature), IsOk());
    auto parsed = ParseQuote(quote->attest);
    ASSERT_THAT(parsed, IsOk());
    EXPECT_EQ(parsed->extra_data, qualifying);
    EXPECT_EQ(parsed->selection, kPcr10);
    auto values = tpm_->ReadPcrs(kPcr10);
    ASSERT_THAT(values, IsOk());
    EXPECT_TRUE(Equal(PcrDigest(parsed->selection, *values)->view(), parsed->pcr_digest));
    Bytes altered = quote->attest;
    altered[20] ^= 1;
    const auto verified = VerifyQuoteSignature(*key, altered, quote->signature);
    ASSERT_THAT(verified, FailsWith("quote.signature"));
    // Every shorter form is an error, and none crashes.
    for (std::size_t n = 0; n < quote->attest.size(); ++n)
      EXPECT_THAT(ParseQuote(ByteView(quote->attest).first(n)), FailsWith("parse.tpms-attest"));
    for (std::size_t n = 0; n < ak->public_area().size(); ++n)
      EXPECT_THAT(ParsePublic(ByteView(ak->public_area()).first(n)), FailsWith("parse.tpmt-public"));
    auto again = tpm_->CreateAk(kind);
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(again->name(), ak->name());
    auto ek = tpm_->EkPublic(EkKind::kEccP256);
    ASSERT_THAT(ek, IsOk());
    auto ek_key = ParsePublic(*ek);
    ASSERT_THAT(ek_key, IsOk());
    EXPECT_THAT(CheckAkAttributes(*ek_key), FailsWith("ak.not-signing"));
  }
}

TEST_F(TpmTest, ManyQuotesLeaveNothingBehind) {
  auto ak = tpm_->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(ak, IsOk());
  for (int i = 0; i < 20; ++i) {
    auto quote = tpm_->MakeQuote(*ak, kPcr10, Bytes(32, 1));
    ASSERT_THAT(quote, IsOk());
    auto value = tpm_->ReadPcrProtected(HashAlg::kSha256, 10);
    ASSERT_THAT(value, IsOk());
  }
  for (int i = 0; i < 5; ++i) {  // as after kills: keys and sessions of former connections are flushed
    ASSERT_THAT(tpm_->Reconnect(), IsOk());
    auto quote = tpm_->MakeQuote(*ak, kPcr10, Bytes(32, 1));
    ASSERT_THAT(quote, IsOk());
  }
}

TEST_F(TpmTest, IsAdoptedNotStartedTwice) {
  tpm_.reset();
  auto second = SoftwareTpm::Start(machine_.options);
  ASSERT_THAT(second, IsOk());
  EXPECT_TRUE(second->adopted());
  EXPECT_EQ(second->pid(), swtpm_.pid());
  // The process that started it was killed before it called TakenUp(): so the next one must take up the empty
  // PCRs.
  EXPECT_TRUE(second->fresh());
  ASSERT_THAT(second->TakenUp(), IsOk());
  EXPECT_FALSE(second->fresh());
  EXPECT_FALSE(SoftwareTpm::Start(machine_.options)->fresh());
  auto tpm = Tpm::Connect(second->tcti());
  ASSERT_THAT(tpm, IsOk());
}

TEST_F(TpmTest, IsReportedWhenGone) {
  auto ak = tpm_->CreateAk(AkKind::kEccP256);
  ASSERT_THAT(ak, IsOk());
  kill(swtpm_.pid(), SIGKILL);
  while (swtpm_.Alive()) {
  }
  const std::vector<Digest> values{Hash(HashAlg::kSha256, AsBytes("x"))};
  const auto extended = tpm_->Extend(RawExtend::ForTest(), 10, values);
  ASSERT_THAT(extended, FailsWith("tpm.gone"));
  EXPECT_THAT(tpm_->ReadClock(), FailsWith("tpm.gone"));
  EXPECT_THAT(tpm_->Reconnect(), FailsWith("tpm.gone"));
  auto again = SoftwareTpm::Start(machine_.options);
  ASSERT_THAT(again, IsOk());
  swtpm_ = *again;
  ASSERT_THAT(tpm_->Reconnect(), IsOk());
  auto quote = tpm_->MakeQuote(*ak, kPcr10, Bytes(32, 1));
  EXPECT_THAT(quote, IsOk());
}

TEST(Selection, TextBothWays) {
  auto s = ParseSelectionText("sha256:0-2,10+sha1:10");
  ASSERT_THAT(s, IsOk());
  EXPECT_EQ(SelectionText(*s), "sha256:0,1,2,10+sha1:10");
  for (const char* bad : {"", "sha256", "sha256:", "sha256:24", "sha256:x", "what:1", "sha256:1+sha256:2",
                          "sha256:3-1", "sha256:5,3-1", "sha256:1,", "sha256:1+"})
    EXPECT_THAT(ParseSelectionText(bad), FailsWith("usage")) << bad;
}

}  // namespace
}  // namespace assay::tpm
