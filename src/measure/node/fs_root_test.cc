// Tests /run/assay in a private mount namespace, through the file system calls of its readers and callers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/result_testing.h"
#include "base/test_data.h"
#include "list/list.h"
#include "measure/node/fs_testing.h"

namespace assay::measure {
namespace {

#ifdef ASSAY_SANITIZED
constexpr int kMany = 5'000;
#else
constexpr int kMany = 100'000;
#endif

TEST_F(FsTest, EachBanksListReplaysToItsPcr) {
  Start();
  for (int i = 0; i < 20; ++i) Add(i);
  ASSERT_THAT(recorder_->RecordViolation(Violation::kToMToU, "/usr/bin/program3", {}), IsOk());
  ASSERT_THAT(recorder_->RecordBuffer("assay-policy", AsBytes("{}"), {}), IsOk());
  for (const HashAlg bank : options_.banks) {
    const std::string suffix = "_" + std::string(HashName(bank));
    auto replayed = ima::ReplayList(Read("binary_runtime_measurements" + suffix), bank, {bank});
    ASSERT_THAT(replayed, IsOk());
    EXPECT_EQ(replayed->count, 23U);
    EXPECT_EQ(replayed->violations, 1U);
    EXPECT_TRUE(replayed->wrong_hints.empty());
    const auto id = static_cast<std::uint16_t>(bank);
    EXPECT_EQ(replayed->values[0], tpm_->ReadPcrs({{.bank = id, .pcrs = {10}}})->at(id).at(10));
    // The text says the same as the binary list.
    const Bytes binary = Read("binary_runtime_measurements" + suffix);
    ima::ListReader reader(binary, bank);
    std::string text;
    while (auto record = *reader.Next()) text += ima::ToAscii(*record);
    EXPECT_EQ(Text("ascii_runtime_measurements" + suffix), text);
  }
  EXPECT_EQ(Read("binary_runtime_measurements"), Read("binary_runtime_measurements_sha1"));
  EXPECT_EQ(Read("ascii_runtime_measurements"), Read("ascii_runtime_measurements_sha1"));
  EXPECT_EQ(Text("runtime_measurements_count"), "23\n");
  EXPECT_EQ(Text("violations"), "1\n");
  EXPECT_EQ(Text("policy"), kPolicy);
  EXPECT_EQ(Text("status"), "{\"state\":\"ok\"}\n");
}

TEST_F(FsTest, TakesAPolicyFromRoot) {
  std::mutex mutex;  // the kernel orders the two threads, which a sanitizer can't know
  std::string last;
  options_.load = [&](std::string_view text) -> Result<> {
    if (text == "bad") return Fail(ParseError("measure-policy", 0, "bad"));
    const std::lock_guard lock(mutex);
    last = text;
    return {};
  };
  const auto taken = [&] {
    const std::lock_guard lock(mutex);
    return last;
  };
  Start();
  const std::string node = Node("policy");
  const auto put = [&](const std::string& text) {
    const UniqueFd fd(open(node.c_str(), O_WRONLY | O_TRUNC));
    return !fd || write(fd.get(), text.data(), text.size()) < 0 ? errno : 0;
  };
  EXPECT_EQ(put("measure\n"), 0);
  EXPECT_EQ(taken(), "measure\n");
  EXPECT_EQ(put("bad"), EINVAL);
  EXPECT_EQ(taken(), "measure\n");
  EXPECT_EQ(InChild([&] { return put("measure uid=0\n"); }, 4711), EACCES);
  const UniqueFd fd(open(node.c_str(), O_WRONLY));
  EXPECT_EQ(write(fd.get(), "measure\n", 8), 8);
  EXPECT_EQ(write(fd.get(), "audit\n", 6), 6);  // as a shell writes it, line by line
  EXPECT_EQ(taken(), "measure\naudit\n");
  EXPECT_EQ(InChild([&] { return write(fd.get(), "measure", 7) < 0 ? errno : 0; }, 4711), EPERM);
  // User 0 alone is not sufficient: that of a container has no capability over the machine.
  const auto without = [](std::vector<int> dropped) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2] = {};
    syscall(SYS_capget, &header, data);
    for (const int c : dropped) data[c / 32].effective &= ~(1U << (c % 32));
    return syscall(SYS_capset, &header, data) == 0;
  };
  EXPECT_EQ(InChild([&] { return without({CAP_SYS_ADMIN, CAP_MAC_ADMIN}) ? put("measure uid=0\n") : 251; }),
            EPERM);
  EXPECT_EQ(InChild([&] { return without({CAP_SYS_ADMIN}) ? put("measure uid=0\n") : 251; }), 0);
  EXPECT_EQ(InChild([&] { return without({CAP_MAC_ADMIN}) ? put("measure uid=0\n") : 251; }), 0);
  EXPECT_EQ(InChild([&] {
              return without({CAP_SYS_ADMIN, CAP_MAC_ADMIN}) && write(fd.get(), "audit\n", 6) == 6 ? 0
                                                                                                   : errno;
            }),
            EPERM);
  EXPECT_EQ(InChild([&] { return unshare(CLONE_NEWUSER) == 0 ? put("measure uid=0\n") : 251; }), EPERM);
  EXPECT_LT(open(node.c_str(), O_RDWR), 0);
  EXPECT_EQ(Text("policy"), kPolicy);  // still what the attester says it is
  EXPECT_EQ(Text("refusals"), "");
}

TEST_F(FsTest, EvmctlReadsAndReplaysIt) {
  Start();
  for (int i = 0; i < 5; ++i) Add(i);
  // evmctl takes the PCRs of one bank from a file of "algorithm and PCR lines" in the format of tpm2_pcrread.
  for (const HashAlg bank : {HashAlg::kSha1, HashAlg::kSha256}) {
    const auto id = static_cast<std::uint16_t>(bank);
    std::ofstream pcrs(dir_ + "/pcrs");
    for (std::uint32_t i = 0; i < 24; ++i) {
      std::string hex = tpm_->ReadPcrs({{.bank = id, .pcrs = {i}}})->at(id).at(i).hex();
      pcrs << "PCR-" << (i < 10 ? "0" : "") << i << ":";
      for (std::size_t k = 0; k < hex.size(); k += 2) pcrs << " " << hex.substr(k, 2);
      pcrs << "\n";
    }
    pcrs.close();
    // It reads the classic file and recomputes other banks itself.
    const std::string command = "evmctl ima_measurement --pcrs " + std::string(HashName(bank)) + "," + dir_ +
                                "/pcrs " + Node("binary_runtime_measurements") + " > " + dir_ + "/out 2>&1";
    EXPECT_EQ(system(command.c_str()), 0) << std::ifstream(dir_ + "/out").rdbuf();
    EXPECT_THAT(std::string(AsText(*ReadFile(dir_ + "/out", kAll))),
                ::testing::HasSubstr("Matched per TPM bank"));
  }
}

TEST_F(FsTest, AnyOffsetReadsTheSame) {
  recorder_options_.synchronous = false;
  recorder_options_.known = [](const Digest& d) { return d.view()[0] < 0xF0; };
  Start();
  for (int i = 0; i < 3'000; ++i) Add(i);
  ASSERT_THAT(recorder_->Flush(), IsOk());
  unsigned random = 2004;
  for (const char* name : {"ascii_runtime_measurements", "binary_runtime_measurements",
                           "ascii_runtime_measurements_sha256", "binary_runtime_measurements_sha256"}) {
    const Bytes all = Read(name);
    auto fd = Open(Node(name), O_RDONLY);
    ASSERT_THAT(fd, IsOk());
    for (int i = 0; i < 200; ++i) {
      random = random * 1664525 + 1013904223;
      const std::size_t at = random % (all.size() + 10);
      Bytes part(1 + (random >> 8) % 20'000);
      const ssize_t n = pread(fd->get(), part.data(), part.size(), static_cast<off_t>(at));
      ASSERT_GE(n, 0);
      const std::size_t want = at >= all.size() ? 0 : std::min(part.size(), all.size() - at);
      ASSERT_EQ(static_cast<std::size_t>(n), want) << name << " at " << at;
      ASSERT_TRUE(std::equal(part.begin(), part.begin() + n, all.begin() + static_cast<std::ptrdiff_t>(at)));
    }
  }
}

TEST_F(FsTest, PollWakesOnGrowth) {
  Start();
  auto fd = Open(Node("ascii_runtime_measurements"), O_RDONLY);
  ASSERT_THAT(fd, IsOk());
  pollfd wait{.fd = fd->get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 0), 1) << "there is something to read";
  const Bytes before = *ReadAll(fd->get(), kAll);
  EXPECT_EQ(poll(&wait, 1, 50), 0);
  std::thread later([&] {
    usleep(100'000);
    Add(1);
  });
  EXPECT_EQ(poll(&wait, 1, 10'000), 1);
  EXPECT_EQ(wait.revents, POLLIN);
  later.join();
  const Bytes grown = *ReadAll(fd->get(), kAll);  // reading on
  EXPECT_THAT(std::string(AsText(grown)), ::testing::EndsWith(" /usr/bin/program1\n"));
  EXPECT_EQ(Read("ascii_runtime_measurements").size(), before.size() + grown.size());
  EXPECT_EQ(poll(&wait, 1, 50), 0);
}

TEST_F(FsTest, MeasuresByPathAndByDescriptor) {
  Start();
  const std::string a = Put("a", "content a"), b = Put("b", "content b");
  EXPECT_EQ(Ask(a + "\n"), 0);
  EXPECT_EQ(Measured(a, "content a"), 1);
  // The caller itself has the file open for writing: it is measured and the violation recorded.
  auto fd = Open(b, O_RDWR);
  EXPECT_EQ(AskForFd(Node("measure"), fd->get()), 0);
  EXPECT_EQ(Measured(b, "content b"), 1);
  EXPECT_EQ(Text("violations"), "1\n");
  EXPECT_EQ(lseek(fd->get(), 0, SEEK_CUR), 0);
  // The file may be removed, or in memory only.
  const std::string gone = Put("gone", "removed");
  auto removed = Open(gone, O_RDONLY);
  unlink(gone.c_str());
  EXPECT_EQ(AskForFd(Node("measure"), removed->get()), 0);
  EXPECT_EQ(Measured(gone, "removed"), 1);
  // From a shell, which truncates the node first.
  EXPECT_EQ(system(("/bin/sh -c 'exec 7<" + a + "; echo fd:7 > " + Node("measure") + "'").c_str()), 0);
  EXPECT_EQ(system(("echo " + a + " >> " + Node("measure")).c_str()), 0);
}

TEST_F(FsTest, AHookAnnouncesItselfForItsProcess) {
  std::atomic<pid_t> process{0};
  options_.announced = [&](pid_t by, const std::string& hook) { process = hook == "python" ? by : -1; };
  Start();
  const std::string records = Text("runtime_measurements_count");
  std::atomic<int> error{-1};
  std::thread([&] { error = Ask("hook:python\n"); }).join();
  EXPECT_EQ(error, 0);
  EXPECT_EQ(process, getpid());
  EXPECT_EQ(Text("runtime_measurements_count"), records);
}

TEST_F(FsTest, ApplicationsMeasureThroughTheLibrary) {
  Start();
  const std::string a = Put("a", "for the library");
  const std::string program = TestBinaries() + "/libassay_test";
  EXPECT_EQ(system((program + " " + point_ + " " + a).c_str()), 0);
  EXPECT_EQ(Measured(a, "for the library"), 1);
  const std::string link = dir_ + "/library-test";  // as another user, outside of folders that are root's
  std::filesystem::copy_file(program, link);
  EXPECT_EQ(
      system(("setpriv --reuid 4711 --regid 4711 --clear-groups " + link + " " + point_ + " " + a).c_str()),
      0);
}

TEST_F(FsTest, LinesMayComeTogetherOrInParts) {
  Start();
  const std::string a = Put("a", "1"), b = Put("b", "2"), c = Put("c", "3");
  EXPECT_EQ(Ask(a + "\n" + b + "\n"), 0);
  EXPECT_EQ(Measured(a, "1") + Measured(b, "2"), 2);
  auto node = Open(Node("measure"), O_WRONLY);
  const std::string half = c.substr(0, 5), rest = c.substr(5) + "\n";
  EXPECT_EQ(write(node->get(), half.data(), half.size()), 5);
  EXPECT_EQ(Measured(c, "3"), 0);
  EXPECT_EQ(write(node->get(), rest.data(), rest.size()), static_cast<ssize_t>(rest.size()));
  EXPECT_EQ(Measured(c, "3"), 1);
  // A line that fails: the write ends before it, and what comes after it isn't measured.
  const std::string d = Put("d", "4"), e = Put("e", "5");
  const std::string lines = d + "\n/no/such/file\n" + e + "\n";
  EXPECT_EQ(write(node->get(), lines.data(), lines.size()), static_cast<ssize_t>(d.size() + 1));
  EXPECT_EQ(Measured(d, "4"), 1);
  EXPECT_EQ(Measured(e, "5"), 0);
  const std::string left = lines.substr(d.size() + 1);
  EXPECT_EQ(write(node->get(), left.data(), left.size()), -1);
  EXPECT_EQ(errno, ENOENT);
}

// Thousands of writes may wait, so each brings little.
TEST_F(FsTest, ALongWriteIsTakenInParts) {
  Start();
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += Put("long" + std::to_string(i % 3), "content") + "\n";
  const UniqueFd node(open(Node("measure").c_str(), O_WRONLY));
  std::size_t at = 0, parts = 0;
  for (ssize_t n = 1; n > 0 && at < lines.size(); ++parts) {
    n = write(node.get(), lines.data() + at, lines.size() - at);
    EXPECT_LE(n, 4096);
    at += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  EXPECT_EQ(at, lines.size());
  EXPECT_EQ(parts, (lines.size() + 4095) / 4096);
  EXPECT_EQ(Measured(dir_ + "/long0", "content") + Measured(dir_ + "/long2", "content"), 2);
}

// What one user has open keeps no other user from asking.
TEST_F(FsTest, AUserHasAShareOfTheOpenFiles) {
  Start();
  const auto opened = [&](uid_t uid, int most, auto then) {
    return InChild(
        [&] {
          const rlimit room{.rlim_cur = 10'000, .rlim_max = 10'000};
          setrlimit(RLIMIT_NOFILE, &room);
          if (setgid(uid) != 0 || setuid(uid) != 0) return 250;
          int n = 0;
          while (n < most && open(Node("status").c_str(), O_RDONLY) >= 0) ++n;
          return then(n);
        },
        0);
  };
  EXPECT_EQ(opened(4711, 10'000,
                   [&](int most) {
                     if (most != 2048 || errno != ENFILE) return 1;
                     const int again = open(Node("status").c_str(), O_RDONLY);
                     return again < 0 && errno == ENFILE ? 0 : 2;
                   }),
            0);
  // Those are closed by now, and the share is free again.
  EXPECT_EQ(opened(4711, 1000, [](int n) { return n == 1000 ? 0 : 1; }), 0);
}

TEST_F(FsTest, ForgedRequestsAreRefused) {
  Start();
  const std::string fifo = dir_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0666), 0);
  const std::uint64_t records = recorder_->State().count;
  struct Case {
    std::string request;
    int error;
  };
  for (const Case& c :
       {Case{"\n", EINVAL}, Case{"relative\n", EINVAL}, Case{"fd:\n", EINVAL}, Case{"fd:-1\n", EINVAL},
        Case{"fd:1x\n", EINVAL}, Case{"fd:99999999999\n", EINVAL}, Case{"hook:\n", EINVAL},
        Case{"hook:A b\n", EINVAL}, Case{"fd:987\n", EBADF}, Case{"/no/such/file\n", ENOENT},
        Case{dir_ + "\n", EINVAL}, Case{"/dev/null\n", EINVAL}, Case{fifo + "\n", EINVAL},
        Case{Node("status") + "\n", EINVAL}, Case{"/proc/self/exe\n", ELOOP},
        Case{std::string("/a\0b\n", 5), EINVAL}, Case{std::string(5000, 'x') + "\n", ENAMETOOLONG},
        Case{"/unfinished", ENODATA}})
    EXPECT_EQ(Ask(c.request), c.error) << c.request;
  // Descriptors without the right to read, and descriptors that are no regular files.
  const std::string a = Put("a", "content");
  auto only_path = Open(a, O_PATH), only_write = Open(a, O_WRONLY), pipe_end = Open(fifo, O_RDWR);
  EXPECT_EQ(AskForFd(Node("measure"), only_path->get()), EBADF);
  EXPECT_EQ(AskForFd(Node("measure"), only_write->get()), EBADF);
  EXPECT_EQ(AskForFd(Node("measure"), pipe_end->get()), EINVAL);
  EXPECT_EQ(recorder_->State().count, records);
  EXPECT_EQ(open(Node("measure").c_str(), O_RDONLY), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(open(Node("status").c_str(), O_RDWR), -1);
  EXPECT_EQ(open(Node("nothing").c_str(), O_WRONLY | O_CREAT, 0600), -1);
  EXPECT_EQ(chmod(Node("status").c_str(), 0777), -1);
  EXPECT_EQ(unlink(Node("status").c_str()), -1);
}

TEST_F(FsTest, UsersMeasureWhatTheyHaveOpenAndSeeNoLists) {
  Start();
  const std::string open_file = Put("open", "for all"), secret = Put("secret", "for root", 0600);
  constexpr uid_t kUser = 4711;
  const std::string node = Node("measure");
  EXPECT_EQ(InChild([&] { return Ask(node, open_file + "\n"); }, kUser), EACCES);
  EXPECT_EQ(InChild([&] { return Ask(node, secret + "\n"); }, kUser), EACCES);
  EXPECT_EQ(InChild([&] { return Ask(node, "/no/such/file\n"); }, kUser), EACCES);
  EXPECT_EQ(InChild([&] { return AskForFd(node, open(open_file.c_str(), O_RDONLY)); }, kUser), 0);
  EXPECT_EQ(Measured("measure:4711:" + open_file, "for all"), 1) << "by a user, not loaded by anything";
  EXPECT_EQ(Measured(open_file, "for all"), 0);
  EXPECT_EQ(InChild([&] { return AskForFd(node, open(secret.c_str(), O_PATH)); }, kUser), EBADF);
  EXPECT_EQ(Measured(secret, "for root"), 0);
  EXPECT_EQ(InChild([&] { return open(Node("status").c_str(), O_RDONLY) < 0 ? errno : 0; }, kUser), 0);
  for (const char* name : {"ascii_runtime_measurements", "binary_runtime_measurements_sha256", "violations",
                           "policy", "runtime_measurements_count"})
    EXPECT_EQ(InChild([&] { return open(Node(name).c_str(), O_RDONLY) < 0 ? errno : 0; }, kUser), EACCES)
        << name;
  // A node that root opened and passed on gives a user no more rights, and a user's node gives root none.
  const int opened = open(node.c_str(), O_WRONLY);
  const std::string line = secret + "\n";
  EXPECT_EQ(InChild([&] { return write(opened, line.data(), line.size()) < 0 ? errno : 0; }, kUser), EPERM);
  close(opened);
}

// One user can neither fill the list nor make the machine untrusted with files that no program has loaded.
TEST_F(FsTest, UsersCauseNoMoreRecordsThanTheirQuota) {
  options_.quota = {.user = {.burst = 3, .per_minute = 1, .share = 100},
                    .all = {.burst = 5, .per_minute = 1, .share = 100},
                    .period = std::chrono::milliseconds(500)};
  Start();
  const std::string node = Node("measure");
  std::vector<std::string> files;
  for (int i = 0; i < 8; ++i) files.push_back(Put("f" + std::to_string(i), "content " + std::to_string(i)));
  const auto ask_all = [&](uid_t uid) {
    return InChild(
        [&] {
          int good = 0;
          for (const std::string& file : files) {
            const int error = AskForFd(node, open(file.c_str(), O_RDONLY));
            if (error != 0 && error != EDQUOT) return 100 + error;
            good += error == 0 ? 1 : 0;
          }
          return good;
        },
        uid);
  };
  EXPECT_EQ(ask_all(4711), 3);
  EXPECT_EQ(ask_all(4712), 2) << "of all users' together";
  EXPECT_EQ(ask_all(0), 8);
  EXPECT_EQ(ask_all(4711), 3) << "what is recorded counts no more";
  const auto limits = [&] {
    const std::string text = Text("ascii_runtime_measurements");
    int n = 0;
    for (std::size_t at = 0; (at = text.find(" assay-limit ", at)) != std::string::npos; ++at) ++n;
    return n;
  };
  for (int i = 0; i < 300 && limits() < 2; ++i) usleep(10'000);
  usleep(700'000);
  EXPECT_EQ(limits(), 2) << "one for each user";
  // Content that the user can write to at the same time proves nothing, and is not a violation.
  const std::string own = Put("own", "mine", 0666);
  EXPECT_EQ(InChild([&] { return AskForFd(node, open(own.c_str(), O_RDWR)); }, 4713), ETXTBSY);
  EXPECT_EQ(Text("violations"), "0\n");
}

TEST_F(FsTest, ACallersPathIsSeenFromItsOwnRoot) {
  Start();
  std::filesystem::create_directories(dir_ + "/jail/in");
  Put("jail/in/file", "jailed");
  ASSERT_EQ(symlink("/in/file", (dir_ + "/jail/link").c_str()), 0);
  const int node = open(Node("measure").c_str(), O_WRONLY);
  const auto jailed = [&](const std::string& path) {
    return InChild([&] {
      const std::string line = path + "\n";
      if (chroot((dir_ + "/jail").c_str()) != 0 || chdir("/") != 0) return 252;
      return write(node, line.data(), line.size()) < 0 ? errno : 0;
    });
  };
  EXPECT_EQ(jailed("/in/file"), 0);
  EXPECT_EQ(jailed("/link"), 0);
  EXPECT_EQ(jailed("/../../../../etc/passwd"), ENOENT);
  close(node);
  EXPECT_EQ(Measured(dir_ + "/jail/in/file", "jailed"), 1);
}

TEST_F(FsTest, AThousandAtOnce) {
  Start();
  constexpr int kCallers = 1000;
  std::vector<std::string> paths;
  paths.reserve(kCallers);
  for (int i = 0; i < kCallers; ++i)
    paths.push_back(Put("f" + std::to_string(i), "content " + std::to_string(i)));
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  threads.reserve(kCallers);
  for (int i = 0; i < kCallers; ++i)
    threads.emplace_back([&, i] {
      auto fd = Open(paths[static_cast<std::size_t>(i)], O_RDONLY);
      if (fd && AskForFd(Node("measure"), fd->get()) == 0) ++good;
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, kCallers);
  const std::string text = Text("ascii_runtime_measurements");
  for (int i = 0; i < kCallers; ++i)
    EXPECT_NE(text.find("sha256:" + DigestOf("content " + std::to_string(i)).hex()), std::string::npos) << i;
}

// A file that never ends stands for a file system that never answers: the caller gets an error in time,
// others are served, and nothing waits at the end.
TEST_F(FsTest, AFileThatTakesForeverHoldsNobody) {
  options_.measure_deadline = std::chrono::milliseconds(1500);
  Start();
  const std::string endless = Put("endless", "");
  ASSERT_EQ(truncate(endless.c_str(), off_t{1} << 43), 0);
  const std::string a = Put("a", "quick");
  chmod(a.c_str(), 0644);
  std::vector<std::thread> threads;
  std::atomic<int> late{0};
  threads.reserve(20);
  for (int i = 0; i < 20; ++i)
    threads.emplace_back([&] {
      auto fd = Open(endless, O_RDONLY);
      if (AskForFd(Node("measure"), fd->get()) == ETIMEDOUT) ++late;
    });
  usleep(200'000);
  EXPECT_EQ(Text("violations"), "0\n");
  EXPECT_EQ(Ask(a + "\n"), 0) << "others are held up";
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(late, 20);
  EXPECT_EQ(Measured(endless, ""), 0);
  EXPECT_EQ(Ask(a + "\n"), 0);
}

TEST_F(FsTest, StoppingAnswersThoseWhoWait) {
  Start();
  const std::string endless = Put("endless", "");
  ASSERT_EQ(truncate(endless.c_str(), off_t{1} << 43), 0);
  int error = 0;
  std::atomic<pid_t> asks{0};
  std::thread caller([&] {
    const auto node = Open(Node("measure"), O_WRONLY);
    const std::string request = endless + "\n";
    asks = gettid();
    error = write(node->get(), request.data(), request.size()) < 0 ? errno : 0;
  });
  while (asks == 0) usleep(1000);
  // "TID (NAME) S": it sleeps in its write.
  const auto sleeps = [stat = "/proc/self/task/" + std::to_string(asks) + "/stat"] {
    const Result<Bytes> line = ReadFile(stat, 4096);
    return line && AsText(*line).find(") S ") != std::string_view::npos;
  };
  for (int i = 0; i < 10'000 && !sleeps(); ++i) usleep(1000);
  auto reader = Open(Node("ascii_runtime_measurements"), O_RDONLY);
  fs_.reset();
  caller.join();
  EXPECT_EQ(error, ENODEV);
  char byte = 0;
  EXPECT_EQ(read(reader->get(), &byte, 1), -1) << "a reader of a file system that is gone";
  EXPECT_EQ(errno, ENOTCONN);
  EXPECT_FALSE(std::filesystem::exists(Node("status")));
}

TEST_F(FsTest, IsMountedAsItSays) {
  Start();
  struct statvfs st{};
  ASSERT_EQ(statvfs(point_.c_str(), &st), 0);
  EXPECT_EQ(st.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC),
            static_cast<unsigned long>(ST_NOSUID | ST_NODEV | ST_NOEXEC));
  const Bytes info = *ReadFile("/proc/thread-self/mountinfo", kAll);
  EXPECT_NE(AsText(info).find(" - fuse.assay assay rw,user_id=0,group_id=0,default_permissions,allow_other"),
            std::string::npos);
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(point_)) names.insert(entry.path().filename());
  EXPECT_THAT(names, ::testing::IsSupersetOf(
                         {"ascii_runtime_measurements", "binary_runtime_measurements_sha256", "measure",
                          "metrics", "policy", "runtime_measurements_count", "status", "violations"}));
  struct stat file{};
  ASSERT_EQ(stat(Node("binary_runtime_measurements").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode, S_IFREG | 0440U);
  ASSERT_EQ(stat(Node("measure").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode, S_IFREG | 0666U);
  auto second = Fs::Mount(options_, *recorder_, recorder_.get());
  ASSERT_THAT(second, FailsWith("fs.in-use"));
}

TEST_F(FsTest, AListOfManyIsReadWhileItGrows) {
  recorder_options_.synchronous = false;
  recorder_options_.known = [](const Digest& d) { return d.view()[0] >= 0x20; };
  Start();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; i < kMany; ++i) Add(i);
    stop = true;
  });
  const HashAlg banks[] = {HashAlg::kSha1, HashAlg::kSha256};
  int reads = 0;
  std::map<std::size_t, Bytes> before;
  while (!stop) {
    for (std::size_t b = 0; b < 2; ++b) {
      const Bytes list = Read(std::string("binary_runtime_measurements_") + (b == 0 ? "sha1" : "sha256"));
      ima::ListReader reader(list, banks[b]);
      while (true) {
        auto next = reader.Next();
        ASSERT_THAT(next, IsOk()) << "not whole: ";
        if (!*next) break;
      }
      ASSERT_GE(list.size(), before[b].size());
      ASSERT_TRUE(std::equal(before[b].begin(), before[b].end(), list.begin()));
      before[b] = list;
      ++reads;
    }
  }
  writer.join();
  ASSERT_THAT(recorder_->Flush(), IsOk());
  auto replayed = ima::ReplayList(Read("binary_runtime_measurements_sha1"), HashAlg::kSha1, {HashAlg::kSha1});
  ASSERT_THAT(replayed, IsOk());
  EXPECT_EQ(replayed->values[0], tpm_->ReadPcrs({{.bank = 4, .pcrs = {10}}})->at(4).at(10));
  EXPECT_EQ(recorder_->State().entries, static_cast<std::uint64_t>(kMany) + 1);
  std::printf("%d measurements, read %d times meanwhile\n", kMany, reads);
}

TEST_F(FsTest, AKilledServersMountFailsAndIsTakenAway) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t server = fork();
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool started = TryStart().has_value();
    if (write(ready[1], started ? "+" : "-", 1) != 1 || !started) _exit(1);
    pause();
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, '+');
  auto reader = Open(Node("ascii_runtime_measurements"), O_RDONLY);
  ASSERT_THAT(reader, IsOk());
  const std::string endless = Put("endless", "");
  ASSERT_EQ(truncate(endless.c_str(), off_t{1} << 43), 0);
  int error = 0;
  std::thread caller([&] { error = Ask(endless + "\n"); });
  usleep(200'000);
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
  caller.join();
  EXPECT_THAT(error, ::testing::AnyOf(ECONNABORTED, ENOTCONN));
  char byte = 0;
  EXPECT_EQ(read(reader->get(), &byte, 1), -1);
  EXPECT_EQ(errno, ENOTCONN);
  EXPECT_EQ(open(Node("status").c_str(), O_RDONLY), -1);
  EXPECT_EQ(errno, ENOTCONN);
  Start();
  EXPECT_EQ(Text("status"), "{\"state\":\"ok\"}\n");
  fs_.reset();
  EXPECT_FALSE(std::filesystem::exists(Node("status"))) << "something is still mounted below";
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace assay::measure
