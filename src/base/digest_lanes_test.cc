#include "base/digest_lanes.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

constexpr HashAlg kAlgs[] = {HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512};

// Texts of every length up to some blocks, so that each way to pad meets each other one beside it.
std::vector<Bytes> Texts() {
  std::vector<Bytes> texts;
  for (std::size_t size = 0; size < 300; ++size) {
    for (const std::size_t beside :
         {std::size_t{0}, std::size_t{55}, std::size_t{56}, std::size_t{64}, size}) {
      texts.push_back(Bytes(size, static_cast<std::uint8_t>(size)));
      texts.push_back(Bytes(beside, static_cast<std::uint8_t>(size + 1)));
      if (!texts.back().empty()) texts.back().back() = 0x80;
    }
  }
  return texts;
}

TEST(DigestLanes, EachIsTheHashOfItsText) {
  const std::vector<Bytes> texts = Texts();
  const std::vector<ByteView> views(texts.begin(), texts.end());
  for (const HashAlg alg : kAlgs) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{3}, views.size()}) {
      std::vector<Digest> out(count);
      HashEach(alg, std::span(views).first(count), out);
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(out[i], Hash(alg, texts[i])) << HashName(alg) << " " << i;
    }
  }
}

TEST(DigestLanes, AChainIsOneExtendAfterTheOther) {
  for (const HashAlg alg : kAlgs) {
    std::vector<Digest> events;
    Digest value = Digest::Filled(alg, 0);
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(ExtendPcr(Digest::Filled(alg, 0), events), value) << HashName(alg) << " " << i;
      events.push_back(Hash(alg, Bytes(1, static_cast<std::uint8_t>(i))));
      value = ExtendPcr(value, events.back());
    }
  }
}

}  // namespace
}  // namespace assay
