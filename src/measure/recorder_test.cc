#include "measure/recorder.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "base/mapped.h"
#include "list/list.h"
#include "measure/journal.h"
#include "tpm/software_tpm.h"

namespace assay::measure {
namespace {

Digest DigestOf(std::string_view s) { return Hash(HashAlg::kSha256, AsBytes(s)); }

class RecorderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-rec.XXXXXX";
    dir_ = mkdtemp(name);
    StartTpm();
    options_.dir = dir_ + "/list";
    options_.known = [](const Digest& d) { return d.view()[0] < 0x80; };
  }
  void TearDown() override {
    recorder_.reset();
    tpm_.reset();
    EXPECT_TRUE(swtpm_.Stop());
    std::filesystem::remove_all(dir_);
  }
  void StartTpm() {
    auto started =
        tpm::SoftwareTpm::Start({.state_dir = dir_ + "/state", .run_dir = dir_ + "/run", .preload = ""});
    ASSERT_TRUE(started) << started.error().Message();
    swtpm_ = *started;
  }
  void Open() {
    tpm_.reset();
    auto tpm = tpm::Tpm::Connect(swtpm_.tcti());
    ASSERT_TRUE(tpm) << tpm.error().Message();
    tpm_ = std::move(*tpm);
    auto opened = Recorder::Open(options_, *tpm_);
    ASSERT_TRUE(opened) << opened.error().Message();
    recorder_ = std::move(*opened);
  }
  Result<std::unique_ptr<Recorder>> TryOpen() { return Recorder::Open(options_, *tpm_); }
  void Close() { recorder_.reset(); }
  Recorded Add(std::string_view path, std::string_view content) {
    auto r = recorder_->Record({DigestOf(content), std::string(path), {}});
    EXPECT_TRUE(r) << r.error().Message();
    return r ? *r : Recorded{};
  }
  // The list's replay is what the TPM holds, in each bank; the entries' paths, in order.
  std::vector<std::string> CheckedPaths() {
    std::vector<std::string> paths;
    auto file = MappedFile::Open(options_.dir + "/list");
    EXPECT_TRUE(file);
    auto banks = tpm_->ActiveBanks(10);
    auto replayed = ima::ReplayList(file->view(), HashAlg::kSha256, *banks);
    EXPECT_TRUE(replayed) << replayed.error().Message();
    EXPECT_TRUE(replayed->wrong_hints.empty());
    for (std::size_t i = 0; i < banks->size(); ++i) {
      const auto bank = static_cast<std::uint16_t>((*banks)[i]);
      auto pcr = tpm_->ReadPcrs({{.bank = bank, .pcrs = {10}}});
      EXPECT_TRUE(pcr);
      EXPECT_EQ(pcr->at(bank).at(10), replayed->values[i]);
    }
    ima::ListReader reader(file->view(), HashAlg::kSha256);
    while (true) {
      auto record = reader.Next();
      EXPECT_TRUE(record);
      if (!*record) break;
      auto entry = ima::Decode(**record);
      EXPECT_TRUE(entry);
      if (entry->path != ima::kGroupName) {
        paths.push_back(entry->path);
        continue;
      }
      auto inner = ima::DecodeGroup(entry->buffer);
      EXPECT_TRUE(inner);
      for (const auto& i : *inner) {
        ima::RecordView view = **record;
        view.template_name = i.template_name;
        view.data = i.data;
        paths.push_back(ima::Decode(view)->path);
      }
    }
    return paths;
  }
  std::string dir_;
  tpm::SoftwareTpm swtpm_;
  std::unique_ptr<tpm::Tpm> tpm_;
  RecorderOptions options_;
  std::unique_ptr<Recorder> recorder_;
};

TEST_F(RecorderTest, RecordsOnceUntilContentChanges) {
  options_.synchronous = true;
  Open();
  EXPECT_TRUE(Add("/a", "1").is_new);
  EXPECT_FALSE(Add("/a", "1").is_new);
  EXPECT_TRUE(Add("/b", "1").is_new);
  EXPECT_TRUE(Add("/a", "2").is_new);
  EXPECT_TRUE(Add("/a", "1").is_new);  // an older version that came back
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a", "/b", "/a", "/a"}));
  Close();
  Open();
  EXPECT_FALSE(Add("/a", "1").is_new);  // a restart knows
  EXPECT_FALSE(Add("/b", "1").is_new);
  EXPECT_EQ(recorder_->State().count, 5U);
}

TEST_F(RecorderTest, ViolationsAreAllOnesInThePcr) {
  Open();
  EXPECT_TRUE(Add("/a", "1").is_new);
  ASSERT_TRUE(recorder_->RecordViolation(Violation::kOpenWriters, "/a", {}));
  auto again = recorder_->RecordViolation(Violation::kOpenWriters, "/a", {});
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->is_new);
  EXPECT_TRUE(Add("/a", "1").is_new);  // after a violation the path is measured anew
  ASSERT_TRUE(recorder_->Flush());
  EXPECT_EQ(CheckedPaths().size(), 4U);
  EXPECT_EQ(recorder_->State().violations, 1U);
}

TEST_F(RecorderTest, GroupsKnownContentAndKeepsTheOrder) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d != DigestOf("unknown"); };
  Open();
  for (int i = 0; i < 100; ++i) Add("/known" + std::to_string(i), "content" + std::to_string(i));
  EXPECT_EQ(recorder_->State().count, 1U);
  EXPECT_FALSE(Add("/known5", "content5").is_new);
  Add("/unknown", "unknown");
  EXPECT_EQ(recorder_->State().count, 3U);
  EXPECT_EQ(recorder_->State().entries, 102U);
  const auto paths = CheckedPaths();
  ASSERT_EQ(paths.size(), 102U);
  EXPECT_EQ(paths[1], "/known0");
  EXPECT_EQ(paths[101], "/unknown");
  Add("/last", "last");
  ASSERT_TRUE(recorder_->Quiesce([&](const RecorderState& s) -> Result<> {
    EXPECT_EQ(s.count, 4U);
    EXPECT_EQ(s.checkpoints.back().second, s.pcr_values[1].second);
    return {};
  }));
  auto journal = MappedFile::Open(options_.dir + "/journal");
  ASSERT_TRUE(journal);
  auto part = ParseJournal(journal->view(), 1);
  ASSERT_TRUE(part);
  ASSERT_EQ(part->entries.size(), 102U);
  EXPECT_EQ(part->entries[99].sub, 99U);
  EXPECT_EQ(part->entries[100].index, 2U);
}

TEST_F(RecorderTest, AGroupIsCommittedInTime) {
  options_.group_ms = 20;
  options_.known = [](const Digest&) { return true; };
  Open();
  Add("/a", "1");
  for (int i = 0; i < 500 && recorder_->State().count < 2; ++i) usleep(10'000);
  EXPECT_EQ(recorder_->State().count, 2U);
}

TEST_F(RecorderTest, OneRecorderPerList) {
  Open();
  auto second = TryOpen();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), "recorder.locked");
}

TEST_F(RecorderTest, RefusesAPcrThatTheListCantExplain) {
  Open();
  Add("/a", "1");
  Close();
  const std::vector<Digest> x{DigestOf("x")};
  ASSERT_TRUE(tpm_->Extend(tpm::RawExtend::ForTest(), 10, x));
  auto opened = TryOpen();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), "recorder.pcr-unexplained");
  std::filesystem::remove_all(options_.dir);
  opened = TryOpen();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), "recorder.pcr-in-use");
}

TEST_F(RecorderTest, AResetTpmIsNoticed) {
  Open();
  Add("/a", "1");
  Add("/b", "2");
  ASSERT_TRUE(recorder_->Flush());
  Close();
  tpm_.reset();
  ASSERT_TRUE(swtpm_.Stop());
  StartTpm();
  tpm_ = std::move(*tpm::Tpm::Connect(swtpm_.tcti()));
  auto opened = TryOpen();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), "recorder.pcr-reset");
  options_.allow_retire = true;
  Open();
  EXPECT_TRUE(Add("/a", "1").is_new);
  ASSERT_TRUE(recorder_->Flush());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a"}));
}

TEST_F(RecorderTest, AFullListSaysSoAndStillExtends) {
  options_.synchronous = true;
  options_.max_records = 3;
  Open();
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Add("/f" + std::to_string(i), std::to_string(i)).is_new);
  EXPECT_EQ(recorder_->State().count, 3U);
  EXPECT_EQ(recorder_->State().overflow, 4U);
  Close();
  Open();
  EXPECT_EQ(recorder_->State().overflow, 4U);
  Add("/more", "more");
  EXPECT_EQ(recorder_->State().overflow, 5U);
}

TEST_F(RecorderTest, TpmGoneIsSaidAndMended) {
  options_.synchronous = true;
  Open();
  Add("/a", "1");
  kill(swtpm_.pid(), SIGSTOP);  // so that nothing is lost: a connection that breaks, not a reset
  kill(swtpm_.pid(), SIGCONT);
  int breaks = 1;
  Close();
  options_.fault = [&](std::string_view at) -> Result<> {
    if (at == "extended" && breaks-- > 0)
      return Fail(tpm::TpmError(tpm::TpmError::Kind::kGone, "TPM2_PCR_Extend", 0));
    return {};
  };
  Open();
  breaks = 1;
  auto r = recorder_->Record({DigestOf("2"), "/b", {}});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code(), "recorder.degraded");
  EXPECT_TRUE(recorder_->State().degraded);
  r = recorder_->Record({DigestOf("3"), "/c", {}});
  ASSERT_FALSE(r);
  EXPECT_FALSE(recorder_->Quiesce([](const RecorderState&) -> Result<> { return {}; }));
  ASSERT_TRUE(recorder_->Recover());
  // /b had reached the PCR; /c could not be recorded, and the list says so.
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a", "/b", "/c"}));
  EXPECT_EQ(recorder_->State().violations, 1U);
  EXPECT_TRUE(Add("/c", "3").is_new);
}

TEST_F(RecorderTest, AnUnwritableListIsSaidAndMended) {
  options_.group_ms = 60'000;
  bool full = false;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (full && at.ends_with(".write")) return Fail(OsError("write", "list", ENOSPC));
    return {};
  };
  options_.known = [](const Digest& d) { return d != DigestOf("u"); };
  Open();
  Add("/grouped", "g");
  full = true;
  EXPECT_FALSE(recorder_->Record({DigestOf("u"), "/unknown", {}}));
  full = false;
  ASSERT_TRUE(recorder_->Recover());
  ASSERT_TRUE(recorder_->Flush());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/grouped", "/unknown"}));
}

TEST_F(RecorderTest, ATornTailIsDropped) {
  options_.synchronous = true;
  Open();
  Add("/a", "1");
  Close();
  for (std::size_t n : {1U, 4U, 30U, 70U}) {
    auto fd = assay::Open(options_.dir + "/list", O_RDWR | O_APPEND);
    const Bytes whole = ima::EncodeRecord(10, DigestOf("x"), "ima-ng", ima::EncodeNg(DigestOf("x"), "/torn"));
    ASSERT_TRUE(WriteAll(fd->get(), ByteView(whole).first(n)));
    Open();
    EXPECT_EQ(CheckedPaths().size(), 2U);
    Close();
  }
}

// A child records under load and is killed by SIGKILL at a random instant; then the list and the PCR must
// agree, and what the child was told is recorded must be there, once.
TEST_F(RecorderTest, KilledAtAnyInstantLosesNothing) {
  const char* tries_text = std::getenv("ASSAY_KILLS");  // the full count is 500 (make test sets it)
  const int tries = tries_text != nullptr ? std::atoi(tries_text) : 40;
  std::mt19937 random(20041);
  options_.group_ms = 3;
  std::set<std::string> told;
  int number = 0;
  for (int round = 0; round < tries; ++round) {
    recorder_.reset();
    tpm_.reset();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      auto tpm = tpm::Tpm::Connect(swtpm_.tcti());
      if (!tpm) _exit(3);
      auto recorder = Recorder::Open(options_, **tpm);
      if (!recorder) _exit(4);
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
          for (int i = 0;; ++i) {
            const std::string path =
                "/f" + std::to_string(number) + "." + std::to_string(t) + "." + std::to_string(i);
            if (!(*recorder)->Record({DigestOf(path), path, {}})) _exit(5);
            const std::string line = path + "\n";
            if (write(ends[1], line.data(), line.size()) < 0) _exit(6);
          }
        });
      for (auto& t : threads) t.join();
    }
    close(ends[1]);
    ++number;
    usleep(5000 + random() % 30'000);
    kill(child, SIGKILL);
    std::string text;
    char buffer[65536];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof(buffer))) > 0;)
      text.append(buffer, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "round " << round << ": the child ended with " << WEXITSTATUS(status);
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
      told.insert(text.substr(at, end - at));
    Open();
    const auto paths = CheckedPaths();
    const std::set<std::string> unique(paths.begin(), paths.end());
    ASSERT_EQ(unique.size(), paths.size()) << "something is there twice, round " << round;
    for (const std::string& path : told)
      ASSERT_TRUE(unique.contains(path)) << path << " was lost in round " << round;
  }
  std::printf("killed %d times: %zu measurements were promised, all of them are there once\n", tries,
              told.size());
}

}  // namespace
}  // namespace assay::measure
