#include "reference/further_digests.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "appraise/other_digest.h"
#include "base/bytes.h"
#include "reference/digest_list.h"
#include "reference/reference_testing.h"
#include "reference/source.h"

namespace assay::reference {
namespace {

// Bytes that repeat in no period of a block.
Bytes Content(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 % 251);
  return out;
}

std::string VerityText(ByteView content) {
  return "verity:" + VerityHasher().Update(content).Finish().ToString();
}

struct Further : ReferenceFixture {
  static std::vector<appraise::Origin> Find(const Index& index, std::string_view text) {
    return index.Find(appraise::StandIn(text));
  }
  static bool Has(const Index& index, std::string_view text, const std::string& path) {
    const std::vector<appraise::Origin> origins = Find(index, text);
    return std::any_of(origins.begin(), origins.end(), [&](const auto& o) { return o.path == path; });
  }
  static FurtherKinds Kinds(std::string_view names) { return *ParseFurtherKinds(names); }
};

// The values are those of fsverity-utils, and of a calculation in Python.
TEST(Verity, KnownDigests) {
  const std::pair<std::size_t, const char*> known[] = {
      {0, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"},
      {1, "b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551"},
      {4096, "258b680fa93e3bfc1586d9b439d29a2172bd0db550fe7da1272fd8120d801182"},
      {4097, "0328cc6ed983dc0df3103b9651098ab305e4adfae46a1a5814b6602b0630293d"},
      {524288, "e1389416027616e5a91f01961c0d159871f5c6afaf577d6e3b9d815f916fbde0"},
      {524289, "00023924223dbf3c1f1095d9f0fb02546dc2d8ea7032445ad216eab168faa3bb"}};
  VerityHasher hasher;
  for (const auto& [size, hex] : known) {
    const Bytes content = Content(size);
    for (const std::size_t part : {std::size_t{1000}, std::size_t{4096}, std::size_t{1} << 20}) {
      for (std::size_t at = 0; at < size; at += part)
        hasher.Update(ByteView(content).subspan(at, std::min(part, size - at)));
      EXPECT_EQ(hasher.Finish().hex(), hex) << size << " in parts of " << part;
    }
  }
}

TEST_F(Further, VerityIsWhatItsToolSays) {
  if (access("/usr/bin/fsverity", X_OK) != 0) GTEST_SKIP() << "fsverity is not installed";
  for (const std::size_t blocks : {0, 1, 2, 127, 128, 129, 255, 256, 257, 16383, 16384, 16385, 16513}) {
    for (const std::size_t more : {0, 1, 4095}) {
      const Bytes content = Content(blocks * 4096 + more);
      Put("/file", std::string(AsText(content)));
      const auto said = RunProgram({"fsverity", "digest", "--compact", dir_ + "/file"}, "/");
      ASSERT_TRUE(said && said->exit_code == 0);
      EXPECT_EQ(VerityHasher().Update(content).Finish().hex() + "\n", said->out) << content.size();
    }
  }
}

// The example of docs/formats/index.md.
TEST(StandIns, Example) {
  const std::string text = VerityText(AsBytes("hi"));
  EXPECT_EQ(text, "verity:sha256:9556a126665a207a0232a1d72130cd6e15bf4860bcbee1d731798d0e1d0b559e");
  EXPECT_EQ(appraise::StandIn(text).hex(),
            "7d0bcd2b54224b342dac8839a8e03bc09aaa8a40ab4688b81967b92287c29b42");
}

TEST_F(Further, NamesOfKinds) {
  const FurtherKinds kinds = Kinds("sha384,verity,sha256,sha384");
  EXPECT_TRUE(kinds.verity);
  EXPECT_EQ(kinds.algs, std::vector<HashAlg>{HashAlg::kSha384});
  EXPECT_TRUE(Kinds("").algs.empty());
  for (const char* bad : {"md5", "sha384;verity", ",", "sha3-256", "verity "})
    EXPECT_FALSE(ParseFurtherKinds(bad)) << bad;
}

TEST_F(Further, OfEachFileOfAPackage) {
  Put("/tool/usr/bin/tool", "tool");
  std::filesystem::create_hard_link(dir_ + "/tool/usr/bin/tool", dir_ + "/tool/usr/bin/same");
  Put("/tool/DEBIAN/postinst", "#!/bin/sh\n");
  std::filesystem::permissions(dir_ + "/tool/DEBIAN/postinst", std::filesystem::perms(0755));
  const std::string deb = MakeDeb("tool", "1");
  Builder plain;
  ASSERT_THAT(plain.Add(*DebSource(deb)), IsOk());
  const auto without = Written(plain);
  Builder b;
  ASSERT_THAT(b.Add(*DebSource(deb, Kinds("sha1,sha512,verity"))), IsOk());
  const auto index = Written(b);
  ASSERT_THAT(index->CheckAll(), IsOk());
  const Bytes tool = Bytes{'t', 'o', 'o', 'l'};
  for (const HashAlg alg : {HashAlg::kSha1, HashAlg::kSha512}) {
    EXPECT_TRUE(Has(*index, Hash(alg, tool).ToString(), "/usr/bin/tool"));
    EXPECT_TRUE(Has(*index, Hash(alg, tool).ToString(), "/usr/bin/same"));
  }
  EXPECT_TRUE(Has(*index, VerityText(tool), "/usr/bin/tool"));
  EXPECT_TRUE(Has(*index, VerityText(AsBytes("#!/bin/sh\n")), "/var/lib/dpkg/info/tool.postinst"));
  EXPECT_TRUE(Find(*index, Hash(HashAlg::kSha384, tool).ToString()).empty());
  // A text is another digest than the same bytes of another kind.
  EXPECT_TRUE(Find(*index, VerityText(tool).substr(7)).empty());
  EXPECT_FALSE(index->Knows(DigestOf(VerityText(tool))));  // the content of a file may be such a text
  // They are no files and no contents.
  EXPECT_EQ(index->files(), without->files());
  EXPECT_EQ(index->size(), without->size());
  EXPECT_EQ(Sha256SumsOf(*index), Sha256SumsOf(*without));
  EXPECT_EQ(KeylimePolicyOf(*index), KeylimePolicyOf(*without));
}

TEST_F(Further, StayWithAFormerVersion) {
  Put("/tool/usr/bin/tool", "one");
  Builder first;
  ASSERT_THAT(first.Add(*DebSource(MakeDeb("tool", "1"), Kinds("verity"))), IsOk());
  const auto before = Written(first);
  Put("/tool/usr/bin/tool", "two");
  Builder second;
  ASSERT_THAT(second.Add(*DebSource(MakeDeb("tool", "2"), Kinds("verity"))), IsOk());
  second.AddFormer(*before, Builder::Former::kOfAdded, 1'700'000'000'000, 1 << 20);
  const auto index = Written(second);
  const auto one = Find(*index, VerityText(AsBytes("one"))), two = Find(*index, VerityText(AsBytes("two")));
  ASSERT_EQ(one.size(), 1U);
  ASSERT_EQ(two.size(), 1U);
  EXPECT_EQ(one[0].standing, appraise::Standing::kSuperseded);
  EXPECT_EQ(two[0].standing, appraise::Standing::kGood);
  EXPECT_EQ(index->size(), 2U);
}

TEST_F(Further, OfAFolder) {
  const Bytes large = Content((1 << 20) + 5);
  Put("/app/large", std::string(AsText(large)));
  Put("/app/empty", "");
  Builder b;
  ASSERT_THAT(
      b.Add(*FolderSource(dir_ + "/app", {.package = "app", .version = "1"}, dir_, Kinds("sha384,verity"))),
      IsOk());
  const auto index = Written(b);
  EXPECT_TRUE(Has(*index, VerityText(large), "/app/large"));
  EXPECT_TRUE(Has(*index, Hash(HashAlg::kSha384, large).ToString(), "/app/large"));
  EXPECT_TRUE(Has(*index, VerityText({}), "/app/empty"));
  EXPECT_TRUE(index->Knows(Hash(HashAlg::kSha256, large)));
  // One that is not read fails alone.
  EXPECT_FALSE(DigestsOf(dir_ + "/none", "/none", Kinds("verity")));
  EXPECT_FALSE(DigestsOf(dir_ + "/none", "/none", {}));
}

}  // namespace
}  // namespace assay::reference
