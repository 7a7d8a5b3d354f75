#include "boot/expected.h"

#include <gtest/gtest.h>

#include "base/result_testing.h"
#include "boot/log_builder.h"

namespace assay::boot {
namespace {

ExpectedBoot LearnFrom(const LogBuilder& b, HashAlg bank = HashAlg::kSha256) {
  const auto log = ParseEventLog(b.bytes());
  EXPECT_THAT(log, IsOk());
  return Learn(Examine(*log, bank));
}

TEST(Diff, TheSameBootHasNone) {
  LogBuilder b({HashAlg::kSha256});
  b.Firmware().ReadyToBoot().Exit();
  const auto diff = Diff(LearnFrom(b), LearnFrom(b));
  ASSERT_THAT(diff, IsOk());
  EXPECT_TRUE(diff->empty());
}

TEST(Diff, NamesWhatWentAndWhatCame) {
  LogBuilder a({HashAlg::kSha256}), b({HashAlg::kSha256});
  for (LogBuilder* log : {&a, &b})
    log->Firmware().ReadyToBoot().Add(9, kIpl, BytesOf("/grub.cfg"), BytesOf("same"));
  a.Add(9, kIpl, BytesOf("/vmlinuz"), BytesOf("old")).Add(9, kIpl, BytesOf("/initrd"), BytesOf("same"));
  b.Add(9, kIpl, BytesOf("/vmlinuz"), BytesOf("new")).Add(9, kIpl, BytesOf("/initrd"), BytesOf("same"));
  b.Add(14, kIpl, BytesOf("MokList"), BytesOf("x"));
  const auto diff = Diff(LearnFrom(a), LearnFrom(b));
  ASSERT_THAT(diff, IsOk());
  ASSERT_EQ(diff->size(), 3U);
  EXPECT_FALSE((*diff)[0].added);
  EXPECT_EQ((*diff)[0].event.label, "/vmlinuz");
  EXPECT_EQ((*diff)[0].event.digest, Hash(HashAlg::kSha256, BytesOf("old")).hex());
  EXPECT_TRUE((*diff)[1].added);
  EXPECT_TRUE((*diff)[2].added);
  EXPECT_EQ((*diff)[2].event.index, 14U);
}

TEST(Diff, OrderCounts) {
  LogBuilder a({HashAlg::kSha256}), b({HashAlg::kSha256});
  a.Add(8, kIpl, BytesOf("one")).Add(8, kIpl, BytesOf("two"));
  b.Add(8, kIpl, BytesOf("two")).Add(8, kIpl, BytesOf("one"));
  EXPECT_EQ(Diff(LearnFrom(a), LearnFrom(b))->size(), 2U);
}

TEST(Diff, BanksMustBeTheSame) {
  LogBuilder b({HashAlg::kSha256, HashAlg::kSha1});
  b.Firmware();
  const auto diff = Diff(LearnFrom(b), LearnFrom(b, HashAlg::kSha1));
  ASSERT_THAT(diff, FailsWith("boot.not-comparable"));
}

}  // namespace
}  // namespace assay::boot
