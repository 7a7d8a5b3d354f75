#include "list/list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/fd.h"
#include "base/real_data.h"
#include "base/result_testing.h"
#include "base/test_data.h"

namespace assay::ima {
namespace {

std::vector<RecordView> ReadAll(ByteView list, HashAlg bank) {
  std::vector<RecordView> records;
  ListReader reader(list, bank);
  while (true) {
    auto r = reader.Next();
    EXPECT_THAT(r, IsOk());
    if (!r || !*r) return records;
    records.push_back(**r);
  }
}

// The values of PCR 10 in four banks, as their owner's TPM held them. Each is on a line of its own.
std::vector<std::string> KnownValues(const Bytes& text, std::string_view key) {
  std::istringstream lines{std::string(AsText(text))};
  std::vector<std::string> values;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find(key);
    std::string hex;
    for (char c : at == std::string::npos ? "" : line.substr(at + key.size())) {
      if (std::isxdigit(static_cast<unsigned char>(c)) != 0)
        hex += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (!hex.empty()) values.push_back(hex);
  }
  return values;
}

const std::vector<HashAlg> kBanks{HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512};

// `records` ima-ng records with SHA-1 columns; every 1000th is a violation, every 999th for PCR 11.
Bytes MakeList(std::size_t records) {
  Bytes list;
  for (std::size_t i = 0; i < records; ++i) {
    const std::string path = "/usr/lib/x86_64-linux-gnu/lib" + std::to_string(i) + ".so";
    const Bytes data = EncodeNg(Hash(HashAlg::kSha256, AsBytes(path)), path);
    const Digest column =
        i % 1000 == 999 ? Digest::Filled(HashAlg::kSha1, 0) : TemplateDigest(HashAlg::kSha1, "ima-ng", data);
    const Bytes one = EncodeRecord(i % 999 == 998 ? 11 : 10, column, "ima-ng", data);
    list.insert(list.end(), one.begin(), one.end());
  }
  return list;
}

// Lists of this project's guests, whose kernels extended all four banks with their own hashes.
TEST(Replay, AGuestsListGivesTheFourBankValues) {
  for (const std::string folder : {"bios-6.12", "uefi-6.12", "secure-boot-6.12"}) {
    const std::string path = TestData() + "/boot/" + folder;
    const auto list = ReadFile(path + "/binary_runtime_measurements", 1 << 20);
    const auto text = ReadFile(path + "/pcrs.yaml", 1 << 20);
    ASSERT_TRUE(list && text);
    const auto known = KnownValues(*text, " 10: 0x");
    ASSERT_EQ(known.size(), 4U);
    const auto result = ReplayList(*list, HashAlg::kSha1, kBanks);
    ASSERT_THAT(result, IsOk());
    EXPECT_TRUE(result->wrong_hints.empty());
    for (std::size_t i = 0; i < kBanks.size(); ++i)
      EXPECT_EQ(result->values[i].hex(), known[i]) << folder << " " << i;
  }
}

TEST(Replay, RealListGivesTheFourBankValues) {
  const Bytes text = RealData("ima/ibmtss-imakvtpcr10.txt");
  if (text.empty()) GTEST_SKIP() << NoRealData();
  const auto known = KnownValues(text, ":");
  ASSERT_EQ(known.size(), 4u);
  for (auto [file, bank] :
       {std::pair{"ibmtss-sha1.log", HashAlg::kSha1}, {"ibmtss-sha256.log", HashAlg::kSha256}}) {
    const Bytes list = RealData(std::string("ima/") + file);
    auto result = ReplayList(list, bank, kBanks);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->count, 362u);
    EXPECT_TRUE(result->wrong_hints.empty());
    for (std::size_t i = 0; i < kBanks.size(); ++i)
      EXPECT_EQ(result->values[i].hex(), known[i]) << file << " " << i;
  }
}

TEST(Replay, GoesOnFromAStoredPrefix) {
  const Bytes list = MakeList(362);
  const auto records = ReadAll(list, HashAlg::kSha1);
  Replay first(HashAlg::kSha256);
  for (std::size_t i = 0; i < 100; ++i) first.Add(records[i]);
  Replay second = Replay::FromState(first.value(), first.count());
  for (std::size_t i = 100; i < records.size(); ++i) second.Add(records[i]);
  const auto whole = ReplayList(list, HashAlg::kSha1, {HashAlg::kSha256});
  ASSERT_THAT(whole, IsOk());
  EXPECT_EQ(second.value(), whole->values[0]);
  EXPECT_EQ(second.count(), records.size());
}

TEST(Replay, InParallelIsTheSameAsOneByOne) {
  for (const std::size_t n : {0UL, 1UL, 1023UL, 1024UL, 1025UL, 20000UL}) {
    const Bytes list = MakeList(n);
    const auto result = ReplayList(list, HashAlg::kSha1, kBanks);
    ASSERT_THAT(result, IsOk());
    std::vector<Digest> values;
    std::uint64_t violations = 0;
    for (const HashAlg bank : kBanks) {
      Replay replay(bank);
      violations = 0;
      for (const RecordView& r : ReadAll(list, HashAlg::kSha1)) violations += replay.Add(r).violation ? 1 : 0;
      values.push_back(replay.value());
    }
    EXPECT_EQ(result->values, values) << n;
    EXPECT_EQ(result->count, n);
    EXPECT_EQ(result->violations, violations);
    EXPECT_EQ(result->wrong_hint_count, 0U);
  }
}

TEST(Replay, ManyGoOnFromStoredStates) {
  const Bytes list = MakeList(5000);
  const auto records = ReadAll(list, HashAlg::kSha1);
  const auto whole = ReplayList(list, HashAlg::kSha1, kBanks);
  ASSERT_THAT(whole, IsOk());
  for (const std::size_t split : {0UL, 1UL, 1024UL, 4999UL, 5000UL}) {
    const std::size_t at = split == records.size() ? list.size() : records[split].offset;
    std::vector<Replay> states(kBanks.begin(), kBanks.end());
    ASSERT_THAT(ContinueReplay(ByteView(list).first(at), HashAlg::kSha1, states), IsOk());
    EXPECT_EQ(states[0].count(), split);
    const auto rest = ContinueReplay(ByteView(list).subspan(at), HashAlg::kSha1, states);
    ASSERT_THAT(rest, IsOk());
    EXPECT_EQ(rest->count, records.size() - split);
    EXPECT_EQ(rest->values, whole->values) << split;
    EXPECT_EQ(states[3].value(), whole->values[3]);
    EXPECT_EQ(states[3].count(), records.size());
  }
}

TEST(Replay, NamesWrongColumnsByRecordNumber) {
  Bytes list = MakeList(3000);
  const auto records = ReadAll(list, HashAlg::kSha1);
  for (const std::size_t i : {5UL, 2000UL}) list[records[i].offset + 4] ^= 1;
  std::vector<Replay> states{Replay::FromState(Digest::Filled(HashAlg::kSha1, 7), 100)};
  const auto result = ContinueReplay(list, HashAlg::kSha1, states);
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->wrong_hints, testing::ElementsAre(105, 2100));
  EXPECT_EQ(result->wrong_hint_count, 2U);
  // The columns are not checked where the list's own bank is not computed.
  const auto other = ReplayList(list, HashAlg::kSha1, {HashAlg::kSha256});
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(other->wrong_hint_count, 0U);
}

TEST(Replay, ATornListIsAnErrorAndLeavesTheStates) {
  const Bytes list = MakeList(3000);
  std::vector<Replay> states{Replay(HashAlg::kSha256)};
  const auto result = ContinueReplay(ByteView(list).first(list.size() - 1), HashAlg::kSha1, states);
  ASSERT_THAT(result, FailsWith("parse.ima-list"));
  EXPECT_EQ(states[0].count(), 0U);
  EXPECT_TRUE(states[0].value().AllBytes(0));
}

TEST(Replay, ABankWhoseHashIsMissingGetsThePaddedSha1) {
  const Bytes list = MakeList(1000);  // the last is a violation
  for (const BankHash how : {BankHash::kPaddedSha1, BankHash::kPaddedAll}) {
    std::vector<Replay> states{Replay(HashAlg::kSha384, kPcr, how)};
    ASSERT_THAT(ContinueReplay(list, HashAlg::kSha1, states), IsOk());
    Digest expected = Digest::Filled(HashAlg::kSha384, 0);
    for (const RecordView& r : ReadAll(list, HashAlg::kSha1)) {
      Bytes value(r.template_digest.begin(), r.template_digest.end());
      value.resize(48, 0);
      if (r.violation()) std::fill_n(value.begin(), how == BankHash::kPaddedAll ? 20 : 48, 0xFF);
      if (r.pcr == kPcr) expected = ExtendPcr(expected, *Digest::Of(HashAlg::kSha384, value));
    }
    EXPECT_EQ(states[0].value(), expected);
  }
}

TEST(Reader, WritesBackByteForByte) {
  const auto guest = ReadFile(TestData() + "/boot/secure-boot-6.12/binary_runtime_measurements", 1 << 20);
  ASSERT_THAT(guest, IsOk());
  const auto again = [](const Bytes& list, HashAlg bank) {
    Bytes out;
    for (const RecordView& r : ReadAll(list, bank)) {
      const Bytes one = EncodeRecord(r.pcr, *Digest::Of(bank, r.template_digest), r.template_name, r.data);
      out.insert(out.end(), one.begin(), one.end());
    }
    return out;
  };
  EXPECT_EQ(again(*guest, HashAlg::kSha1), *guest);
  const Bytes others = RealData("ima/ibmtss-sha256.log");
  EXPECT_EQ(again(others, HashAlg::kSha256), others);
}

TEST(Reader, NamesATornTailAndKeepsWhatCameBefore) {
  const Bytes list = MakeList(362);
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

TEST(Reader, AKexecHeaderBoundsTheList) {
  const Bytes list = MakeList(362);
  const auto with_header = [&list](std::uint64_t size, std::uint64_t count) {
    Writer w;
    w.U16Le(1).U16Le(0).U32Le(0).U64Le(size).U64Le(count).Put(list);
    return w.Take();
  };
  Bytes carried = with_header(list.size() + 24, 362);
  EXPECT_TRUE(HasKexecHeader(carried));
  EXPECT_FALSE(HasKexecHeader(list));
  carried.resize(carried.size() + 4096);  // the rest of a memory page
  EXPECT_EQ(ReadAll(carried, HashAlg::kSha1).size(), 362U);
  for (const auto& [size, count, offset] :
       {std::tuple{list.size() + 25, 362UL, list.size() + 24}, {list.size() + 24, 361UL, 16UL}}) {
    const auto result = ReplayList(with_header(size, count), HashAlg::kSha1, {HashAlg::kSha1});
    ASSERT_THAT(result, FailsWith("parse.ima-list"));
    EXPECT_EQ(result.error().As<ParseError>()->offset, offset);
  }
}

TEST(Decode, OpensWhatWeWrite) {
  const Digest file = Hash(HashAlg::kSha256, AsBytes("content"));
  const Bytes data = EncodeNg(file, "/a b");
  const Bytes raw = EncodeRecord(10, TemplateDigest(HashAlg::kSha256, "ima-ng", data), "ima-ng", data);
  const auto records = ReadAll(raw, HashAlg::kSha256);
  ASSERT_EQ(records.size(), 1u);
  auto e = Decode(records[0]);
  ASSERT_THAT(e, IsOk());
  EXPECT_EQ(e->path, "/a_b");
  ASSERT_TRUE(e->file_digest && e->file_digest->digest);
  EXPECT_EQ(*e->file_digest->digest, file);
}

TEST(Decode, TheControlGroupOfARecord) {
  const Digest file = Hash(HashAlg::kSha256, AsBytes("content"));
  const Bytes data = EncodeNgCgroup(file, "/a b", "/system.slice/one.service");
  const Bytes raw =
      EncodeRecord(10, TemplateDigest(HashAlg::kSha256, TemplateName(Template::kNgCgroup), data),
                   TemplateName(Template::kNgCgroup), data);
  const auto records = ReadAll(raw, HashAlg::kSha256);
  ASSERT_EQ(records.size(), 1u);
  const auto e = Decode(records[0]);
  ASSERT_THAT(e, IsOk());
  EXPECT_EQ(e->path, "/a_b");
  EXPECT_EQ(e->cgroup, "/system.slice/one.service");
  const std::string line = ToAscii(records[0]);
  EXPECT_TRUE(line.ends_with(" /a_b /system.slice/one.service\n")) << line;
  const auto back = ParseAscii(line);
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->at(0).data, data);
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
  ASSERT_THAT(e, IsOk());
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
  ASSERT_THAT(e, IsOk());
  EXPECT_EQ(e->path, "/x");
  EXPECT_FALSE(e->file_digest);
  EXPECT_EQ(e->fields[1].id, "iuid");
}

TEST(Docs, TheWorkedExamplesAreTrue) {
  // docs/formats/list.md
  const Bytes data = EncodeNg(Hash(HashAlg::kSha256, AsBytes("hello\n")), "/bin/a b");
  const Bytes record = EncodeRecord(10, TemplateDigest(HashAlg::kSha1, "ima-ng", data), "ima-ng", data);
  EXPECT_EQ(
      Hex(record),
      "0a000000d8d9403e24348b72f7e8592dff1a0c3caffd479706000000696d612d6e6739000000280000007368613235363a00"
      "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03090000002f62696e2f615f6200");
  const Bytes buffer = EncodeGroup({{"ima-ng", data}});
  const Bytes group = EncodeBuf(Hash(HashAlg::kSha256, buffer), kGroupName, buffer);
  EXPECT_EQ(
      Hex(EncodeRecord(10, TemplateDigest(HashAlg::kSha256, "ima-buf", group), "ima-buf", group)),
      "0a00000042ef8fc638636d219860521dde9f4b0b2b3997ffa70d204187c6e8b0bbea63f507000000696d612d62756687000000"
      "280000007368613235363a003034bfba12236677b6b01563f47a398cd6525caa702bd5c651c04183cd217d24"
      "0c00000061737361792d67726f75700047000000" +
          std::string("06000000696d612d6e6739000000") + Hex(data));
}

TEST(Group, RoundTripAndBounds) {
  const Bytes a = EncodeNg(Hash(HashAlg::kSha256, AsBytes("a")), "/a"),
              b = EncodeNg(Hash(HashAlg::kSha256, AsBytes("b")), "/b");
  const Bytes group = EncodeGroup({{"ima-ng", a}, {"ima-ng", b}});
  auto inner = DecodeGroup(group);
  ASSERT_THAT(inner, IsOk());
  ASSERT_EQ(inner->size(), 2u);
  EXPECT_TRUE(Equal((*inner)[1].data, b));
  for (std::size_t end = 1; end < group.size(); ++end) {
    if (end == group.size() / 2) continue;  // between the two: a whole group of one
    auto torn = DecodeGroup(ByteView(group).first(end));
    ASSERT_THAT(torn, FailsWith("parse.assay-group")) << end;
  }
}

TEST(TemplateTest, EachListHasItsTemplates) {
  for (const char* name : {"ima-ng", "ima-buf"})
    for (const ListWriter writer : {ListWriter::kKernel, ListWriter::kAttester})
      EXPECT_TRUE(HasTemplate(writer, name)) << name;
  EXPECT_TRUE(HasTemplate(ListWriter::kAttester, TemplateName(Template::kNgCgroup)));
  for (const Template t : {Template::kNg, Template::kBuf, Template::kNgCgroup})
    EXPECT_EQ(TemplateFromName(TemplateName(t)), t);
  EXPECT_EQ(TemplateFromName("ima-sig"), std::nullopt);
  EXPECT_FALSE(HasTemplate(ListWriter::kKernel, TemplateName(Template::kNgCgroup)));
  for (const char* name : {"ima", "ima-sig", "ima-ngv2", "ima-sigv2", "ima-modsig", "evm-sig"}) {
    EXPECT_TRUE(HasTemplate(ListWriter::kKernel, name)) << name;
    EXPECT_FALSE(HasTemplate(ListWriter::kAttester, name)) << name;
  }
  for (const char* name : {"", "d-ng|cgpath", "d-ng|n-ng", "d-ng|sig|n-ng", "no-such"})
    for (const ListWriter writer : {ListWriter::kKernel, ListWriter::kAttester})
      EXPECT_FALSE(HasTemplate(writer, name)) << name;
}

}  // namespace
}  // namespace assay::ima
