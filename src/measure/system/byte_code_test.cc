#include "measure/system/byte_code.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/members_testing.h"

namespace assay::measure {
namespace {

constexpr const char* kCached = "/venv/lib/__pycache__/m.cpython-311.pyc";

// As marshal writes a code object, as far as it matters here: the path once as a text, then by references.
Bytes ByteCodeOf(const std::string& source, std::uint32_t time, const std::string& code = "code",
                 std::uint8_t type = 'z' | 0x80) {
  Writer w;
  w.U32Le(0x0a0d0da7).U32Le(0).U32Le(time).U32Le(77).Put(code).U8(type);
  if ((type & 0x5f) == 'Z')
    w.U8(static_cast<std::uint8_t>(source.size()));
  else
    w.U32Le(static_cast<std::uint32_t>(source.size()));
  w.Put(source).U8('r').U32Le(3).Put("end");
  return w.Take();
}

TEST(CodeDigest, IsTheSameAtEachPlaceAndTime) {
  const auto here = CodeDigest(ByteCodeOf("/venv/lib/m.py", 1), kCached);
  ASSERT_TRUE(here);
  EXPECT_EQ(CodeDigest(ByteCodeOf("/venv/lib/m.py", 2), kCached), here);
  EXPECT_EQ(CodeDigest(ByteCodeOf("/usr/m.py", 3), "/usr/__pycache__/m.cpython-311.pyc"), here);
  EXPECT_EQ(CodeDigest(ByteCodeOf("/venv/lib/m.py", 1, "code", 'Z' | 0x80), kCached), here);
  const std::string far = "/" + std::string(300, 'd');
  EXPECT_EQ(
      CodeDigest(ByteCodeOf(far + "/m.py", 3, "code", 'a' | 0x80), far + "/__pycache__/m.cpython-311.pyc"),
      here);
  const std::string other = "/\xc3\xa4";
  EXPECT_EQ(CodeDigest(ByteCodeOf(other + "/m.py", 3, "code", 'u' | 0x80),
                       other + "/__pycache__/m.cpython-311.pyc"),
            here);
}

TEST(CodeDigest, OfOtherCodeIsAnother) {
  const auto here = CodeDigest(ByteCodeOf("/venv/lib/m.py", 1), kCached);
  ASSERT_TRUE(here);
  EXPECT_NE(CodeDigest(ByteCodeOf("/venv/lib/m.py", 1, "forged"), kCached), here);
  EXPECT_NE(CodeDigest(ByteCodeOf("/elsewhere/m.py", 1), kCached), here)
      << "it says another path than its own";
  EXPECT_NE(CodeDigest(ByteCodeOf("/venv/lib/m.py", 1, "code", 'z'), kCached), here)
      << "no reference may follow";
  EXPECT_NE(CodeDigest(ByteCodeOf("/venv/lib/m.py", 1, "code", 's'), kCached), here) << "bytes, not a text";
  Bytes magic = ByteCodeOf("/venv/lib/m.py", 1);
  magic[0] ^= 1;
  EXPECT_NE(CodeDigest(magic, kCached), here);
  Bytes size = ByteCodeOf("/venv/lib/m.py", 1);
  size[12] ^= 1;
  EXPECT_NE(CodeDigest(size, kCached), here);
}

// A path is as long as its file's owner likes, so what follows it would be read from another place on.
TEST(CodeDigest, APathStandsForNothingElse) {
  const auto with = [](const std::string& code) {
    return CodeDigest(ByteCodeOf("/venv/lib/m.py", 1, code), kCached);
  };
  const std::string path = "z\x0e/venv/lib/m.py";
  for (const std::string& instead : {std::string("\x01\0", 2), std::string("\0", 1), std::string()})
    EXPECT_NE(with("pop" + instead + "top"), with("pop" + path + "top"));
  EXPECT_NE(with("pop" + path + "top"), with("poptop" + path));
  EXPECT_NE(with(path + path), with(path));
}

TEST(CodeDigest, IsOfByteCodeWithATimeStampOnly) {
  const Bytes good = ByteCodeOf("/venv/lib/m.py", 1);
  for (const char* path :
       {"/venv/lib/m.pyc", "/venv/lib/__pycache__/m.pyc", "/venv/lib/__pycache__/m.cpython-311.py",
        "/venv/lib/x__pycache__/m.cpython-311.pyc", "__pycache__/m.cpython-311.pyc", ""})
    EXPECT_FALSE(CodeDigest(good, path)) << path;
  EXPECT_FALSE(CodeDigest(ByteView(good).first(15), kCached));
  for (const std::uint8_t flags : {1, 2, 3}) {
    Bytes checked = good;
    checked[4] = flags;
    EXPECT_FALSE(CodeDigest(checked, kCached));
  }
}

TEST(ByteCodeRecord, EachMemberIsWrittenAndRead) {
  const ByteCodeRecord full{.path = kCached,
                            .digest = Digest::Filled(HashAlg::kSha256, 1),
                            .code = Digest::Filled(HashAlg::kSha256, 2)};
  ExpectEachMemberSet(full);
  EXPECT_EQ(ParseByteCode(EncodeByteCode(full)).value(), full);
  ByteCodeRecord blank = full;
  blank.path = "a b";
  EXPECT_EQ(ParseByteCode(EncodeByteCode(blank))->path, "a_b");
}

}  // namespace
}  // namespace assay::measure
