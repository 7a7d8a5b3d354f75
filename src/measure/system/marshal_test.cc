#include "measure/system/marshal.h"

#include <gtest/gtest.h>

#include <string>

namespace assay::measure {
namespace {

std::string Without(const std::string& object) {
  return std::string(AsText(WithoutInternedMarks(AsBytes(object))));
}
std::string Number(std::uint32_t n) {
  Writer w;
  w.U32Le(n);
  return std::string(AsText(w.bytes()));
}
// A code object of these constants, whose instructions look like an interned text.
std::string CodeOf(const std::string& constants) {
  const std::string empty(")\0", 2), bytes = "s" + Number(3) + "Z\x01{";
  return "\xe3" + std::string(20, '\1') + bytes + constants + empty + empty + bytes + "\xfa\x01m" +
         "\xda\x01m" + "r" + Number(1) + Number(7) + bytes + bytes;
}

TEST(InternedMarks, AreTakenFromShortTexts) {
  EXPECT_EQ(Without("Z\x01{"), "z\x01{");
  EXPECT_EQ(Without("\xda\x01{"), "\xfa\x01{") << "it may still be referred to";
  EXPECT_EQ(Without(std::string("Z\0", 2)), std::string("z\0", 2));
  EXPECT_EQ(Without("\xf4" + Number(2) + "\xc3\xa4"), "\xf5" + Number(2) + "\xc3\xa4");
  EXPECT_EQ(Without(")\x02Z\x01{Z\x01}"), ")\x02z\x01{z\x01}");
  EXPECT_EQ(Without(">" + Number(1) + "Z\x01{"), ">" + Number(1) + "z\x01{");
}

TEST(InternedMarks, AreKeptElsewhere) {
  for (const std::string& object :
       {std::string("Z\x02{}"), "t" + Number(2) + "\xc4\x80", "t" + Number(2) + "ab",
        "s" + Number(3) + "Z\x01{", "i" + Number(0x7b015a), "l" + Number(2) + "Z\x01{}",
        std::string("gZ\x01{12345"), "l" + Number(static_cast<std::uint32_t>(-2)) + "Z\x01{}",
        std::string("yZ\x01{1234567890123")})
    EXPECT_EQ(Without(object), object);
}

TEST(InternedMarks, OfACodeObjectAreThoseOfItsTexts) {
  const std::string marked = CodeOf(")\x03Z\x01{N" + CodeOf(")\x01\xda\x01}"));
  std::string plain = CodeOf(")\x03z\x01{N" + CodeOf(")\x01\xfa\x01}"));
  for (std::size_t at = 0; (at = plain.find("\xda\x01m", at)) != std::string::npos;) plain[at] = '\xfa';
  EXPECT_EQ(Without(marked), plain);
}

TEST(InternedMarks, AreKeptInWhatIsNoWholeObject) {
  const std::string good = "(" + Number(2) + "Z\x01{N";
  EXPECT_NE(Without(good), good);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(Without(good.substr(0, size)), good.substr(0, size));
  EXPECT_EQ(Without(good + "N"), good + "N");
  for (const char* unknown : {"[", "{", "<", "S", "I", "f", "x", "?", "0"}) {
    const std::string object = std::string(")\x02Z\x01{") + unknown;
    EXPECT_EQ(Without(object), object) << "type " << unknown;
  }
  const std::string endless = ")\x02Z\x01{(" + Number(0xffffffff);
  EXPECT_EQ(Without(endless), endless);
  std::string deep = ")\x02Z\x01{";
  for (int i = 0; i < 100000; ++i) deep += ")\x01";
  EXPECT_EQ(Without(deep + "N"), deep + "N");
}

}  // namespace
}  // namespace assay::measure
