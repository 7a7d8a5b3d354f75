// A recorder under load, killed by SIGKILL at any instant: list and PCR agree after each restart, what was
// acknowledged is there, and nothing is there twice.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/result_testing.h"
#include "measure/record/recorder_testing.h"

namespace assay::measure {
namespace {

constexpr int kThreads = 4;
constexpr int kRoundsOfOneList = 100;  // then a new one: a restart reads the whole list

int Kills() {
  if (const char* text = std::getenv("ASSAY_KILLS")) return std::atoi(text);
#ifdef ASSAY_SANITIZED
  return 40;
#else
  return 500;
#endif
}

class RecorderKillTest : public RecorderTest {
 protected:
  // A process with a recorder. Each path that was acknowledged comes through the pipe; ends by a kill only.
  pid_t StartChild(int round, int out) {
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto tpm = tpm::Tpm::Connect(swtpm_.tcti());
    if (!tpm) _exit(3);
    auto recorder = Recorder::Open(options_, **tpm);
    if (!recorder) _exit(4);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0;; ++i) {
          const std::string path = fmt::format("/f{}.{}.{}", round, t, i);
          // A digest decides whether it may be grouped; one of 16 is a violation.
          const Result<Recorded> r = i % 16 == 5
                                         ? (*recorder)->RecordViolation(Violation::kOpenWriters, path, {})
                                         : (*recorder)->Record({DigestOf(path), path, {}});
          if (!r) _exit(5);
          const std::string line = path + "\n";
          if (write(out, line.data(), line.size()) < 0) _exit(6);
        }
      });
    for (std::thread& t : threads) t.join();
    _exit(7);
  }
  // What it acknowledged before it was killed.
  void Round(int round, std::chrono::microseconds life, std::set<std::string>& told) {
    Close();
    tpm_.reset();
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = StartChild(round, ends[1]);
    close(ends[1]);
    std::thread killer([&] {
      std::this_thread::sleep_for(life);
      kill(child, SIGKILL);
    });
    const Result<Bytes> text = ReadAll(ends[0], std::size_t{1} << 30);
    close(ends[0]);
    killer.join();
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "round " << round << ": the child ended with " << WEXITSTATUS(status);
    ASSERT_THAT(text, IsOk());
    const std::string_view lines = AsText(*text);
    for (std::size_t at = 0, end = 0; (end = lines.find('\n', at)) != std::string_view::npos; at = end + 1)
      told.emplace(lines.substr(at, end - at));
  }
  std::mt19937 random_{20041};
  std::chrono::microseconds Life() { return std::chrono::microseconds(3000 + random_() % 40'000); }
};

TEST_F(RecorderKillTest, LosesNothingAndDoublesNothing) {
  options_.group_ms = 3;
  options_.group_bytes = 4 << 10;
  const int kills = Kills();
  std::size_t promised = 0, unsaid = 0;
  for (int round = 0; round < kills;) {
    std::set<std::string> told;
    for (int i = 0; i < kRoundsOfOneList && round < kills; ++i, ++round) {
      ASSERT_NO_FATAL_FAILURE(Round(round, Life(), told));
      Open();
      const auto paths = CheckedPaths();  // the list replays to the PCR in each bank
      ASSERT_FALSE(HasFailure()) << "round " << round;
      const std::set<std::string> unique(paths.begin(), paths.end());
      ASSERT_EQ(unique.size(), paths.size()) << "something is there twice, round " << round;
      for (const std::string& path : told)
        ASSERT_TRUE(unique.contains(path)) << path << " was lost in round " << round;
      // Besides what was acknowledged, only what was under way: one entry of each thread and round.
      ASSERT_LE(paths.size(), told.size() + 1 + static_cast<std::size_t>((i + 1) * kThreads));
      unsaid += i + 1 == kRoundsOfOneList || round + 1 == kills ? paths.size() - 1 - told.size() : 0;
    }
    promised += told.size();
    ResetTpm();
    std::filesystem::remove_all(options_.dir);
  }
  std::printf(
      "killed %d times: %zu measurements were acknowledged and are there once, %zu more were under way\n",
      kills, promised, unsaid);
}

TEST_F(RecorderKillTest, AFullListCountsWhatItDoesNotKeep) {
  options_.group_ms = 3;
  options_.max_records = 40;
  const int kills = Kills() / 10;
  std::set<std::string> told;
  for (int round = 0; round < kills; ++round) {
    ASSERT_NO_FATAL_FAILURE(Round(round, Life() + std::chrono::milliseconds(30), told));
    Open();  // it would refuse a PCR that list and overflow file do not explain
    const RecorderState s = recorder_->State();
    ASSERT_LE(s.count, options_.max_records);
    ASSERT_THAT(recorder_->Quiesce([](const RecorderState&) -> Result<> { return {}; }), IsOk());
    auto list = MappedFile::Open(options_.dir + "/list");
    ASSERT_THAT(list, IsOk());
    auto replayed = ima::ReplayList(list->view(), HashAlg::kSha256, {HashAlg::kSha256});
    ASSERT_THAT(replayed, IsOk());
    ASSERT_EQ(replayed->count, s.count);
    // Every one that was acknowledged, boot_aggregate, and at most one under way for each thread and round.
    ASSERT_GE(s.entries, told.size() + 1);
    ASSERT_LE(s.entries, told.size() + 1 + static_cast<std::size_t>((round + 1) * kThreads));
  }
  EXPECT_GT(recorder_->State().overflow, 0U);
  std::printf("killed %d times with a full list: %zu acknowledged, %lu of them only in the PCR\n", kills,
              told.size(), static_cast<unsigned long>(recorder_->State().overflow));
}

// The instants that matter, each met exactly.
TEST_F(RecorderKillTest, AtEachNamedInstant) {
  options_.group_ms = 1;
  options_.group_bytes = 1 << 10;
  std::map<std::string, int> met;
  int round = 0;
  for (const std::uint64_t max : {std::uint64_t{1'000'000}, std::uint64_t{20}}) {
    options_.max_records = max;
    std::set<std::string> told;
    for (const char* instant : {"list.write", "list.written", "extended", "noted", "pending.write",
                                "pending.written", "overflow.write"}) {
      for (const int nth : {1, 2, 7}) {
        int left = nth;
        options_.fault = [&](std::string_view at) -> Result<> {
          if (at == instant && --left == 0) raise(SIGKILL);
          return {};
        };
        ++round;
        ASSERT_NO_FATAL_FAILURE(Round(round, std::chrono::milliseconds(60), told));
        options_.fault = nullptr;
        Open();
        if (max > 20) {
          const auto paths = CheckedPaths();
          ASSERT_FALSE(HasFailure()) << instant << " " << nth;
          const std::set<std::string> unique(paths.begin(), paths.end());
          ASSERT_EQ(unique.size(), paths.size()) << instant << " " << nth;
          for (const std::string& path : told) ASSERT_TRUE(unique.contains(path)) << instant << " " << nth;
        } else {
          const RecorderState s = recorder_->State();
          ASSERT_GE(s.entries, told.size() + 1);
          ASSERT_LE(s.entries, told.size() + 1 + static_cast<std::size_t>(round * kThreads));
        }
      }
    }
    Close();
    ResetTpm();
    std::filesystem::remove_all(options_.dir);
  }
}

// Killed while one group is in the list and not extended, and the next one has an entry already.
TEST_F(RecorderKillTest, WithTwoGroupsUnderWay) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest&) { return true; };
  Open();  // boot_aggregate
  Close();
  tpm_.reset();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Recorder* in_use = nullptr;
    options_.fault = [&](std::string_view at) -> Result<> {
      if (at != "list.written") return {};
      if (!in_use->Record({DigestOf("2"), "/second", {}})) _exit(3);
      raise(SIGKILL);
      return {};
    };
    auto tpm = tpm::Tpm::Connect(swtpm_.tcti());
    auto recorder = Recorder::Open(options_, **tpm);
    in_use = recorder->get();
    if (!in_use->Record({DigestOf("1"), "/first", {}})) _exit(4);
    std::ignore = in_use->Flush();
    _exit(5);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << "ended with " << WEXITSTATUS(status);
  ASSERT_TRUE(std::filesystem::exists(options_.dir + "/pending.1"));
  ASSERT_TRUE(std::filesystem::exists(options_.dir + "/pending.2"));
  Open();
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/first", "/second"}));
  EXPECT_FALSE(std::filesystem::exists(options_.dir + "/pending.1"));
  EXPECT_FALSE(std::filesystem::exists(options_.dir + "/pending.2"));
}

}  // namespace
}  // namespace assay::measure
