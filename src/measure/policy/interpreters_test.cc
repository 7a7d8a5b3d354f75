#include "measure/policy/interpreters.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "base/fd.h"
#include "base/result_testing.h"
#include "measure/system/file.h"

namespace assay::measure {
namespace {

using namespace std::string_view_literals;  // NOLINT(google-build-using-namespace): words end in NUL

class InterpretersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-interpreters.XXXXXX";
    dir_ = mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string File(const std::string& name, std::string_view content) {
    const std::string path = dir_ + "/" + name;
    std::ofstream(path) << content;
    return path;
  }
  // How `program`, started with these words, reads a file.
  Reading Of(Interpreter program, std::string_view words, const std::string& name,
             std::string_view content = "x\n") {
    const std::string path = File(name, content);
    const Result<UniqueFd> fd = Open(path, O_RDONLY);
    EXPECT_THAT(fd, IsOk());
    return ReadingOf(
        {.fd = fd->get(), .path = path, .opener = program, .words = words, .extensions = &extensions_});
  }
  Reading Marks(Interpreter program, const std::string& name, std::string_view content = "x\n") {
    const std::string path = File(name, content);
    const Result<UniqueFd> fd = Open(path, O_RDONLY);
    EXPECT_THAT(fd, IsOk());
    return ReadingOfMarks({.fd = fd->get(), .path = path, .opener = program, .extensions = &extensions_});
  }
  static Reading OfSystemFile(Interpreter program, const std::string& path, bool holds = true) {
    const Result<UniqueFd> fd = Open(path, O_RDONLY);
    EXPECT_THAT(fd, IsOk()) << path;
    return ReadingOf(
        {.fd = fd->get(), .path = path, .opener = program, .words = "x\0"sv, .path_holds = holds});
  }
  std::string dir_;
  std::vector<std::string> extensions_{".own"};
};

TEST_F(InterpretersTest, AreKnownByTheLastPartOfTheirName) {
  for (const char* shell :
       {"/bin/sh", "/usr/bin/dash", "/opt/x/bin/bash", "zsh", "/usr/lib/klibc/bin/sh.shared"})
    EXPECT_EQ(InterpreterNamed(shell), Interpreter::kShell) << shell;
  EXPECT_EQ(InterpreterNamed("/usr/bin/dash.distrib"),
            Interpreter::kShell);  // another program stands in for it
  EXPECT_EQ(InterpreterNamed("/usr/bin/python3.11"), Interpreter::kPython);
  EXPECT_EQ(InterpreterNamed("/home/u/venv/bin/python"), Interpreter::kPython);
  EXPECT_EQ(InterpreterNamed("/usr/bin/perl5.36-x86_64-linux-gnu"), Interpreter::kPerl);
  EXPECT_EQ(InterpreterNamed("/usr/lib/jvm/java-17/bin/java"), Interpreter::kJava);
  EXPECT_EQ(InterpreterNamed("/usr/bin/busybox"), Interpreter::kMultiCall);
  EXPECT_EQ(InterpreterNamed("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"), Interpreter::kLoader);
  for (const char* other :
       {"/usr/bin/tar", "/bin/cp", "/bin/cat", "/usr/bin/grep", "/usr/sbin/nginx", "/sh/x", ""})
    EXPECT_EQ(InterpreterNamed(other), Interpreter::kNone) << other;
}

TEST_F(InterpretersTest, WhatOthersReadIsData) {
  for (const char* name : {"a.py", "a.sh", "a.class", "Makefile", ".bashrc", "a.own"})
    EXPECT_EQ(Of(Interpreter::kNone, "tar\0"sv, name, "#!/bin/sh\n"), Reading::kDataHere) << name;
}

TEST_F(InterpretersTest, ByNameAndByMagicNumber) {
  constexpr std::string_view kWords = "x\0-c\0y\0"sv;
  EXPECT_EQ(Of(Interpreter::kPython, kWords, "a.py"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kPython, kWords, "a.own"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kPython, kWords, "a.txt"), Reading::kDataHere);
  EXPECT_EQ(Of(Interpreter::kPython, kWords, "a", "#!/x\n"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kPython, kWords, "a", "\xa7\x0d\r\n\0\0\0\0"sv), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kPython, kWords, "a", "PK\3\4rest"sv), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kPython, kWords, "a.js"), Reading::kDataHere);
  EXPECT_EQ(Of(Interpreter::kSed, "sed\0-i\0s/a/b/\0a.own\0"sv, "a.own", "#!/bin/sh\n"), Reading::kDataHere);
  EXPECT_EQ(Of(Interpreter::kEditor, "vim\0a.own\0"sv, "a.own", "#!/bin/sh\n"), Reading::kDataHere);
  EXPECT_EQ(Of(Interpreter::kNode, kWords, "a.mjs"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kNode, kWords, "package.json"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kJava, kWords, "A.class"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kJava, kWords, "a", "\xCA\xFE\xBA\xBE\0\0"sv), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kLua, kWords, "a", "\x1BLuaS"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kLisp, kWords, "a", ";ELC"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kUnknown, kWords, "a"), Reading::kCode);  // the opener has ended and is unknown
}

TEST_F(InterpretersTest, TheFileThatTheCommandLineNames) {
  const auto of = [&](Interpreter p, std::string_view words) { return Of(p, words, "f"); };
  EXPECT_EQ(of(Interpreter::kPython, "python3\0dir/f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kPython, "python3\0-W\0ignore\0-B\0f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kPython, "python3\0-BW\0f\0x\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kPython, "python3\0--\0f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kPython, "python3\0x.py\0f\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kPython, "python3\0-Ic\0text\0f\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kPython, "python3\0--check-hash-based-pycs\0f\0x\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kPython, ""), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kPerl, "perl\0-w\0-I\0x\0f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kPerl, "perl\0-ne\0print\0f\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kNode, "node\0--require\0f\0x.js\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kNode, "node\0--import=./f\0x.js\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kNode, "node\0--eval\0text\0f\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kAwk, "awk\0-F:\0-f\0f\0data\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kAwk, "awk\0-ff\0data\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kAwk, "awk\0--file=f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kAwk, "awk\0-f\0prog\0f\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kAwk, "awk\0{ print }\0f\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kSed, "sed\0-n\0-f\0f\0data\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kPhp, "php\0-f\0f\0"sv), Reading::kCode);
}

TEST_F(InterpretersTest, TheScriptOfACommandLineIsForPeople) {
  EXPECT_EQ(ScriptOf("/usr/bin/dash", "/bin/sh\0-e\0/usr/sbin/update-ca-certificates\0--fresh\0"sv),
            "/usr/sbin/update-ca-certificates");
  EXPECT_EQ(ScriptOf("/usr/bin/bash", "bash\0-o\0pipefail\0./x\0y\0"sv), "./x");
  EXPECT_EQ(ScriptOf("/usr/bin/python3.11", "python3\0-W\0ignore\0-B\0dir/f\0secret\0"sv), "dir/f");
  EXPECT_EQ(ScriptOf("/usr/bin/busybox", "busybox\0sh\0/x\0"sv), "/x");
  EXPECT_EQ(ScriptOf("/usr/bin/perl", "perl\0-w\0/usr/bin/a\0"sv), "/usr/bin/a");
  for (const std::string_view none :
       {""sv, "sh\0"sv, "-bash\0"sv, "sh\0-c\0a text\0"sv, "bash\0-lc\0a text\0"sv, "sh\0/cut"sv})
    EXPECT_EQ(ScriptOf("/usr/bin/bash", none), "");
  EXPECT_EQ(ScriptOf("/usr/bin/cmake", "cmake\0-B\0b\0.\0"sv), "") << "no interpreter";
  EXPECT_EQ(ScriptOf("", "x\0y\0"sv), "");
}

TEST_F(InterpretersTest, ACommandLineThatCannotBeToldIsNoExcuse) {
  const std::string path = File("f", "x\n");
  const Result<UniqueFd> fd = Open(path, O_RDONLY);
  Opened file{.fd = fd->get(), .path = path, .opener = Interpreter::kPython};
  EXPECT_EQ(ReadingOf(file), Reading::kCode);
  file.words = "python3\0-B\0-W\0igno"sv;
  file.words_cut = true;
  EXPECT_EQ(ReadingOf(file), Reading::kCode);
  file.words = "python3\0-c\0a text that goes o"sv;
  EXPECT_EQ(ReadingOf(file), Reading::kDataHere);
}

TEST_F(InterpretersTest, ShellsTakeAnyFileForCode) {
  for (const char* name : {"data", ".bashrc", "x.txt", "x.pid", "sh-thd.1"})
    EXPECT_EQ(Of(Interpreter::kShell, "bash\0-c\0:\0"sv, name), Reading::kCode) << name;
  EXPECT_EQ(Of(Interpreter::kMake, "make\0"sv, "x.d"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kShell, "-bash\0"sv, ".bash_history"), Reading::kDataHere);
  EXPECT_EQ(Of(Interpreter::kShell, "bash\0-i\0"sv, ".bash_history"), Reading::kDataHere);
  EXPECT_EQ(Of(Interpreter::kShell, "bash\0.bash_history\0"sv, ".bash_history"), Reading::kCode);
  EXPECT_EQ(Of(Interpreter::kShell, "bash\0-lc\0. .bash_history\0"sv, ".bash_history"), Reading::kCode);
  const std::string path = File("sh-thd.2", "x\n");
  const Result<UniqueFd> fd = Open(path, O_RDONLY);
  EXPECT_EQ(ReadingOf({.fd = fd->get(), .path = path, .opener = Interpreter::kShell, .own_output = true}),
            Reading::kDataHere);
}

TEST_F(InterpretersTest, WellKnownDataIsRootsAndUnderItsOwnName) {
  EXPECT_EQ(OfSystemFile(Interpreter::kShell, "/etc/passwd"), Reading::kData);
  EXPECT_EQ(OfSystemFile(Interpreter::kPython, "/etc/nsswitch.conf"), Reading::kData);
  // A task with mounts of its own: the very file, and another one at its path.
  EXPECT_EQ(OfSystemFile(Interpreter::kShell, "/etc/passwd", false), Reading::kData);
  const Result<UniqueFd> other = Open("/etc/os-release", O_RDONLY);
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(
      ReadingOf({.fd = other->get(), .path = "/etc/passwd", .opener = Interpreter::kShell, .words = "x\0"sv}),
      Reading::kCode);
  EXPECT_EQ(OfSystemFile(Interpreter::kShell, "/etc/profile"), Reading::kCode);
  EXPECT_EQ(OfSystemFile(Interpreter::kShell, "/etc/os-release"), Reading::kCode);  // shells source it
  struct stat st{};
  const std::string path = File("f", "x\n");
  const Result<UniqueFd> fd = Open(path, O_RDONLY);
  ASSERT_EQ(fstat(fd->get(), &st), 0);
  EXPECT_EQ(
      ReadingOf({.fd = fd->get(), .path = path, .opener = Interpreter::kShell, .measured_device = st.st_dev}),
      Reading::kData);
}

TEST_F(InterpretersTest, SomeProgramsAreWhatTheirWordsSay) {
  const auto of = [&](Interpreter p, std::string_view words) { return Of(p, words, "f"); };
  EXPECT_EQ(of(Interpreter::kMultiCall, "sh\0-c\0:\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kMultiCall, "-ash\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kMultiCall, "/bin/busybox\0sh\0f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kMultiCall, "busybox\0awk\0-f\0f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kMultiCall, "busybox\0awk\0{}\0f\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kMultiCall, "cat\0f\0"sv), Reading::kDataHere);
  EXPECT_EQ(of(Interpreter::kMultiCall, ""), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kLoader, "ld.so\0--library-path\0sh\0/bin/python3\0f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kLoader, "ld.so\0/bin/dash\0f\0"sv), Reading::kCode);
  EXPECT_EQ(of(Interpreter::kLoader, "ld.so\0/bin/cat\0f\0"sv), Reading::kDataHere);
}

TEST_F(InterpretersTest, MarksAloneWhereNothingElseCanBeTold) {
  EXPECT_EQ(Marks(Interpreter::kNone, "a", "#!/bin/sh\n"), Reading::kCode);
  EXPECT_EQ(Marks(Interpreter::kNone, "a.own"), Reading::kCode);
  EXPECT_EQ(Marks(Interpreter::kNone, "a"), Reading::kData);
  EXPECT_EQ(Marks(Interpreter::kNone, "a.js"), Reading::kDataHere);  // node may open it next
  EXPECT_EQ(Marks(Interpreter::kNode, "a.js"), Reading::kCode);
  EXPECT_EQ(Marks(Interpreter::kPython, "a.js"), Reading::kDataHere);
  EXPECT_EQ(Marks(Interpreter::kUnknown, "a.js"), Reading::kCode);
  EXPECT_EQ(Marks(Interpreter::kPython, "m.cpython-311.pyc", "\xa7\x0d\r\n"), Reading::kCode);
  EXPECT_EQ(Marks(Interpreter::kPython, "a"), Reading::kData);
  EXPECT_EQ(Marks(Interpreter::kShell, ".bashrc"), Reading::kCode);
  EXPECT_EQ(Marks(Interpreter::kShell, "settings"), Reading::kCode);
  EXPECT_EQ(Marks(Interpreter::kNone, ".bashrc"), Reading::kDataHere);
}

TEST_F(InterpretersTest, CopiesAreKnownByTheirContent) {
  Programs programs({dir_, dir_ + "/not-there"});
  const auto of = [&](const std::string& path) {
    const Result<UniqueFd> fd = Open(path, O_RDONLY);
    std::uint64_t bytes = 0;
    const Result<Digest> digest = HashFd(fd->get(), HashAlg::kSha256, &bytes);
    return programs.Of(path, bytes, &*digest);
  };
  const std::string copy = File("copy", "an interpreter"), other = File("other", "an interpretes");
  EXPECT_EQ(of(copy), Interpreter::kNone);
  File("lua5.4", "an interpreter");
  EXPECT_EQ(of(copy), Interpreter::kLua);
  EXPECT_EQ(of(other), Interpreter::kNone);
  EXPECT_EQ(programs.Of(copy, 14, nullptr), Interpreter::kNone);
  EXPECT_EQ(programs.Of("/x/lua5.4", 1, nullptr), Interpreter::kLua);
}

}  // namespace
}  // namespace assay::measure
