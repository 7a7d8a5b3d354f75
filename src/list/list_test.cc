#include "list/list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/fd.h"

namespace assay::ima {
namespace {

Bytes Data(const std::string& name) {
  auto bytes = ReadFile(std::string(ASSAY_TEST_DATA) + "/ima/" + name, 16 << 20);
  EXPECT_TRUE(bytes) << bytes.error().Message();
  return bytes ? *bytes : Bytes();
}

std::vector<RecordView> ReadAll(ByteView list, HashAlg bank) {
  std::vector<RecordView> records;
  ListReader reader(list, bank);
  while (true) {
    auto r = reader.Next();
    EXPECT_TRUE(r) << r.error().Message();
    if (!r || !*r) return records;
    records.push_back(**r);
  }
}

// The four values of shared boot's PCR 10, as its owner's TPM held them.
std::vector<std::string> KnownValues() {
  std::ifstream file(std::string(ASSAY_TEST_DATA) + "/ima/ibmtss-imakvtpcr10.txt");
  std::vector<std::string> values;
  for (std::string line; std::getline(file, line);) {
    std::string hex;
    for (char c : line.substr(std::min(line.size(), line.find(':') + 1))) {
      if (std::isxdigit(static_cast<unsigned char>(c)) != 0) hex += c;
    }
    if (!hex.empty()) values.push_back(hex);
  }
  return values;
}

const std::vector<HashAlg> kBanks{HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512};

TEST(Replay, RealListGivesTheFourBankValues) {
  const auto known = KnownValues();
  ASSERT_EQ(known.size(), 4u);
  for (auto [file, bank] :
       {std::pair{"ibmtss-sha1.log", HashAlg::kSha1}, {"ibmtss-sha256.log", HashAlg::kSha256}}) {
    const Bytes list = Data(file);
    auto result = ReplayList(list, bank, kBanks);
    ASSERT_TRUE(result) << result.error().Message();
    EXPECT_EQ(result->count, 362u);
    EXPECT_TRUE(result->wrong_hints.empty());
    for (std::size_t i = 0; i < kBanks.size(); ++i)
      EXPECT_EQ(result->values[i].hex(), known[i]) << file << " " << i;
  }
}

TEST(Replay, GoesOnFromAStoredPrefix) {
  const Bytes list = Data("ibmtss-sha256.log");
  const auto records = ReadAll(list, HashAlg::kSha256);
  Replay first(HashAlg::kSha256);
  for (std::size_t i = 0; i < 100; ++i) first.Add(records[i]);
  Replay second = Replay::FromState(first.value(), first.count());
  for (std::size_t i = 100; i < records.size(); ++i) second.Add(records[i]);
  EXPECT_EQ(second.value().hex(), KnownValues()[1]);
  EXPECT_EQ(second.count(), records.size());
}

TEST(Reader, WritesBackByteForByte) {
  const Bytes list = Data("ibmtss-sha256.log");
  Bytes again;
  for (const RecordView& r : ReadAll(list, HashAlg::kSha256)) {
    const Bytes one =
        EncodeRecord(r.pcr, *Digest::Of(HashAlg::kSha256, r.template_digest), r.template_name, r.data);
    again.insert(again.end(), one.begin(), one.end());
  }
  EXPECT_EQ(again, list);
}

TEST(Reader, NamesATornTailAndKeepsWhatCameBefore) {
  const Bytes list = Data("ibmtss-sha1.log");
  const auto records = ReadAll(list, HashAlg::kSha1);
  const std::uint64_t last = records.back().offset;
  for (std::uint64_t end = last + 1; end < list.size(); ++end) {
    ListReader reader(ByteView(list).first(end), HashAlg::kSha1);
    std::size_t whole = 0;
    while (true) {
      auto r = reader.Next();
      if (!r) {
        const auto* e = r.error().As<ParseError>();
        ASSERT_NE(e, nullptr);
        EXPECT_GE(e->offset, last);
        EXPECT_LE(e->offset, end);
        break;
      }
      ASSERT_TRUE(*r);
      ++whole;
    }
    EXPECT_EQ(whole, records.size() - 1);
    EXPECT_EQ(reader.offset(), last);
  }
}

TEST(Reader, SkipsTheKexecHeader) {
  const Bytes list = Data("ibmtss-sha1.log");
  Writer w;
  w.U16Le(1).U16Le(0).U32Le(0).U64Le(list.size() + 24).U64Le(362).Put(list);
  EXPECT_EQ(ReadAll(w.bytes(), HashAlg::kSha1).size(), 362u);
}

TEST(Decode, OpensWhatWeWrite) {
  const Digest file = Hash(HashAlg::kSha256, AsBytes("content"));
  const Bytes data = EncodeNg(file, "/a b");
  const Bytes raw = EncodeRecord(10, TemplateDigest(HashAlg::kSha256, "ima-ng", data), "ima-ng", data);
  const auto records = ReadAll(raw, HashAlg::kSha256);
  ASSERT_EQ(records.size(), 1u);
  auto e = Decode(records[0]);
  ASSERT_TRUE(e) << e.error().Message();
  EXPECT_EQ(e->path, "/a_b");
  ASSERT_TRUE(e->file_digest && e->file_digest->digest);
  EXPECT_EQ(*e->file_digest->digest, file);
}

TEST(Decode, TheFirstTemplate) {
  Writer data;
  const Digest file = Hash(HashAlg::kSha1, AsBytes("x"));
  data.Put(file.view()).U32Le(4).Put("/bin");
  std::array<std::uint8_t, 256> padded{'/', 'b', 'i', 'n'};
  const Digest expected = Hasher(HashAlg::kSha1).Update(file.view()).Update(padded).Finish();
  EXPECT_EQ(TemplateDigest(HashAlg::kSha1, "ima", data.bytes()), expected);
  const Bytes raw = EncodeRecord(10, expected, "ima", data.bytes());
  const auto records = ReadAll(raw, HashAlg::kSha1);
  ASSERT_EQ(records.size(), 1u);
  auto e = Decode(records[0]);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->path, "/bin");
  EXPECT_EQ(*e->file_digest->digest, file);
}

TEST(Decode, CustomFormatString) {
  Writer data;
  data.U32Le(2).Put("/x").U32Le(4).U32Le(1000);
  const Bytes raw =
      EncodeRecord(10, TemplateDigest(HashAlg::kSha256, "n|iuid", data.bytes()), "n|iuid", data.bytes());
  const auto records = ReadAll(raw, HashAlg::kSha256);
  ASSERT_EQ(records.size(), 1u);
  auto e = Decode(records[0]);
  ASSERT_TRUE(e) << e.error().Message();
  EXPECT_EQ(e->path, "/x");
  EXPECT_FALSE(e->file_digest);
  EXPECT_EQ(e->fields[1].id, "iuid");
}

TEST(Group, RoundTripAndBounds) {
  const Bytes a = EncodeNg(Hash(HashAlg::kSha256, AsBytes("a")), "/a"),
              b = EncodeNg(Hash(HashAlg::kSha256, AsBytes("b")), "/b");
  const Bytes group = EncodeGroup({{"ima-ng", a}, {"ima-ng", b}});
  auto inner = DecodeGroup(group);
  ASSERT_TRUE(inner);
  ASSERT_EQ(inner->size(), 2u);
  EXPECT_TRUE(Equal((*inner)[1].data, b));
  for (std::size_t end = 1; end < group.size(); ++end) {
    if (end == group.size() / 2) continue;  // between the two: a whole group of one
    auto torn = DecodeGroup(ByteView(group).first(end));
    ASSERT_FALSE(torn) << end;
    EXPECT_EQ(torn.error().code(), "parse.assay-group");
  }
}

}  // namespace
}  // namespace assay::ima
