// What happens around the recorder: a full tmpfs, a file that may not grow, a TPM whose connection breaks in
// the middle of an extend, and very many measurements.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "base/result_testing.h"
#include "measure/node/fs.h"
#include "measure/record/recorder_testing.h"
#include "measure/system/mount_testing.h"

namespace assay::measure {
namespace {

// Stands between a TPM's user and swtpm, and breaks the connection at an extend: before the command is passed
// on, or after it was executed and before its answer is.
class BreakingProxy {
 public:
  enum class When { kNever, kBefore, kAfter };
  BreakingProxy(const std::string& front, const std::string& back) {
    for (const char* suffix : {"", ".ctrl"}) {
      const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_un at = Address(front + suffix);
      EXPECT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
      EXPECT_EQ(listen(listener, 8), 0);
      listeners_.emplace_back(listener);
      threads_.emplace_back([this, listener, to = back + suffix] { Accept(listener, to); });
    }
  }
  ~BreakingProxy() {
    stop_ = true;
    for (std::thread& t : threads_) t.join();
  }
  void BreakNextExtend(When when) { when_ = when; }

 private:
  static sockaddr_un Address(const std::string& path) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    path.copy(a.sun_path, sizeof(a.sun_path) - 1);
    return a;
  }
  void Accept(int listener, const std::string& to) {
    while (!stop_) {
      pollfd wait{.fd = listener, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, 50) != 1) continue;
      const UniqueFd client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
      const UniqueFd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_un at = Address(to);
      if (connect(server.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0) continue;
      Relay(client.get(), server.get());  // one connection at a time, like swtpm
    }
  }
  // TPM2_PCR_Extend: u16 tag | u32 size | u32 0x182, big-endian.
  static bool IsExtend(ByteView b) {
    return b.size() >= 10 && b[6] == 0 && b[7] == 0 && b[8] == 1 && b[9] == 0x82;
  }
  void Relay(int client, int server) {
    std::array<std::uint8_t, 8192> buffer;
    bool break_at_answer = false;
    while (!stop_) {
      std::array<pollfd, 2> wait{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
      if (poll(wait.data(), wait.size(), 50) <= 0) continue;
      for (int side = 0; side < 2; ++side) {
        if (wait[static_cast<std::size_t>(side)].revents == 0) continue;
        const ssize_t n = read(side == 0 ? client : server, buffer.data(), buffer.size());
        if (n <= 0) return;
        const ByteView data(buffer.data(), static_cast<std::size_t>(n));
        if (side == 0 && IsExtend(data) && when_ != When::kNever) {
          if (when_.exchange(When::kNever) == When::kBefore) return;
          break_at_answer = true;
        }
        if (side == 1 && break_at_answer) return;
        if (!WriteAll(side == 0 ? server : client, data)) return;
      }
    }
  }
  std::atomic<bool> stop_{false};
  std::atomic<When> when_{When::kNever};
  std::vector<UniqueFd> listeners_;
  std::vector<std::thread> threads_;
};

class RecorderFaultTest : public RecorderTest {
 protected:
  static void SetUpTestSuite() { EnterPrivateMounts(); }
  void TearDown() override {
    recorder_.reset();
    umount2((dir_ + "/list").c_str(), MNT_DETACH);
    umount2((dir_ + "/ima").c_str(), MNT_DETACH);
    RecorderTest::TearDown();
  }
  // Records until it fails; what was acknowledged.
  std::set<std::string> RecordUntilItFails(int most) {
    std::set<std::string> told;
    for (int i = 0; i < most; ++i) {
      const std::string path = fmt::format("/usr/bin/{}/program{}", std::string(60, 'p'), i);
      if (!recorder_->Record({DigestOf(path), path, {}})) return told;
      told.insert(path);
    }
    ADD_FAILURE() << "it did not fail";
    return told;
  }
  void CheckAll(const std::set<std::string>& told) {
    ASSERT_THAT(recorder_->Flush(), IsOk());
    const auto paths = CheckedPaths();
    const std::set<std::string> unique(paths.begin(), paths.end());
    for (const std::string& path : told) ASSERT_TRUE(unique.contains(path)) << path << " was lost";
  }
};

TEST_F(RecorderFaultTest, AFullTmpfs) {
  std::filesystem::create_directory(options_.dir);
  ASSERT_EQ(mount("tiny", options_.dir.c_str(), "tmpfs", 0, "size=384k"), 0);
  for (const bool synchronous : {true, false}) {
    options_.synchronous = synchronous;
    Open();
    const std::set<std::string> told = RecordUntilItFails(20'000);
    EXPECT_GT(told.size(), 100U);
    EXPECT_TRUE(recorder_->State().degraded);
    // It is full still; only an open group, which has its room in the list, may be got rid of.
    if (synchronous) {
      EXPECT_THAT(recorder_->Recover(), ::testing::Not(IsOk()));
      EXPECT_THAT(recorder_->Record({DigestOf("x"), "/x", {}}), ::testing::Not(IsOk()));
    }
    // Killed or stopped now, the list still explains the PCR.
    Close();
    Open();
    for (const std::string& path : CheckedPaths()) ASSERT_FALSE(path.empty());
    Close();
    ASSERT_EQ(mount("tiny", options_.dir.c_str(), "tmpfs", MS_REMOUNT, "size=8m"), 0);
    Open();
    Add("/x", "x");
    CheckAll(told);
    Close();
    ResetTpm();
    for (const auto& file : std::filesystem::directory_iterator(options_.dir)) std::filesystem::remove(file);
    ASSERT_EQ(mount("tiny", options_.dir.c_str(), "tmpfs", MS_REMOUNT, "size=384k"), 0);
  }
}

TEST_F(RecorderFaultTest, AFullTmpfsThatGetsRoomAgain) {
  std::filesystem::create_directory(options_.dir);
  ASSERT_EQ(mount("tiny", options_.dir.c_str(), "tmpfs", 0, "size=512k"), 0);
  Open();
  const std::set<std::string> told = RecordUntilItFails(20'000);
  EXPECT_THAT(recorder_->Record({DigestOf("late"), "/late", {}}), ::testing::Not(IsOk()));
  ASSERT_EQ(mount("tiny", options_.dir.c_str(), "tmpfs", MS_REMOUNT, "size=8m"), 0);
  ASSERT_THAT(recorder_->Recover(), IsOk());
  EXPECT_FALSE(recorder_->State().degraded);
  EXPECT_EQ(recorder_->State().violations, 2U);  // the one that failed, and /late
  EXPECT_TRUE(Add("/late", "late").is_new);
  CheckAll(told);
}

TEST_F(RecorderFaultTest, AListThatMayNotGrow) {
  options_.synchronous = true;
  Open();
  for (int i = 0; i < 50; ++i) Add("/f" + std::to_string(i), std::to_string(i));
  signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit tight = old;
  tight.rlim_cur = recorder_->State().list_bytes + 17;  // a part of the next record can be written
  setrlimit(RLIMIT_FSIZE, &tight);
  const auto refused = recorder_->Record({DigestOf("x"), "/x", {}});
  const auto still = recorder_->Recover();
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_THAT(refused, ::testing::Not(IsOk()));
  EXPECT_THAT(still, ::testing::Not(IsOk()));
  EXPECT_EQ(std::filesystem::file_size(options_.dir + "/list"), recorder_->State().list_bytes);
  ASSERT_THAT(recorder_->Recover(), IsOk());
  EXPECT_TRUE(Add("/x", "x").is_new);
  EXPECT_EQ(CheckedPaths().size(), 53U);  // boot_aggregate, 50, and /x as unmeasurable and as measured
}

TEST_F(RecorderFaultTest, AConnectionThatBreaksInAnExtend) {
  const std::string front = dir_ + "/tpm.sock";
  BreakingProxy proxy(front, dir_ + "/run/swtpm.sock");
  options_.known = [](const Digest& d) { return d == DigestOf("known"); };
  options_.group_ms = 60'000;
  options_.max_records = 13;  // the last rounds meet a full list
  auto tpm = tpm::Tpm::Connect("swtpm:path=" + front);
  ASSERT_THAT(tpm, IsOk());
  tpm_ = std::move(*tpm);
  ASSERT_NO_FATAL_FAILURE(OpenRecorder());
  std::uint64_t entries = 1, violations = 0;
  for (int i = 0; i < 4; ++i) {
    for (const auto when : {BreakingProxy::When::kBefore, BreakingProxy::When::kAfter}) {
      const std::string path = fmt::format("/{}.{}", i, static_cast<int>(when));
      const bool kept = recorder_->State().count < options_.max_records;
      const bool with_group = kept && i == 1;
      if (with_group) Add(path + ".grouped", "known");
      proxy.BreakNextExtend(when);
      auto r = recorder_->Record({DigestOf(path), path, {}});
      ASSERT_THAT(r, FailsWith("recorder.degraded"));
      EXPECT_THAT(recorder_->Record({DigestOf("other"), path + ".other", {}}), ::testing::Not(IsOk()));
      auto recovered = recorder_->Recover();
      ASSERT_THAT(recovered, IsOk()) << path;
      ASSERT_FALSE(recorder_->State().degraded);
      // What was under way is there; what came meanwhile is named as unmeasurable. A group that was under way
      // took the place of what came behind it.
      entries += 2 + (with_group ? 1 : 0);
      violations += 1 + (with_group ? 1 : 0);
      EXPECT_EQ(recorder_->State().entries, entries) << path;
      EXPECT_EQ(recorder_->State().violations, violations) << path;
      const bool open = recorder_->State().overflow == 0;
      if (open) CheckedPaths();
      ASSERT_THAT(recorder_->Quiesce([](const RecorderState&) -> Result<> { return {}; }), IsOk()) << path;
    }
  }
  EXPECT_GT(recorder_->State().overflow, 0U);
  recorder_.reset();
  tpm_.reset();
}

TEST_F(RecorderFaultTest, ATpmThatWasResetMeanwhile) {
  options_.synchronous = true;
  Open();
  Add("/a", "1");
  ASSERT_THAT(swtpm_.Stop(), IsOk());
  EXPECT_THAT(recorder_->Record({DigestOf("2"), "/b", {}}), ::testing::Not(IsOk()));
  EXPECT_THAT(recorder_->Recover(), ::testing::Not(IsOk())) << "there is no TPM";
  machine_.Start();
  auto r = recorder_->Recover();
  ASSERT_THAT(r, ::testing::Not(IsOk()));
  EXPECT_TRUE(recorder_->State().degraded_reason.starts_with("recorder.pcr-reset"));
}

// The whole of recorder and file system in a process of its own, whose peak is looked at.
TEST_F(RecorderFaultTest, ManyMeasurementsInBoundedMemory) {
#ifdef ASSAY_SANITIZED
  constexpr int kMany = 5'000;
#else
  constexpr int kMany = 100'000;
#endif
  std::filesystem::create_directory(options_.dir);
  ASSERT_EQ(mount("list", options_.dir.c_str(), "tmpfs", 0, "size=256m"), 0);
  options_.known = [](const Digest& d) { return d.view()[0] >= 0x20; };  // 7 of 8
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  // Twice: once to record, once to start with what is there.
  for (const bool again : {false, true}) {
    malloc_trim(0);  // what earlier tests freed would count as the child's
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      auto tpm = tpm::Tpm::Connect(swtpm_.tcti());
      auto recorder = Recorder::Open(options_, **tpm);
      if (!recorder) _exit(3);
      FsOptions o;
      o.mount_point = dir_ + "/ima";
      o.banks = *(*tpm)->ActiveBanks(10);
      auto fs = Fs::Mount(std::move(o), **recorder, recorder->get());
      if (!fs) _exit(4);
      for (int i = 0; i < kMany; ++i) {
        const std::string path = fmt::format("/usr/lib/x86_64-linux-gnu/perl/5.36.0/module{}.pm", i);
        auto r = (*recorder)->Record(
            {DigestOf(path), path, {.time_ms = 1, .pid = 1, .uid = 0, .comm = "perl", .hook = "open"}});
        if (!r || r->is_new == again) _exit(5);
      }
      if (!(*recorder)->Flush()) _exit(6);
      // Its readers, too: each view in turn.
      for (const char* name : {"ascii_runtime_measurements", "binary_runtime_measurements_sha256"}) {
        std::ifstream in(dir_ + "/ima/" + name);
        std::array<char, 65536> part;
        while (in.read(part.data(), part.size())) {
        }
      }
      std::ifstream status("/proc/self/status");
      std::string peak = "?";
      for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) peak = line.substr(6);
      if (write(ends[1], peak.data(), peak.size()) < 0) _exit(7);
      fs->reset();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), 0);
    std::array<char, 64> peak{};
    ASSERT_GT(read(ends[0], peak.data(), peak.size() - 1), 0);
    std::printf("%d measurements, %s: peak of the process %d kB\n", kMany,
                again ? "after a restart" : "recorded", std::atoi(peak.data()));
#ifndef ASSAY_SANITIZED
    EXPECT_LT(std::atoi(peak.data()), 64 << 10);
#endif
  }
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace assay::measure
