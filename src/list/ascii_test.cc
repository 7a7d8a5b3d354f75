#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/real_data.h"
#include "base/result_testing.h"
#include "base/test_data.h"
#include "list/list.h"

namespace assay::ima {
namespace {

RecordView View(const OwnedRecord& r) {
  RecordView v;
  v.pcr = r.pcr;
  v.template_digest = r.template_digest;
  v.template_name = r.template_name;
  v.data = r.data;
  return v;
}

// Parses, prints again, and counts the records whose column is the hash of what was parsed.
std::size_t RoundTrip(const std::string& text, HashAlg column) {
  auto records = ParseAscii(text);
  EXPECT_THAT(records, IsOk());
  if (!records) return 0;
  std::string again;
  std::size_t right = 0;
  for (const OwnedRecord& r : *records) {
    again += ToAscii(View(r));
    right += Equal(TemplateDigest(column, r.template_name, r.data).view(), r.template_digest) ? 1 : 0;
  }
  EXPECT_EQ(again, text);
  return right;
}

std::string Line(std::string_view template_name, ByteView data) {
  const Digest column = TemplateDigest(HashAlg::kSha1, template_name, data);
  RecordView v;
  v.pcr = 10;
  v.template_digest = column.view();
  v.template_name = template_name;
  v.data = data;
  const std::string line = ToAscii(v);
  const std::string front = "10 " + column.hex() + " " + std::string(template_name) + " ";
  EXPECT_TRUE(line.starts_with(front)) << line;
  EXPECT_EQ(RoundTrip(line, HashAlg::kSha1), 1U);
  return line.substr(std::min(front.size(), line.size()));
}

Writer& Put(Writer& w, std::string_view value) {
  return w.U32Le(static_cast<std::uint32_t>(value.size())).Put(value);
}

using std::string_literals::operator""s;

TEST(Ascii, RealListComesBackByteForByteAndHashesRight) {
  const Bytes text = RealData("ima/ascii_runtime_measurements-826");
  if (text.empty()) GTEST_SKIP() << NoRealData();
  EXPECT_EQ(RoundTrip(std::string(AsText(text)), HashAlg::kSha1), 826U);
}

TEST(Ascii, FileDigestsOfEveryAlgorithmAlsoUnknownOnes) {
  for (const char* alg : {"sha1", "sha256", "sha384", "sha512", "sm3_256", "unknown"}) {
    const auto known = HashFromName(alg);
    const std::string column(40, '5'), digest(2 * (known ? DigestSize(*known) : 28), 'a');
    const std::string text = "10 " + column + " ima-ng " + alg + ":" + digest + " /data\n";
    RoundTrip(text, HashAlg::kSha1);
    auto records = ParseAscii(text);
    ASSERT_THAT(records, IsOk());
    ASSERT_EQ(records->size(), 1U);
    auto entry = Decode(View((*records)[0]));
    ASSERT_THAT(entry, IsOk());
    EXPECT_EQ(entry->path, "/data");
    EXPECT_EQ(entry->file_digest->alg_name, alg);
    EXPECT_EQ(entry->file_digest->digest.has_value(), known.has_value());
  }
}

// Converts a binary list to text and back, and returns the number of records.
std::size_t ThroughText(const Bytes& list, HashAlg bank) {
  ListReader reader(list, bank);
  std::string text;
  Bytes again;
  std::size_t count = 0;
  while (true) {
    auto r = reader.Next();
    EXPECT_THAT(r, IsOk());
    if (!r || !*r) break;
    text += ToAscii(**r);
    ++count;
  }
  EXPECT_EQ(RoundTrip(text, bank), count);
  const auto parsed = ParseAscii(text);
  EXPECT_THAT(parsed, IsOk());
  if (!parsed) return 0;
  for (const OwnedRecord& r : *parsed) {
    const Bytes one = EncodeRecord(r.pcr, *Digest::Of(bank, r.template_digest), r.template_name, r.data);
    again.insert(again.end(), one.begin(), one.end());
  }
  EXPECT_EQ(again, list);
  return count;
}

TEST(Ascii, AGuestsBinaryListPrintsAndParses) {
  const auto list = ReadFile(TestData() + "/boot/secure-boot-6.12/binary_runtime_measurements", 1 << 20);
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(ThroughText(*list, HashAlg::kSha1), 2U);
}

TEST(Ascii, RealBinaryListPrintsAndParses) {
  const Bytes list = RealData("ima/ibmtss-sha256.log");
  if (list.empty()) GTEST_SKIP() << NoRealData();
  EXPECT_EQ(ThroughText(list, HashAlg::kSha256), 362U);
}

TEST(Ascii, OthersListsOfEveryAlgorithmComeBack) {
  for (const char* alg : {"sha1", "sha256", "sha384", "sha512", "sm3_256", "unknown"}) {
    const Bytes text = RealData(std::string("ima/ascii-") + alg);
    if (text.empty()) GTEST_SKIP() << NoRealData();
    RoundTrip(std::string(AsText(text)), HashAlg::kSha1);
  }
}

TEST(Ascii, EachTemplateAsTheKernelPrintsIt) {
  const std::string ng = "sha256:\0\xAB\xCD"s, ngv2 = "verity:sha256:\0\x01"s, name = "/bin/a_b\0"s;
  Writer w;
  w.Put(std::string(20, '\x11')).U32Le(4).Put("/bin");
  EXPECT_EQ(Line("ima", w.bytes()), "1111111111111111111111111111111111111111 /bin\n");
  w = Writer();
  Put(Put(w, ng), name);
  EXPECT_EQ(Line("ima-ng", w.bytes()), "sha256:abcd /bin/a_b\n");
  EXPECT_EQ(Line("d-ng|n-ng", w.bytes()), "sha256:abcd /bin/a_b\n");
  Put(w, "");
  EXPECT_EQ(Line("ima-sig", w.bytes()), "sha256:abcd /bin/a_b \n");
  w = Writer();
  Put(Put(w, ngv2), name);
  EXPECT_EQ(Line("ima-ngv2", w.bytes()), "verity:sha256:01 /bin/a_b\n");
  Put(w, "\x03\x02");
  EXPECT_EQ(Line("ima-sigv2", w.bytes()), "verity:sha256:01 /bin/a_b 0302\n");
  w = Writer();
  Put(Put(Put(w, ng), "kexec-cmdline\0"s), "root=1");
  EXPECT_EQ(Line("ima-buf", w.bytes()), "sha256:abcd kexec-cmdline 726f6f743d31\n");
  w = Writer();
  Put(Put(Put(Put(Put(w, ng), name), ""), ng), "\x30\x82");
  EXPECT_EQ(Line("ima-modsig", w.bytes()), "sha256:abcd /bin/a_b  sha256:abcd 3082\n");
  w = Writer();
  Put(Put(Put(w, ng), name), "\x05");
  Put(Put(Put(w, "security.selinux|security.ima\0"s), "\x04\0\0\0"s), "unco");
  w.U32Le(4).U32Le(1000).U32Le(4).U32Le(100).U32Le(2).U16Le(0100755);
  EXPECT_EQ(Line("evm-sig", w.bytes()),
            "sha256:abcd /bin/a_b 05 security.selinux|security.ima 04000000 756e636f 1000 100 33261\n");
  w = Writer();
  Put(Put(w, std::string(20, '\x22')), "/x\0"s);
  EXPECT_EQ(Line("d|n", w.bytes()), "2222222222222222222222222222222222222222 /x\n");
}

TEST(Ascii, PcrIsPaddedToTwoPlaces) {
  RecordView v;
  const Digest zero = Digest::Filled(HashAlg::kSha1, 0);
  Writer w;
  Put(Put(w, ":\0\x01"s), "x\0"s);
  v.pcr = 9;
  v.template_digest = zero.view();
  v.template_name = "ima-ng";
  v.data = w.bytes();
  const std::string line = " 9 " + zero.hex() + " ima-ng 01 x\n";
  EXPECT_EQ(ToAscii(v), line);
  RoundTrip(line, HashAlg::kSha1);
}

TEST(Ascii, WhatNoKernelWouldPrintIsGivenInHex) {
  RecordView v;
  const Digest zero = Digest::Filled(HashAlg::kSha1, 0);
  const Bytes data{1, 2, 3};
  v.pcr = 10;
  v.template_digest = zero.view();
  v.data = data;
  for (std::string_view name : {"ima-new", "ima-ng", ""}) {
    v.template_name = name;
    EXPECT_EQ(ToAscii(v), "10 " + zero.hex() + " " + std::string(name) + " 010203\n");
  }
}

constexpr std::string_view kFront = "10 1d8d532d463c9f8c205d0df7787669a85f93e260 ";

TEST(Ascii, SpacesBelongToTheName) {
  auto records = ParseAscii(std::string(kFront) + "ima-sig sha1:00 /a b c 0302\n" + std::string(kFront) +
                            "ima-ng sha1:00 /a b \n" + std::string(kFront) + "ima-sig sha1:00 /cut\n");
  ASSERT_THAT(records, IsOk());
  EXPECT_EQ(Decode(View((*records)[0]))->path, "/a b c");
  EXPECT_EQ(Decode(View((*records)[0]))->signature.size(), 2U);
  EXPECT_EQ(Decode(View((*records)[1]))->path, "/a b ");
  EXPECT_EQ(Decode(View((*records)[2]))->path, "/cut");
  EXPECT_TRUE(Decode(View((*records)[2]))->signature.empty());
}

TEST(Ascii, RefusesWithTheOffset) {
  const std::string good = std::string(kFront) + "ima-ng sha1:00 /a\n";
  const auto at = [&](const std::string& line, std::size_t offset, std::string_view what) {
    auto records = ParseAscii(good + line);
    ASSERT_THAT(records, FailsWith("parse.ima-ascii")) << line;
    const auto* e = records.error().As<ParseError>();
    ASSERT_NE(e, nullptr);
    EXPECT_THAT(records, FailsWith("parse.ima-ascii"));
    EXPECT_EQ(e->offset, good.size() + offset) << line;
    EXPECT_THAT(e->what, testing::HasSubstr(what));
  };
  const std::string front(kFront);
  at("\n", 0, "pcr");
  at("b\n", 0, "pcr");  // the second half of a name with a newline
  at("99999999999 00", 0, "pcr");
  at("10 xx ima-ng", 3, "template digest");
  at("10 00 ima-ng", 3, "template digest of 1 bytes");
  at(front + "ima-new sha1:00 /a", 44, "unknown template ima-new");
  at(front + "ima-ng", 50, "no name");
  at(front + "ima-ng sha1:0 /a", 57, "d-ng: not hexadecimal");
  at(front + "ima-ng sha1:0g /a", 57, "d-ng: not hexadecimal");
  at(front + "ima-ng sha1:00", 58, "no name");
  at(front + "ima-sig sha1:00 /a zz", 63, "sig: not hexadecimal");
  at(front + "d-ng|iuid sha1:00 1 2", 64, "more fields");
  at(front + "n-ng|iuid /a 4294967296", 57, "iuid");
  at(front + "n-ng|imode /a -1", 58, "imode");
  at(front + "ima 00 /a", 48, "digest size");
}

}  // namespace
}  // namespace assay::ima
