#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/log_event.h"

namespace assay::log {
namespace {

using namespace std::chrono_literals;

// Longer than anything here takes on a busy machine, and shorter than for ever.
constexpr auto kPatience = 60s;

// The log is the process's: each test has one of its own, and ends it as main() does. The child's stderr is
// left to the log. A child of a process with threads leaves by _exit: what those threads had looks leaked in
// it.
int InChild(const std::function<int()>& body, void (*end)(int) = exit) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(300);
    end(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-log.XXXXXX";
    dir_ = mkdtemp(name);
    file_ = dir_ + "/log";
  }
  void TearDown() override {
    unlink(file_.c_str());
    rmdir(dir_.c_str());
  }
  void MakeFifo() const { ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0); }
  std::string Text() const {
    std::ifstream in(file_);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string dir_, file_;
};

std::size_t CountOf(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// What is in a FIFO now, and what comes until `end` was read.
std::string ReadUntil(int fd, std::string_view end) {
  std::string text;
  std::array<char, 4096> part{};
  while (text.find(end) == std::string::npos) {
    const ssize_t n = read(fd, part.data(), part.size());
    if (n <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(n));
  }
  return text;
}

// Messages until the queue is full and some are dropped.
void Overflow(std::uint64_t drops) {
  const std::string filler(1000, 'x');
  for (std::uint64_t i = 0; State().dropped < drops; ++i) Info("message {} {}", i, filler);
}

TEST_F(LogTest, LinesAreEscapedOnesWithTimeAndLevel) {
  EXPECT_EQ(InChild([&] {
              if (!Init({.file = file_})) return 1;
              Debug("not said");
              Warn("a path\nof two lines");
              return 0;
            }),
            0);
  EXPECT_EQ(InChild([&] {
              if (!Init({.level = Level::kDebug, .json = true, .file = file_})) return 1;
              Debug("\"quoted\"");
              return 0;
            }),
            0);
  EXPECT_THAT(
      Text(),
      ::testing::MatchesRegex(
          "20[0-9-]+T[0-9:]+\\.[0-9][0-9][0-9]Z warning a path.u000aof two lines\n"
          ".\"time\":\"20[0-9-]+T[0-9:]+\\.[0-9]+Z\",\"level\":\"debug\",\"msg\":\".\"quoted.\"\"}\n"));
}

TEST_F(LogTest, AFileThatCantBeMadeIsAnError) { EXPECT_FALSE(Init({.file = "/proc/none/log"})); }

TEST_F(LogTest, AFileIsOpenedAnewWhileThreadsLog) {
  const std::string rotated = file_ + ".1";
  EXPECT_EQ(InChild([&] {
              if (!Init({.file = file_})) return 1;
              StartWriter();
              Info("before");
              if (!Drain(kPatience) || rename(file_.c_str(), rotated.c_str()) != 0) return 2;
              if (!Init({.file = file_})) return 3;
              Info("after");
              return Drain(kPatience) ? 0 : 4;
            }),
            0);
  EXPECT_THAT(Text(),
              testing::AllOf(testing::HasSubstr("after"), testing::Not(testing::HasSubstr("before"))));
  std::ifstream in(rotated);
  const std::string before{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(before,
              testing::AllOf(testing::HasSubstr("before"), testing::Not(testing::HasSubstr("after"))));
  unlink(rotated.c_str());
}

TEST_F(LogTest, LinesForTheJournalHaveTheirPriority) {
  EXPECT_EQ(InChild([&] {
              const Result<UniqueFd> journal = assay::Open(file_, O_WRONLY | O_CREAT);
              struct stat st{};
              if (!journal || dup2(journal->get(), STDERR_FILENO) < 0 || fstat(STDERR_FILENO, &st) != 0)
                return 1;
              setenv("JOURNAL_STREAM", fmt::format("{}:{}", st.st_dev, st.st_ino).c_str(), 1);
              if (!Init({.level = Level::kDebug, .json = false, .file = ""})) return 2;
              Error("e");
              Warn("w");
              Info("i");
              Debug("d");
              return 0;
            }),
            0);
  EXPECT_EQ(Text(), "<3>e\n<4>w\n<6>i\n<7>d\n");
}

TEST_F(LogTest, AnEventHasItsFieldsInJsonAndItsSentenceInText) {
  for (const bool json : {false, true})
    EXPECT_EQ(InChild([&] {
                if (!Init({.json = json, .file = file_})) return 1;
                WriteEvent(Level::kDebug, "quiet", {}, "not said");
                WriteEvent(Level::kWarn, "refused", {{"path", "/a\n\"b"}}, "refused /a\nb");
                return 0;
              }),
              0);
  EXPECT_THAT(Text(), ::testing::MatchesRegex(
                          "20[^ ]+Z warning refused /a.u000ab\n"
                          ".\"time\":\"20[^ ]+Z\",\"level\":\"warning\",\"msg\":\"refused /a.u000ab\","
                          "\"event\":\"refused\",\"path\":\"/a.u000a..b\"}\n"));
}

TEST_F(LogTest, APathCantAddAFieldToTheJournal) {
  const std::string datagram = JournalDatagram(
      Level::kError, "refused", {{"path", "/a\nASSAY_EVENT=other"}, {"program_digest", "sha256:00"}}, "a\nb");
  const std::string size("\x14\0\0\0\0\0\0\0", 8);
  EXPECT_EQ(datagram, fmt::format("MESSAGE=a\\u000ab\nPRIORITY=3\nSYSLOG_IDENTIFIER={}\nASSAY_EVENT=refused\n"
                                  "ASSAY_PATH\n{}/a\nASSAY_EVENT=other\nASSAY_PROGRAM_DIGEST=sha256:00\n",
                                  program_invocation_short_name, size));
}

TEST_F(LogTest, TheWriterKeepsTheOrderAndDrainWritesAll) {
  EXPECT_EQ(InChild([&] {
              if (!Init({.file = file_})) return 1;
              StartWriter();
              for (int i = 0; i < 2000; ++i) Info("message {}", i);
              return Drain(kPatience) && State().waiting == 0 && State().dropped == 0 ? 0 : 2;
            }),
            0);
  std::string expected = Text();
  std::size_t at = 0;
  for (int i = 0; i < 2000; ++i) {
    at = expected.find(" message " + std::to_string(i) + "\n", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

// Before the queue, the message that found the pipe full waited in write() for as long as nobody read.
TEST_F(LogTest, APipeThatNobodyReadsHoldsNobody) {
  MakeFifo();
  EXPECT_EQ(InChild([&] {
              if (!Init({.file = file_})) return 1;
              StartWriter();
              Overflow(100);
              if (State().waiting < 100) return 2;
              return Drain(100ms) ? 3 : 0;  // and neither does the end
            }),
            0);
}

TEST_F(LogTest, StderrIsNoDifferent) {
  EXPECT_EQ(InChild([&] {
              std::array<int, 2> ends{};
              if (pipe(ends.data()) != 0 || dup2(ends[1], STDERR_FILENO) < 0) return 1;
              StartWriter();
              Overflow(100);
              return 0;
            }),
            0);
}

TEST_F(LogTest, TheLossIsToldInItsPlaceWhenTheSinkTakesLinesAgain) {
  MakeFifo();
  EXPECT_EQ(InChild([&] {
              if (!Init({.file = file_})) return 1;
              StartWriter();
              Overflow(100);
              const std::uint64_t dropped = State().dropped;
              auto reader = Open(file_, O_RDONLY);
              if (!reader) return 2;
              std::string text = ReadUntil(reader->get(), "dropped before this line\n");
              Info("after");
              text += ReadUntil(reader->get(), " after\n");
              if (!Drain(kPatience) || State().dropped != dropped) return 3;
              const std::string told =
                  " warning " + std::to_string(dropped) + " message(s) were dropped before this line\n";
              const std::size_t at = text.find(told);
              if (at == std::string::npos || CountOf(text, "dropped before") != 1) return 4;
              // All that was not dropped stands before it, and only the last message after it.
              const std::size_t before = CountOf(text.substr(0, at), " message ");
              if (text.find(" message " + std::to_string(before - 1) + " ") > at) return 5;
              return CountOf(text.substr(at + told.size()), "\n") == 1 ? 0 : 6;
            }),
            0);
}

TEST_F(LogTest, WhatAFullDiskRefusesIsCounted) {
  EXPECT_EQ(InChild([&] {
              if (!Init({.file = "/dev/full"})) return 1;
              StartWriter();
              Info("lost");
              Info("lost too");
              return Drain(kPatience) && State().dropped == 2 ? 0 : 2;
            }),
            0);
}

TEST_F(LogTest, AChildWritesItsOwnMessagesAndNoneOfItsParents) {
  MakeFifo();
  EXPECT_EQ(InChild([&] {
              if (!Init({.file = file_})) return 1;
              StartWriter();
              Overflow(1);
              const int in_child = InChild(
                  [&] {
                    if (State().waiting != 0) return 1;
                    // The FIFO is full of the parent's messages: the child has another file.
                    if (!Init({.file = dir_ + "/child"})) return 2;
                    Info("of the child");
                    return Drain(0ms) ? 0 : 3;
                  },
                  _exit);
              std::ifstream in(dir_ + "/child");
              const std::string text{std::istreambuf_iterator<char>(in), {}};
              unlink((dir_ + "/child").c_str());
              if (in_child != 0) return in_child;
              return CountOf(text, "\n") == 1 && CountOf(text, "of the child") == 1 ? 0 : 10;
            }),
            0);
}

TEST_F(LogTest, ForksAmongThreadsThatLogHangNobody) {
  EXPECT_EQ(InChild([&] {
              if (!Init({.file = file_})) return 1;
              StartWriter();
              std::atomic<bool> stop{false};
              std::thread talker([&] {
                while (!stop) Info("on and on");
              });
              int failed = 0;
              for (int i = 0; i < 20 && failed == 0; ++i)
                failed = InChild(
                    [] {
                      Info("child");
                      return 0;
                    },
                    _exit);
              stop = true;
              talker.join();
              return failed;
            }),
            0);
  EXPECT_EQ(CountOf(Text(), " child\n"), 20U);
}

}  // namespace
}  // namespace assay::log
