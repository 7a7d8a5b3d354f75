// The byte code of packaged sources that are installed anew elsewhere, as in a virtual environment.
#include "reference/byte_code.h"

#include <filesystem>

#include "base/fd.h"
#include "measure/system/byte_code.h"
#include "reference/reference_testing.h"

namespace assay::reference {
namespace {

constexpr const char* kPython = "/usr/bin/python3";

class ByteCodeTest : public ReferenceFixture {
 protected:
  void SetUp() override {
    ReferenceFixture::SetUp();
    python_ = FindPython(kPython);
    if (!python_.unavailable.empty()) GTEST_SKIP() << python_.unavailable;
  }
  // Python's own byte code of a source that is written now; where it lies, and its content.
  std::pair<std::string, Bytes> Compiled(const std::string& path, const std::string& source) {
    Put(path, source);
    const auto o = RunProgram({kPython, "-m", "py_compile", dir_ + path}, dir_);
    EXPECT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
    const std::filesystem::path at = dir_ + path;
    const std::string cached =
        (at.parent_path() / "__pycache__" / (at.stem().string() + "." + python_.tag + ".pyc")).string();
    const Result<Bytes> content = ReadFile(cached, 1 << 20);
    EXPECT_THAT(content, IsOk());
    return {cached, content ? *content : Bytes()};
  }
  Python python_;
};

constexpr const char* kSource =
    "import os\nx = {'a', 'b'}\ndef f(y):\n  'docs'\n  return [lambda: y, __file__]\n";

TEST_F(ByteCodeTest, IsKnownAtEachPlaceAndTime) {
  Put("/app/m.py", kSource);
  std::filesystem::last_write_time(dir_ + "/app/m.py",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(48));
  Builder b;
  b.UseByteCode(kPython);
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  const auto index = Written(b);
  for (const std::string& where : {std::string("/venv/lib/m.py"), "/" + std::string(250, 'd') + "/m.py",
                                   std::string("/\xc3\xa4/m.py")}) {
    const auto [path, content] = Compiled(where, kSource);
    EXPECT_TRUE(index->Find(Hash(HashAlg::kSha256, content)).empty()) << "another time stamp";
    const auto code = measure::CodeDigest(content, path);
    ASSERT_TRUE(code) << path;
    const auto origins = index->Find(*code);
    ASSERT_EQ(origins.size(), 1U) << path;
    EXPECT_EQ(origins[0].path, dir_ + "/app/__pycache__/m." + python_.tag + ".pyc");
  }
  const auto [path, forged] = Compiled("/venv/other/m.py", std::string(kSource) + "print('forged')\n");
  const auto code = measure::CodeDigest(forged, path);
  ASSERT_TRUE(code);
  EXPECT_TRUE(index->Find(*code).empty());
}

// Other modules of the process that compiles it have used these texts as names.
TEST_F(ByteCodeTest, IsKnownWhateverTheProcessHadInterned) {
  const std::string source = "x = '{'\ny = [x + '}', '\u00e4', '', b'Z\\x01{', 'a b']\n";
  Put("/app/m.py", source);
  Builder b;
  b.UseByteCode(kPython);
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  const auto index = Written(b);
  Put("/venv/m.py", source);
  const auto o = RunProgram({kPython, "-c",
                             "import py_compile, sys\nfor c in ('{', '}', '\u00e4', ''): sys.intern(c)\n"
                             "py_compile.compile(sys.argv[1])",
                             dir_ + "/venv/m.py"},
                            dir_);
  ASSERT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
  const std::string interned = dir_ + "/venv/__pycache__/m." + python_.tag + ".pyc";
  const auto content = ReadFile(interned, 1 << 20);
  ASSERT_THAT(content, IsOk());
  const auto [path, plain] = Compiled("/venv/m.py", source);
  EXPECT_NE(ToBytes(ByteView(*content).subspan(16)), ToBytes(ByteView(plain).subspan(16))) << "they differ";
  for (const Bytes& each : {*content, plain}) {
    const auto code = measure::CodeDigest(each, path);
    ASSERT_TRUE(code);
    EXPECT_EQ(index->Find(*code).size(), 1U);
  }
}

TEST_F(ByteCodeTest, OfTheFilesOfAWheel) {
  Put("/w/pip/m.py", kSource);
  Put("/w/hook.pth", "import os\n");
  std::filesystem::create_directories(dir_ + "/one/usr/share/python-wheels");
  const auto o = RunProgram(
      {kPython, "-m", "zipfile", "-c", dir_ + "/one/usr/share/python-wheels/pip.whl", "pip", "hook.pth"},
      dir_ + "/w");
  ASSERT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
  Put("/one/usr/share/python-wheels/damaged.whl", "PK\x03\x04 no archive");
  Builder b;
  b.UseByteCode(kPython);
  ASSERT_THAT(b.AddDeb(MakeDeb("one", "1")), IsOk());
  ASSERT_THAT(b.AddFolder(dir_ + "/one/usr", "folder", "1"), IsOk());
  const auto index = Written(b);
  for (const std::string& content : {std::string(kSource), std::string("import os\n")}) {
    const auto origins = index->Find(DigestOf(content));
    ASSERT_EQ(origins.size(), 2U) << content;
    EXPECT_EQ(origins[0].path.find(".whl/") != std::string::npos, true) << origins[0].path;
  }
  const auto [path, content] = Compiled("/venv/m.py", kSource);
  const auto code = measure::CodeDigest(content, path);
  ASSERT_TRUE(code);
  const auto origins = index->Find(*code);
  ASSERT_EQ(origins.size(), 2U);
  EXPECT_TRUE(index->FindPath("/usr/share/python-wheels/pip.whl/pip/__pycache__/m." + python_.tag + ".pyc"));
  EXPECT_TRUE(index->FindPath("/usr/share/python-wheels/damaged.whl"));
}

}  // namespace
}  // namespace assay::reference
