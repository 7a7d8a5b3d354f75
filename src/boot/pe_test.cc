#include "boot/pe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/fd.h"
#include "base/result_testing.h"
#include "base/test_data.h"
#include "boot/authenticode.h"
#include "boot/pe_builder.h"
#include "boot/unified.h"

namespace assay::boot {
namespace {

Bytes Data(const std::string& name) {
  auto bytes = ReadFile(TestData() + "/pe/" + name, kMaxPe);
  EXPECT_THAT(bytes, IsOk()) << name;
  return bytes ? std::move(*bytes) : Bytes();
}

void PutU32(Bytes& b, std::size_t at, std::uint32_t v) {
  for (std::size_t i = 0; i < 4; ++i) b[at + i] = static_cast<std::uint8_t>(v >> 8 * i);
}

// Where BuildPe() puts things.
constexpr std::size_t kOptional = 64 + 24, kCertificateEntry = kOptional + 112 + 32,
                      kSections = kOptional + 112 + 128;

TEST(Pe, TheDigestIsTheOneThatSignersWrote) {
  const Bytes plain = Data("unified.efi");
  const auto unsigned_image = ParsePe(plain);
  ASSERT_THAT(unsigned_image, IsOk());
  EXPECT_TRUE(unsigned_image->signatures.empty());
  for (const char* name : {"sbsign.efi", "osslsigncode.efi", "osslsigncode-sha384.efi"}) {
    const Bytes file = Data(name);
    const auto image = ParsePe(file);
    ASSERT_THAT(image, IsOk()) << name;
    ASSERT_EQ(image->signatures.size(), 1U) << name;
    const auto digest = SignedDigest(image->signatures[0]);
    ASSERT_THAT(digest, IsOk()) << name;
    EXPECT_EQ(*digest, image->Authenticode(digest->alg())) << name;
    EXPECT_EQ(*digest, unsigned_image->Authenticode(digest->alg())) << name;
    EXPECT_TRUE(IsSignedBy(image->signatures[0], Data("signer.der"))) << name;
    EXPECT_FALSE(IsSignedBy(image->signatures[0], Data("other.der"))) << name;
  }
}

TEST(Pe, TheExampleOfTheDocumentHasItsDigest) {
  const Bytes file = Data("kernel.efi");
  EXPECT_EQ(ParsePe(file)->Authenticode(HashAlg::kSha256).hex(),
            "e19b203242a9484922f744c2621dfe28ad0253471022cddb5bf554699bdddda2");
}

TEST(Pe, AnAlteredSignatureIsNobodys) {
  Bytes file = Data("sbsign.efi");
  const auto image = ParsePe(file);
  ASSERT_THAT(image, IsOk());
  const auto digest = SignedDigest(image->signatures[0]);
  ASSERT_THAT(digest, IsOk());
  Bytes signature = ToBytes(image->signatures[0]);
  const auto at =
      std::search(signature.begin(), signature.end(), digest->view().begin(), digest->view().end());
  ASSERT_NE(at, signature.end());
  *at ^= 1;
  EXPECT_FALSE(IsSignedBy(signature, Data("signer.der")));
  EXPECT_NE(*SignedDigest(signature), *digest);
  EXPECT_THAT(SignedDigest(ByteView(signature).first(40)), ::testing::Not(IsOk()));
}

TEST(Pe, ChecksumAndSignaturesAreNotInTheDigest) {
  Bytes file = BuildPe({{".text", Bytes(600, 1)}, {".data", Bytes(10, 2)}});
  const Digest before = ParsePe(file)->Authenticode(HashAlg::kSha256);
  PutU32(file, kOptional + 64, 0x12345678);
  EXPECT_EQ(ParsePe(file)->Authenticode(HashAlg::kSha256), before);
  PutU32(file, kCertificateEntry, static_cast<std::uint32_t>(file.size()));
  PutU32(file, kCertificateEntry + 4, 16);
  Writer w;
  w.U32Le(12).U16Le(0x200).U16Le(2).Put("abcd").Put(Bytes(4));
  const Bytes table = w.Take();
  file.insert(file.end(), table.begin(), table.end());
  const auto image = ParsePe(file);
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(image->Authenticode(HashAlg::kSha256), before);
  ASSERT_EQ(image->signatures.size(), 1U);
  EXPECT_EQ(AsText(image->signatures[0]), "abcd");
  // Of the rest every byte is.
  for (std::size_t at : {std::size_t{0x10}, kOptional + 4, std::size_t{512}, image->certificates_at - 1}) {
    Bytes other = file;
    other[at] ^= 1;
    EXPECT_NE(ParsePe(other)->Authenticode(HashAlg::kSha256), before) << at;
  }
}

TEST(Pe, SectionsHaveTheirContentWithoutTheFileSPadding) {
  const Bytes file = BuildPe({{".osrel", {1, 2, 3}}, {".linux", Bytes(513, 7)}});
  const auto image = ParsePe(file);
  ASSERT_THAT(image, IsOk());
  ASSERT_EQ(image->sections.size(), 2U);
  EXPECT_EQ(ToBytes(image->Find(".osrel")->content), (Bytes{1, 2, 3}));
  EXPECT_EQ(image->Find(".linux")->raw.size(), 1024U);
  EXPECT_EQ(image->Find(".linux")->content.size(), 513U);
  EXPECT_EQ(image->Find(".initrd"), nullptr);
}

TEST(Pe, WhatIsNoImageIsAnErrorWithItsPlace) {
  const Bytes good = BuildPe({{".text", Bytes(600, 1)}, {".data", Bytes(10, 2)}});
  const auto offset = [&](std::size_t at, std::uint32_t value) -> std::int64_t {
    Bytes bad = good;
    PutU32(bad, at, value);
    const auto image = ParsePe(bad);
    if (image) return -1;
    EXPECT_THAT(image, FailsWith("parse.pe"));
    return static_cast<std::int64_t>(image.error().As<ParseError>()->offset);
  };
  EXPECT_EQ(offset(0, 0), 0);                                   // no MZ
  EXPECT_EQ(offset(60, 0xFFFFFF), 60);                          // the PE header lies outside the file
  EXPECT_EQ(offset(64, 0), 64);                                 // no PE signature
  EXPECT_EQ(offset(kOptional, 0), kOptional);                   // neither PE32 nor PE32+
  EXPECT_EQ(offset(kOptional + 108, 15), kOptional + 108);      // directories do not fill the header
  EXPECT_EQ(offset(kOptional + 60, 1 << 20), kOptional + 60);   // SizeOfHeaders
  EXPECT_EQ(offset(kSections + 16, 512), kSections + 40);       // a gap before the second section
  EXPECT_EQ(offset(kSections + 40 + 20, 512), kSections + 40);  // two sections at one place
  EXPECT_EQ(offset(kSections + 40 + 16, 1 << 20), kSections + 40);
  EXPECT_EQ(offset(kCertificateEntry + 4, 8), kCertificateEntry);  // certificates not at the end
  for (std::size_t size = 0; size < good.size(); size += 7) {
    const auto image = ParsePe(ByteView(good).first(size));
    ASSERT_THAT(image, FailsWith("parse.pe")) << size;
    EXPECT_LE(image.error().As<ParseError>()->offset, size);
  }
}

TEST(Pe, AUnifiedImageHasItsSectionsInTheMeasuredOrder) {
  const Bytes file = Data("unified.efi");
  const auto image = ParsePe(file);
  ASSERT_THAT(image, IsOk());
  const auto uki = ReadUnifiedKernel(*image);
  ASSERT_THAT(uki, IsOk());
  ASSERT_EQ(uki->sections.size(), 4U);
  EXPECT_EQ(uki->sections[0]->name, ".linux");
  EXPECT_EQ(uki->sections[1]->name, ".osrel");
  EXPECT_EQ(uki->sections[2]->name, ".cmdline");
  EXPECT_EQ(uki->sections[3]->name, ".initrd");
  EXPECT_EQ(uki->stub, "systemd-stub 252.39-1~deb12u2");
  EXPECT_EQ(StubVersion(*uki), "252");
}

TEST(Pe, WhatAStubWouldChooseFromIsNotSupported) {
  const Bytes kernel = BuildPe({{".text", Bytes(4)}});
  const Bytes profiles = BuildPe({{".linux", kernel}, {".cmdline", {'a'}}, {".cmdline", {'b'}}});
  const auto image = ParsePe(profiles);
  ASSERT_THAT(image, IsOk());
  EXPECT_THAT(ReadUnifiedKernel(*image), FailsWith("uki.unsupported"));
  Bytes filled = BuildPe({{".linux", kernel}});
  PutU32(filled, kSections + 8, 1 << 16);  // VirtualSize
  EXPECT_THAT(ReadUnifiedKernel(*ParsePe(filled)), FailsWith("uki.unsupported"));
}

}  // namespace
}  // namespace assay::boot
