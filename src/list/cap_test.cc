#include "list/cap.h"

#include <gtest/gtest.h>

#include "base/result_testing.h"
#include "list/list.h"

namespace assay::ima {
namespace {

TEST(Cap, IsARecordLikeAnyOther) {
  constexpr std::uint8_t kDigest[] = {ASSAY_CAP_DIGEST};
  EXPECT_TRUE(Equal(Hash(HashAlg::kSha256, AsBytes(ASSAY_CAP_TEXT)).view(), kDigest));
  const Bytes data = CapData();
  const Bytes raw = EncodeRecord(10, TemplateDigest(HashAlg::kSha256, "ima-buf", data), "ima-buf", data);
  ListReader reader(raw, HashAlg::kSha256);
  const auto record = reader.Next();
  ASSERT_TRUE(record && *record);
  const Result<Entry> entry = Decode(**record);
  ASSERT_THAT(entry, IsOk());
  EXPECT_EQ(entry->path, "assay-cap");
  EXPECT_EQ(AsText(entry->buffer), ASSAY_CAP_TEXT);
  // TPM2_PCR_Event hashes its argument, which is the template data, in each bank. It takes at most 1024
  // bytes.
  EXPECT_LE(data.size(), 1024U);
  for (const HashAlg bank : {HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384}) {
    EXPECT_EQ(CapExtend(bank), Hash(bank, data));
    EXPECT_EQ(CapExtend(bank), ExtendValue(bank, **record));
  }
}

}  // namespace
}  // namespace assay::ima
