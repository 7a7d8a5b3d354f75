// The fanotify engine against real processes, on file systems of this test's own in a private mount
// namespace.
// Long file: all of it runs against one engine with its mounts and recorder.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "base/result_testing.h"
#include "list/list.h"
#include "measure/fanotify/fanotify.h"
#include "measure/record/recorder_testing.h"
#include "measure/system/mount_testing.h"

namespace assay::measure {
namespace {

Digest DigestOf(std::string_view s) { return Hash(HashAlg::kSha256, AsBytes(s)); }

// Another process: what it does is not exempt. Its exit code.
template <typename Body>
int InChild(Body body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int OpenAndClose(const std::string& path, int flags = O_RDONLY) {
  const int fd = open(path.c_str(), flags, 0644);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

class FanotifyTest : public RecordingTest {
 protected:
  static void SetUpTestSuite() { EnterPrivateMounts(); }
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(RecordingTest::SetUp());
    chmod(dir_.c_str(), 0755);
    fs_ = dir_ + "/fs";
    std::filesystem::create_directory(fs_);
    // Its own directory as a mount of its own, on the disk's real file system.
    ASSERT_EQ(mount(fs_.c_str(), fs_.c_str(), nullptr, MS_BIND, nullptr), 0);
    options_.mounts = {fs_};
    recorder_options_.synchronous = true;
    recorder_options_.fault = [this](std::string_view) -> Result<> {
      while (hold_) usleep(1000);
      return {};
    };
    OpenRecorder();
  }
  void TearDown() override {
    engine_.reset();
    recorder_.reset();
    umount2(fs_.c_str(), MNT_DETACH);
    RecordingTest::TearDown();
  }
  void Start() {
    auto engine = StartFanotify(options_, rules_, limits_, *recorder_);
    ASSERT_THAT(engine, IsOk());
    engine_ = std::move(*engine);
  }
  std::string File(const std::string& name, std::string_view content, mode_t mode = 0755) {
    const std::string path = fs_ + "/" + name;
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
    return path;
  }
  // Whose hash takes as long as its size says.
  std::string Giant(const std::string& name, off_t size) {
    const std::string path = File(name, "#!/bin/sh\n");
    EXPECT_EQ(truncate(path.c_str(), size), 0);
    return path;
  }
  static std::string ReadText(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // What was appended to the list since the last call: path -> last digest in hex, "violation" for one.
  std::vector<std::pair<std::string, std::string>> NewEntries() {
    std::vector<std::pair<std::string, std::string>> out;
    const Bytes all = *ReadFile(dir_ + "/list/list", std::size_t{1} << 30);
    ima::ListReader reader(ByteView(all).subspan(seen_), HashAlg::kSha256);
    while (true) {
      auto r = reader.Next();
      if (!r || !*r) break;
      auto entry = ima::Decode(**r);
      if (!entry) break;
      out.emplace_back(entry->path, (*r)->violation() ? "violation" : Hex(entry->file_digest->bytes));
    }
    seen_ += reader.offset();
    return out;
  }
  std::size_t CountOf(const std::string& path) {
    std::size_t n = 0;
    for (const auto& [p, digest] : NewEntries()) n += p == path ? 1 : 0;
    return n;
  }
  std::string fs_;
  std::atomic<bool> hold_ = false;  // the recorder waits while it is set
  FanotifyOptions options_;
  RulesOptions rules_;
  HeldLimits limits_;
  std::unique_ptr<Engine> engine_;
  std::size_t seen_ = 0;
};

TEST_F(FanotifyTest, ProgramsLibrariesAndScriptsOnceEach) {
  std::filesystem::copy_file("/bin/true", fs_ + "/true");
  const std::string script = File("script", "#!/bin/sh\nexit 3\n");
  const std::string module = File("module.py", "pass\n");
  const std::string data = File("data", "no code\n");
  Start();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(InChild([&] { return execl((fs_ + "/true").c_str(), "true", nullptr); }), 0);
    EXPECT_EQ(InChild([&] { return execl(script.c_str(), "script", nullptr); }), 3);
    EXPECT_EQ(InChild([&] { return OpenAndClose(module); }), 0);
    EXPECT_EQ(InChild([&] { return OpenAndClose(data); }), 0);
  }
  std::vector<std::string> paths;
  for (const auto& [path, digest] : NewEntries()) paths.push_back(path);
  EXPECT_EQ(paths, (std::vector<std::string>{"boot_aggregate", fs_ + "/true", script, module}));
  const EngineStats stats = engine_->Stats();
  EXPECT_EQ(stats.measured, 3U);
  EXPECT_LE(stats.events, 8U);  // the later rounds cost nothing
  EXPECT_THAT(engine_->Health(), IsOk());
}

TEST_F(FanotifyTest, ModulesAreCodeAndObjectFilesAreNot) {
  const auto compile = [&](const std::string& name, const std::string& source) {
    const std::string object = fs_ + "/" + name;
    const std::string command = "echo '" + source + "' | c++ -x c++ -c -o " + object + " -";
    EXPECT_EQ(system(command.c_str()), 0);
    return object;
  };
  const std::string object = compile("object.o", "int x;");
  const std::string module =
      compile("module.o", "__attribute__((section(\".gnu.linkonce.this_module\"))) int module = 1;");
  const std::string torn = File("torn.o", ReadText(object).substr(0, 100));
  Start();
  for (const std::string& path : {object, module, torn}) InChild([&] { return OpenAndClose(path); });
  std::vector<std::string> paths;
  for (const auto& [path, digest] : NewEntries()) paths.push_back(path);
  EXPECT_EQ(paths, (std::vector<std::string>{"boot_aggregate", module, torn}));
}

TEST_F(FanotifyTest, AlteredFilesAreMeasuredAgain) {
  limits_.workers = 1;
  const std::string script = File("script", "#!/bin/sh\nexit 3\n");
  Start();
  InChild([&] { return OpenAndClose(script); });
  std::ofstream(script, std::ios::app) << "# more\n";
  InChild([&] { return OpenAndClose(script); });
  ASSERT_EQ(truncate(script.c_str(), 5), 0);
  InChild([&] { return OpenAndClose(script); });
  InChild([&] { return OpenAndClose(script); });
  EXPECT_EQ(CountOf(script), 3U);
  // Data that becomes code is code.
  const std::string data = File("data", "xx");
  InChild([&] { return OpenAndClose(data); });
  File("data", "#!/bin/sh\n");
  InChild([&] { return OpenAndClose(data); });
  EXPECT_EQ(CountOf(data), 1U);
}

TEST_F(FanotifyTest, OpenWritersAreAViolationAndNeverClean) {
  const std::string script = File("script", "#!/bin/sh\n");
  const int writer = open(script.c_str(), O_WRONLY | O_APPEND);
  Start();
  InChild([&] { return OpenAndClose(script); });
  auto entries = NewEntries();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1], std::pair(script, std::string("violation")));
  EXPECT_EQ(entries[2].first, script);
  ASSERT_EQ(write(writer, "x", 1), 1);
  InChild([&] { return OpenAndClose(script); });
  EXPECT_EQ(NewEntries().back().second, DigestOf("#!/bin/sh\nx").hex());
  close(writer);
}

TEST_F(FanotifyTest, WhoOnlyWritesLoadsNothing) {
  const std::string out = File("out", "\177ELF...");
  Start();
  EXPECT_EQ(InChild([&] { return OpenAndClose(out, O_WRONLY); }), 0);
  EXPECT_EQ(InChild([&] { return OpenAndClose(out, O_RDWR | O_TRUNC); }), 0);
  EXPECT_EQ(InChild([&] { return OpenAndClose(fs_ + "/new.py", O_RDWR | O_CREAT); }), 0);
  for (const auto& [path, digest] : NewEntries()) EXPECT_EQ(path, "boot_aggregate");
}

TEST_F(FanotifyTest, WhatIsOpenedToReadAndWriteIsMeasured) {
  const std::string script = File("script", "#!/bin/sh\nexit 3\n");
  Start();
  EXPECT_EQ(InChild([&] { return execl("/bin/sh", "sh", "-c", ("sh <> " + script).c_str(), nullptr); }), 3);
  const auto entries = NewEntries();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1], std::pair(script, std::string("violation")));
  EXPECT_EQ(entries[2], std::pair(script, DigestOf("#!/bin/sh\nexit 3\n").hex()));
}

// A writer that opens while the digest is being made or recorded waits for the lease, and is told.
TEST_F(FanotifyTest, AWriterThatComesMeanwhileIsTold) {
  const std::string script = File("script", "#!/bin/sh\n");
  Start();
  hold_ = true;
  const pid_t reader = fork();
  if (reader == 0) _exit(OpenAndClose(script));
  usleep(200'000);
  const pid_t writer = fork();
  if (writer == 0) {
    const int fd = open(script.c_str(), O_WRONLY);
    _exit(pwrite(fd, "XX", 2, 2) == 2 ? 0 : 1);
  }
  usleep(200'000);
  hold_ = false;
  int status = 0;
  waitpid(reader, &status, 0);
  EXPECT_EQ(status, 0);
  const auto entries = NewEntries();  // before the reader went on
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1], std::pair(script, DigestOf("#!/bin/sh\n").hex()));
  EXPECT_EQ(entries[2], std::pair(script, std::string("violation")));
  waitpid(writer, &status, 0);
  EXPECT_EQ(status, 0);
  InChild([&] { return OpenAndClose(script); });
  EXPECT_EQ(NewEntries().back().second, DigestOf("#!XXin/sh\n").hex());
}

TEST_F(FanotifyTest, AWriterThatComesWhileItIsHashedIsTold) {
  const std::string giant = Giant("giant.py", off_t{2} << 30);
  limits_.deadline = std::chrono::minutes(10);
  Start();
  const pid_t reader = fork();
  if (reader == 0) _exit(OpenAndClose(giant));
  usleep(100'000);
  EXPECT_EQ(InChild([&] { return OpenAndClose(giant, O_WRONLY); }), 0);
  int status = 0;
  waitpid(reader, &status, 0);
  EXPECT_EQ(status, 0);
  const auto entries = NewEntries();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1], std::pair(giant, std::string("violation")));
  EXPECT_EQ(entries[2].first, giant);
}

TEST_F(FanotifyTest, APathThatIsTooLongToTellIsMeasured) {
  Start();
  const std::string part(250, 'd');
  const auto run = [&] {
    if (chdir(fs_.c_str()) != 0) return 2;
    for (int i = 0; i < 20; ++i)
      if (mkdir(part.c_str(), 0755) != 0 || chdir(part.c_str()) != 0) return 3;
    const int fd = open("script.sh", O_WRONLY | O_CREAT, 0755);
    if (write(fd, "#!/bin/sh\nexit 5\n", 17) != 17 || close(fd) != 0) return 4;
    return execl("/bin/sh", "sh", "script.sh", nullptr);
  };
  EXPECT_EQ(InChild(run), 5);
  const auto entries = NewEntries();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_TRUE(entries[1].first.starts_with("unnamed:"));
  EXPECT_EQ(entries[1].second, DigestOf("#!/bin/sh\nexit 5\n").hex());
}

TEST_F(FanotifyTest, WrittenWhileMappedIsToMToU) {
  limits_.workers = 1;
  std::filesystem::copy_file("/bin/true", fs_ + "/lib");
  Start();
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  const pid_t user = fork();
  if (user == 0) {
    const int fd = open((fs_ + "/lib").c_str(), O_RDONLY);
    const void* map = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    char c = map == MAP_FAILED ? 'n' : 'y';
    if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1) _exit(1);
    _exit(0);
  }
  char c = 0;
  ASSERT_EQ(read(ready[0], &c, 1), 1);
  ASSERT_EQ(c, 'y');
  std::ofstream(fs_ + "/lib", std::ios::app) << "altered";
  bool found = false;
  for (int i = 0; i < 500 && !found; ++i) {  // reported by a thread that no task waits for
    usleep(10'000);
    for (const auto& [path, digest] : NewEntries()) found |= path == fs_ + "/lib" && digest == "violation";
  }
  EXPECT_TRUE(found);
  ASSERT_EQ(write(go[1], &c, 1), 1);
  waitpid(user, nullptr, 0);
}

TEST_F(FanotifyTest, NewMountsAreMarked) {
  Start();
  const std::string point = fs_ + "/new";
  std::filesystem::create_directory(point);
  ASSERT_EQ(mount("assay-test", point.c_str(), "tmpfs", 0, nullptr), 0);
  for (int i = 0; i < 100; ++i) {
    const std::string path = File("new/script" + std::to_string(i), "#!/bin/sh\n");
    InChild([&] { return OpenAndClose(path); });
    if (CountOf(path) == 1) break;
    ASSERT_LT(i, 99);
    usleep(10'000);
  }
  umount2(point.c_str(), MNT_DETACH);
}

TEST_F(FanotifyTest, FifosRemovedFilesAndSparseGiants) {
  const std::string fifo = fs_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0666), 0);
  const std::string giant = File("giant", "#!/bin/sh\n");
  ASSERT_EQ(truncate(giant.c_str(), off_t{10} << 30), 0);
  limits_.deadline = std::chrono::minutes(10);  // the giant's hash takes what the machine takes
  const std::string removed = File("removed", "#!/bin/sh\n" + std::string(16 << 20, 'x'));
  Start();
  EXPECT_EQ(InChild([&] { return OpenAndClose(fifo, O_RDONLY | O_NONBLOCK); }), 0);
  const pid_t slow = fork();
  if (slow == 0) _exit(OpenAndClose(giant));
  // The large file holds up no other task.
  const std::string small = File("small", "#!/bin/sh\n");
  EXPECT_EQ(InChild([&] { return OpenAndClose(small); }), 0);
  EXPECT_EQ(CountOf(small), 1U);
  const pid_t opener = fork();
  if (opener == 0) _exit(OpenAndClose(removed));
  usleep(2000);
  std::filesystem::remove(removed);
  int status = 0;
  waitpid(opener, &status, 0);
  EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == ENOENT);
  if (WEXITSTATUS(status) == 0) {
    EXPECT_EQ(CountOf(removed), 1U);
  }
  waitpid(slow, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(CountOf(giant), 1U);
  EXPECT_EQ(engine_->Stats().expired, 0U);
}

TEST_F(FanotifyTest, WhatIsNotMeasuredInTimeIsRefused) {
  limits_.deadline = std::chrono::milliseconds(300);
  limits_.expiry = Expiry::kRefuse;
  const std::string script = File("script", "#!/bin/sh\n"), giant = Giant("giant.py", off_t{1} << 43);
  Start();
  EXPECT_EQ(InChild([&] { return OpenAndClose(giant); }), EPERM);
  hold_ = true;
  EXPECT_EQ(InChild([&] { return OpenAndClose(script); }), EPERM);
  EXPECT_EQ(engine_->Stats().expired, 2U);
  hold_ = false;
  for (int i = 0; i < 500 && engine_->Stats().measured == 0; ++i) usleep(10'000);
  EXPECT_EQ(InChild([&] { return OpenAndClose(script); }), 0);
  EXPECT_EQ(CountOf(giant), 0U) << "it did not run";
}

// The list says so before the task goes on, and the hash is given up.
TEST_F(FanotifyTest, WhatIsNotMeasuredInTimeIsInTheListBeforeItRuns) {
  limits_.deadline = std::chrono::milliseconds(300);
  const std::string giant = Giant("giant.py", off_t{1} << 43);
  Start();
  EXPECT_EQ(InChild([&] { return OpenAndClose(giant); }), 0);
  const auto entries = NewEntries();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1], std::pair(giant, std::string("violation")));
  usleep(500'000);
  const std::uint64_t hashed = engine_->Stats().bytes_hashed;
  EXPECT_GT(hashed, 0U) << "still hashing";
  EXPECT_EQ(engine_->Stats().expired, 1U);
  EXPECT_EQ(engine_->Stats().unrecorded, 0U);
  EXPECT_THAT(engine_->Health(), IsOk());
}

// Only a recorder that is slow itself lets a task go on first: that is counted, an error, and made good.
TEST_F(FanotifyTest, ASlowRecorderHangsNobodyAndIsMadeGood) {
  limits_.deadline = std::chrono::milliseconds(300);
  limits_.record_grace = std::chrono::milliseconds(300);
  const std::string script = File("script", "#!/bin/sh\n");
  Start();
  hold_ = true;
  EXPECT_EQ(InChild([&] { return OpenAndClose(script); }), 0);
  EXPECT_EQ(engine_->Stats().unrecorded, 1U);
  EXPECT_THAT(engine_->Health(), FailsWith("engine.unrecorded"));
  hold_ = false;
  for (int i = 0; i < 500 && !engine_->Health(); ++i) usleep(10'000);
  EXPECT_THAT(engine_->Health(), IsOk());
  EXPECT_EQ(engine_->Stats().unrecorded, 1U);
  bool violation = false;
  for (const auto& [path, digest] : NewEntries()) violation |= path == script && digest == "violation";
  EXPECT_TRUE(violation);
}

TEST_F(FanotifyTest, AnEnforcedRuleIsNotOutwaited) {
  limits_.deadline = std::chrono::milliseconds(300);
  rules_.appraise = Appraise::kEnforce;
  rules_.policy = std::make_shared<const Policy>(
      *Policy::Parse("measure func=FILE_CHECK mask=MAY_READ\nappraise func=FILE_CHECK mask=MAY_READ\n"));
  const std::string giant = Giant("giant.py", off_t{1} << 43);
  Start();
  EXPECT_EQ(InChild([&] { return OpenAndClose(giant); }), EPERM);
}

// Files of one user that take for ever occupy only a share of the workers, and a stop frees the tasks that
// wait for them.
TEST_F(FanotifyTest, OneUsersGiantsHoldUpNobodyElse) {
  std::vector<std::string> giants;
  for (int i = 0; i < 8; ++i) giants.push_back(Giant("giant" + std::to_string(i) + ".py", off_t{1} << 43));
  const std::string other = Giant("other.py", off_t{40} << 20), roots = Giant("roots.py", off_t{41} << 20);
  Start();
  std::vector<pid_t> held;
  for (const std::string& giant : giants) {
    held.push_back(fork());
    if (held.back() == 0) _exit(setuid(4711) == 0 ? OpenAndClose(giant) : 1);
  }
  usleep(300'000);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(InChild([&] { return setuid(4712) == 0 ? OpenAndClose(other) : 1; }), 0);
  EXPECT_EQ(InChild([&] { return OpenAndClose(roots); }), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
  EXPECT_EQ(engine_->Stats().measured, 2U);
  engine_->Stop();
  for (const pid_t pid : held) {
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const auto entries = NewEntries();
  for (const std::string& giant : giants)
    EXPECT_NE(std::find(entries.begin(), entries.end(), std::pair(giant, std::string("violation"))),
              entries.end());
}

TEST_F(FanotifyTest, AGoneTpmIsTheConfiguredAnswerAndAnError) {
  const std::string script = File("script", "#!/bin/sh\n");
  Start();
  ASSERT_THAT(swtpm_.Stop(), IsOk());
  EXPECT_EQ(InChild([&] { return OpenAndClose(script); }), 0);
  EXPECT_TRUE(recorder_->State().degraded);
  EXPECT_GE(engine_->Stats().errors, 1U);
}

// An overlay whose layers can't be told by their paths counts as served.
class ServedTest : public FanotifyTest {
 protected:
  void SetUp() override {
    FanotifyTest::SetUp();
    point_ = fs_ + "/served";
    for (const std::string& folder : {point_, dir_ + "/lower", dir_ + "/upper", dir_ + "/work"})
      std::filesystem::create_directory(folder);
    char before[4096];
    ASSERT_NE(getcwd(before, sizeof(before)), nullptr);
    ASSERT_EQ(chdir(dir_.c_str()), 0);
    const int mounted =
        mount("served", point_.c_str(), "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work");
    const int error = errno;
    ASSERT_EQ(chdir(before), 0);
    if (mounted != 0) GTEST_SKIP() << "no overlay here: " << strerror(error);
    limits_.deadline = std::chrono::seconds(20);
  }
  void TearDown() override {
    engine_.reset();
    umount2(point_.c_str(), MNT_DETACH);
    FanotifyTest::TearDown();
  }
  // Our children of that name.
  static std::vector<pid_t> Processes() {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "stat");
      std::string number, name, state;
      pid_t parent = 0;
      if (file >> number >> name >> state >> parent && name == "(assay-served)" && parent == getpid())
        found.push_back(std::stoi(number));
    }
    return found;
  }
  std::string point_;
};

TEST_F(ServedTest, HasAProcessOfItsOwn) {
  const std::string script = File("served/script", "#!/bin/sh\nexit 3\n"),
                    other = File("other", "#!/bin/sh\n");
  const std::string data = File("served/data", "no code\n");
  Start();
  ASSERT_EQ(Processes().size(), 1U);
  EXPECT_EQ(InChild([&] { return execl(script.c_str(), "script", nullptr); }), 3);
  EXPECT_EQ(InChild([&] { return OpenAndClose(data); }), 0);
  EXPECT_EQ(InChild([&] { return OpenAndClose(other); }), 0);
  const auto entries = NewEntries();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1], std::pair(script, DigestOf("#!/bin/sh\nexit 3\n").hex()));
  EXPECT_EQ(entries[2].first, other);
  EXPECT_TRUE(engine_->Health()) << engine_->Health().error().Message();
  engine_->Stop();
  EXPECT_TRUE(Processes().empty());
  EXPECT_EQ(engine_->Stats().measured, 2U);
  EXPECT_EQ(InChild([&] { return OpenAndClose(script); }), 0);
}

// While the process hangs, only tasks of its mount wait, and a stop and a kill free them.
TEST_F(ServedTest, ItsStandstillStallsItsMountOnly) {
  const std::string script = File("served/script", "#!/bin/sh\n"), other = File("other", "#!/bin/sh\n");
  Start();
  const std::vector<pid_t> processes = Processes();
  ASSERT_EQ(processes.size(), 1U);
  ASSERT_EQ(kill(processes[0], SIGSTOP), 0);
  const pid_t held = fork();
  if (held == 0) _exit(OpenAndClose(script));
  usleep(200'000);
  EXPECT_EQ(waitpid(held, nullptr, WNOHANG), 0);
  EXPECT_EQ(InChild([&] { return OpenAndClose(other); }), 0);
  EXPECT_EQ(CountOf(other), 1U);
  ASSERT_EQ(kill(processes[0], SIGKILL), 0);
  int status = 0;
  waitpid(held, &status, 0);
  EXPECT_EQ(status, 0);
  // Another one is started, and the list says that the mount was not watched.
  for (int i = 0; i < 1000 && CountOf("mount:" + point_) == 0; ++i) usleep(10'000);
  ASSERT_EQ(Processes().size(), 1U);
  EXPECT_NE(Processes()[0], processes[0]);
  EXPECT_EQ(engine_->Stats().stalls, 1U);
  EXPECT_EQ(InChild([&] { return OpenAndClose(script); }), 0);
  EXPECT_EQ(CountOf(script), 1U);
}

TEST_F(ServedTest, WithoutItsProgramTheEngineWatchesTheMountItself) {
  options_.served_program = "/nonexistent";
  const std::string script = File("served/script", "#!/bin/sh\n");
  Start();
  EXPECT_EQ(InChild([&] { return OpenAndClose(script); }), 0);
  EXPECT_EQ(CountOf(script), 1U);
  ASSERT_FALSE(engine_->Health());
  EXPECT_EQ(engine_->Health().error().code(), "engine.mount");
}

TEST_F(ServedTest, ItGoesWithItsMount) {
  Start();
  ASSERT_EQ(Processes().size(), 1U);
  ASSERT_EQ(umount2(point_.c_str(), MNT_DETACH), 0);
  for (int i = 0; i < 2000 && !Processes().empty(); ++i) usleep(10'000);
  EXPECT_TRUE(Processes().empty());
  EXPECT_TRUE(engine_->Health());
}

TEST_F(FanotifyTest, DeathOfTheEngineHangsNobody) {
  const std::string script = File("script", "#!/bin/sh\n");
  Start();
  hold_ = true;
  const pid_t held = fork();
  if (held == 0) _exit(OpenAndClose(script));
  usleep(50'000);
  std::thread later([this] {
    usleep(200'000);
    hold_ = false;
  });
  engine_->Stop();
  later.join();
  int status = 0;
  waitpid(held, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(InChild([&] { return OpenAndClose(script); }), 0);
}

// --- Races: a writer alters the file somewhere between open, hash and answer. Whatever happens, the next
// open after the writer is done must find the present content in the list: never clean with a stale digest.

enum class Way { kWrite, kSharedMapping, kTruncate, kHardLink };

class RaceTest : public FanotifyTest, public ::testing::WithParamInterface<Way> {
 protected:
  static constexpr std::size_t kSize = 20'000;
  static std::string Content(int i) {
    return "#!/bin/sh\n# " + std::to_string(i) + "\n" + std::string(kSize, static_cast<char>('a' + i % 26));
  }
  void Alter(int i, const std::string& path, const std::string& link) const {
    const std::string content = Content(i);
    if (GetParam() == Way::kTruncate) {
      // The content is told by its length.
      if (truncate(path.c_str(), static_cast<off_t>(100 + i % 15'000)) != 0) _exit(2);
      return;
    }
    const int fd = open(GetParam() == Way::kHardLink ? link.c_str() : path.c_str(), O_RDWR);
    if (fd < 0) _exit(2);
    if (GetParam() == Way::kSharedMapping) {
      void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (map == MAP_FAILED) _exit(3);
      std::memcpy(map, content.data(), 64);
      munmap(map, 4096);
    } else if (pwrite(fd, content.data(), 64, 0) != 64) {
      _exit(4);
    }
    close(fd);
  }
};

TEST_P(RaceTest, NeverCleanWithAStaleDigest) {
#ifdef ASSAY_SANITIZED
  const int tries = 500;
#else
  const int tries = 10'000;
#endif
  // So that an event that comes last was handled last.
  if (GetParam() == Way::kSharedMapping) limits_.workers = 1;
  const std::string path = File("script", Content(0));
  const std::string link = fs_ + "/link";
  ASSERT_EQ(::link(path.c_str(), link.c_str()), 0);
  int to_writer[2], to_reader[2], done[2];
  ASSERT_EQ(pipe(to_writer), 0);
  ASSERT_EQ(pipe(to_reader), 0);
  ASSERT_EQ(pipe(done), 0);
  struct Job {
    int i;
    int delay;
  };
  auto serve = [&](int from, auto work) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    for (const int end : {to_writer[1], to_reader[1]}) close(end);
    Job job{};
    while (read(from, &job, sizeof(job)) == sizeof(job)) {
      for (volatile int spin = job.delay; spin > 0;) {
        const int left = spin;
        spin = left - 1;
      }
      work(job.i);
      if (write(done[1], "x", 1) != 1) break;
    }
    _exit(0);
  };
  const pid_t writer = serve(to_writer[0], [&](int i) { Alter(i, path, link); });
  const pid_t reader = serve(to_reader[0], [&](int i) {
    const std::string target = i < 0 ? fs_ + "/settle" + std::to_string(-i) : i % 2 == 0 ? link : path;
    if (OpenAndClose(target) != 0) _exit(1);  // nobody may be refused; the test ends there
  });
  // After the forks: a sanitizer's allocator that another thread holds at a fork stays locked in the child.
  Start();
  std::mt19937 random(42);
  auto wait_for = [&](int n) {
    char c = 0;
    while (n-- > 0) ASSERT_EQ(read(done[0], &c, 1), 1);
  };
  int stale = 0;
  std::map<std::string, std::string> last;
  for (int i = 1; i <= tries; ++i) {
    const Job write_job{i, static_cast<int>(random() % 200'000)};
    const Job read_job{i, static_cast<int>(random() % 200'000)};
    ASSERT_EQ(write(to_writer[1], &write_job, sizeof(Job)), static_cast<ssize_t>(sizeof(Job)));
    ASSERT_EQ(write(to_reader[1], &read_job, sizeof(Job)), static_cast<ssize_t>(sizeof(Job)));
    wait_for(2);
    if (GetParam() == Way::kSharedMapping) {
      // What is written through a mapping is told at close, a moment later (docs/limitations.md).
      const Job settle{-i, 0};
      File("settle" + std::to_string(i), "x");
      ASSERT_EQ(write(to_reader[1], &settle, sizeof(Job)), static_cast<ssize_t>(sizeof(Job)));
      wait_for(1);
      std::filesystem::remove(fs_ + "/settle" + std::to_string(i));
    }
    const Job probe{i, 0};
    ASSERT_EQ(write(to_reader[1], &probe, sizeof(Job)), static_cast<ssize_t>(sizeof(Job)));
    wait_for(1);
    const std::string present = ReadText(path);
    for (const auto& [p, digest] : NewEntries())
      if (digest != "violation") last[p] = digest;
    if (last[i % 2 == 0 ? link : path] != DigestOf(present).hex() &&
        last[i % 2 == 0 ? path : link] != DigestOf(present).hex())
      ++stale;
  }
  close(to_writer[1]);
  close(to_reader[1]);
  waitpid(writer, nullptr, 0);
  waitpid(reader, nullptr, 0);
  EXPECT_EQ(stale, 0) << "of " << tries;
  RecordProperty("tries", tries);
  RecordProperty("records", static_cast<int>(recorder_->State().entries));
}

std::string WayName(const ::testing::TestParamInfo<Way>& way) {
  constexpr const char* kNames[] = {"Write", "SharedMapping", "Truncate", "HardLink"};
  return kNames[static_cast<std::size_t>(way.param)];
}
INSTANTIATE_TEST_SUITE_P(Ways, RaceTest,
                         ::testing::Values(Way::kWrite, Way::kSharedMapping, Way::kTruncate, Way::kHardLink),
                         WayName);

}  // namespace
}  // namespace assay::measure
