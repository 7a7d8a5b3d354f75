// What has no file, and the verdict that a reader of the node gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>

#include <atomic>
#include <filesystem>

#include "base/test_data.h"
#include "measure/node/fs_testing.h"

namespace assay::measure {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int Memfd(std::string_view content, int seals = kSeals) {
  const int fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) return -1;
  return fcntl(fd, F_ADD_SEALS, seals) == 0 ? fd : -1;
}

class BufferTest : public FsTest {
 protected:
  static int AskFor(const std::string& node, int fd, const std::string& what) {
    return Ask(node, "buffer:" + std::to_string(fd) + ":" + what + "\n");
  }
  int AskFor(int fd, const std::string& what = "bash-c") const { return AskFor(Node("measure"), fd, what); }
  static std::string Own() { return std::filesystem::read_symlink("/proc/self/exe"); }
  // Writes and reads through one descriptor of the node.
  static std::string AskBoth(int node, const std::string& request) {
    if (write(node, request.data(), request.size()) < 0) return "errno " + std::to_string(errno);
    char text[256];
    const ssize_t n = read(node, text, sizeof(text));
    return n < 0 ? "errno " + std::to_string(errno) : std::string(text, static_cast<std::size_t>(n));
  }
};

TEST_F(BufferTest, ContentWithoutAFileHasTheNameOfItsProgram) {
  Start();
  const int a = Memfd("echo a"), b = Memfd("echo b");
  EXPECT_EQ(AskFor(a), 0);
  EXPECT_EQ(AskFor(b), 0);
  EXPECT_EQ(AskFor(a), 0) << "again, after another one";
  const std::string name = "buffer:0:bash-c:" + Own();
  EXPECT_EQ(Measured(name, "echo a"), 1);
  EXPECT_EQ(Measured(name, "echo b"), 1);
  EXPECT_EQ(Text("violations"), "0\n");
  EXPECT_EQ(lseek(a, 0, SEEK_CUR), 6) << "its offset is where it was";
  const int empty = Memfd("");
  EXPECT_EQ(AskFor(empty, "python-stdin"), 0);
  EXPECT_EQ(Measured("buffer:0:python-stdin:" + Own(), ""), 1);
  // The same content of a user, under the user's number.
  EXPECT_EQ(InChild([&] { return AskFor(Node("measure"), Memfd("echo a"), "bash-c"); }, 4711), 0);
  EXPECT_EQ(Measured("buffer:4711:bash-c:" + Own(), "echo a"), 1);
  for (const int fd : {a, b, empty}) close(fd);
}

TEST_F(BufferTest, OnlyWhatCantChangeIsTaken) {
  Start();
  const std::uint64_t records = recorder_->State().count;
  for (const int seals : {0, F_SEAL_WRITE, kSeals & ~F_SEAL_SEAL, kSeals & ~F_SEAL_WRITE,
                          kSeals & ~F_SEAL_GROW, kSeals & ~F_SEAL_SHRINK}) {
    const int fd = Memfd("content", seals);
    EXPECT_EQ(AskFor(fd), EINVAL) << seals;
    close(fd);
  }
  const std::string file = Put("file", "content");
  const UniqueFd on_disk(open(file.c_str(), O_RDONLY));
  EXPECT_EQ(AskFor(on_disk.get()), EINVAL);
  EXPECT_EQ(AskFor(987), EBADF);
  const int fd = Memfd("content");
  for (const std::string what : {"", "Bash", "a b", "a:b", "a/b", "x\xff"})
    EXPECT_EQ(AskFor(fd, what), EINVAL) << what;
  EXPECT_EQ(AskFor(fd, std::string(33, 'a')), EINVAL);
  for (const char* line :
       {"buffer:\n", "buffer::bash-c\n", "buffer:x:bash-c\n", "buffer:-1:bash-c\n", "buffer:1\n"})
    EXPECT_EQ(Ask(line), EINVAL) << line;
  close(fd);
  const int large = memfd_create("large", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ASSERT_EQ(ftruncate(large, (off_t{16} << 20) + 1), 0);
  ASSERT_EQ(fcntl(large, F_ADD_SEALS, kSeals), 0);
  EXPECT_EQ(AskFor(large), EFBIG);
  close(large);
  EXPECT_EQ(recorder_->State().count, records);
}

TEST_F(BufferTest, UsersBuffersHaveTheQuotaOfTheirFiles) {
  options_.quota = {.user = {.burst = 2, .per_minute = 1, .share = 100},
                    .all = {.burst = 5, .per_minute = 1, .share = 100},
                    .period = std::chrono::milliseconds(60'000)};
  Start();
  const auto ask = [&](uid_t uid) {
    return InChild(
        [&] {
          int good = 0;
          for (int i = 0; i < 4; ++i)
            good += AskFor(Node("measure"), Memfd("text " + std::to_string(i)), "bash-c") == 0 ? 1 : 0;
          return good;
        },
        uid);
  };
  EXPECT_EQ(ask(4711), 2);
  EXPECT_EQ(ask(0), 4);
}

TEST_F(BufferTest, AReaderGetsAVerdictForEachRequest) {
  options_.judge = [](const Shown& shown) {
    if (shown.digest == nullptr) return NodeVerdict::kUnknown;
    if (*shown.digest == DigestOf("known")) return NodeVerdict::kKnown;
    return shown.fd < 0 ? NodeVerdict::kRefused : NodeVerdict::kUnknown;
  };
  Start();
  const std::string known = Put("known", "known"), other = Put("other", "other");
  const UniqueFd node(open(Node("measure").c_str(), O_RDWR));
  ASSERT_TRUE(node);
  char byte = 0;
  EXPECT_EQ(read(node.get(), &byte, 1), 0) << "nothing was asked";
  EXPECT_EQ(AskBoth(node.get(), known + "\n"), "known\n");
  EXPECT_EQ(read(node.get(), &byte, 1), 0) << "it was read";
  const int buffer = Memfd("x");
  EXPECT_EQ(AskBoth(node.get(), other + "\n" + known + "\nbuffer:" + std::to_string(buffer) + ":bash-c\n"),
            "unknown\nknown\nrefused\n");
  close(buffer);
  // The line that fails has none, and neither has what was not finished.
  EXPECT_EQ(AskBoth(node.get(), known + "\n/no/such/file\n"), "known\n");
  EXPECT_EQ(AskBoth(node.get(), "/no/such/file\n"), "errno 2");
  EXPECT_EQ(read(node.get(), &byte, 1), 0);
  EXPECT_EQ(AskBoth(node.get(), known), "");
  EXPECT_EQ(AskBoth(node.get(), "\n"), "known\n");
  // A known file that has a writer is not known any more.
  const UniqueFd writer(open(known.c_str(), O_RDWR));
  EXPECT_EQ(AskBoth(node.get(), known + "\n"), "unknown\n");
  // An answer that was not read is discarded by the next write; a part of it can be read.
  ASSERT_EQ(write(node.get(), (other + "\n").c_str(), other.size() + 1),
            static_cast<ssize_t>(other.size() + 1));
  pollfd wait{.fd = node.get(), .events = POLLIN | POLLOUT, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 0), 1);
  EXPECT_EQ(wait.revents, POLLIN | POLLOUT);
  EXPECT_EQ(read(node.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'u');
  EXPECT_EQ(AskBoth(node.get(), other + "\n"), "unknown\n");
}

// The library asks once for a file that does not change, and each time for one that has just changed.
TEST_F(BufferTest, TheLibraryAsksOnceForWhatDoesNotChange) {
  std::atomic<int> asked{0};
  options_.judge = [&](const Shown&) {
    ++asked;
    return NodeVerdict::kKnown;
  };
  Start();
  const std::string program = TestBinaries() + "/libassay_test";
  const auto verdict = [&](const std::string& file, int times) {
    asked = 0;
    const int status = system((program + " " + point_ + " " + file + " " + std::to_string(times)).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  const std::string file = Put("file", "content");
  EXPECT_EQ(verdict(file, 3), 2) << "ASSAY_KNOWN";
  EXPECT_EQ(asked, 3) << "it has just changed";
  const std::string before = Put("before", "content");
  // A mapping can change a file of tmpfs and leave its times.
  const std::string shm = "/dev/shm/assay-node-test." + std::to_string(getpid());
  for (const auto& [suffix, mode] : {std::pair{".all", 0666}, std::pair{".root", 0644}}) {
    std::ofstream(shm + suffix) << "content";
    ASSERT_EQ(chmod((shm + suffix).c_str(), static_cast<mode_t>(mode)), 0);
  }
  usleep(2'200'000);
  EXPECT_EQ(verdict(before, 1000), 2);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(verdict(shm + ".all", 3), 2);
  EXPECT_EQ(asked, 3) << "anybody may write to it";
  EXPECT_EQ(verdict(shm + ".root", 3), 2);
  EXPECT_EQ(asked, 1);
  for (const char* suffix : {".all", ".root"}) unlink((shm + suffix).c_str());
  ASSERT_EQ(chmod(before.c_str(), 0600), 0) << "which changes its ctime";
  EXPECT_EQ(verdict(before, 3), 2);
  EXPECT_EQ(asked, 3);
}

// The server of a file can show it as root's, and other content at each read.
TEST_F(BufferTest, TheLibraryOpensACopyOfWhatIsServed) {
  Start();
  const std::string content = Put("content", "served"), point = dir_ + "/served", said = dir_ + "/said";
  ASSERT_EQ(mkdir(point.c_str(), 0755), 0);
  const pid_t server = fork();
  if (server == 0) {
    const int out = open(said.c_str(), O_CREAT | O_WRONLY, 0600);
    if (out < 0 || dup2(out, STDOUT_FILENO) < 0) _exit(1);
    execl((TestBinaries() + "/hostile-fuse").c_str(), "hostile-fuse", "--content", content.c_str(),
          point.c_str(), nullptr);
    _exit(1);
  }
  struct stat st{};
  const std::string file = point + "/file";
  for (int i = 0; i < 200 && stat(file.c_str(), &st) != 0; ++i) usleep(50'000);
  EXPECT_TRUE(st.st_uid == 0 && (st.st_mode & 022) == 0) << "it looks like a file of root's";
  EXPECT_EQ(system((TestBinaries() + "/libassay_test " + point_ + " " + file + " sealed served").c_str()), 0);
  EXPECT_EQ(Measured("buffer:0:file-copy:" + TestBinaries() + "/libassay_test", "served"), 1);
  EXPECT_EQ(Measured(file, "served"), 1) << "its path is in the list, too";
  umount2(point.c_str(), MNT_DETACH);
  kill(server, SIGTERM);
  waitpid(server, nullptr, 0);
}

TEST_F(BufferTest, TheLibrarysCppHeaderWorks) {
  Start();
  const std::string file = Put("file", "content");
  EXPECT_EQ(system((TestBinaries() + "/libassay_cpp_test " + point_ + " " + file).c_str()), 0);
}

TEST_F(BufferTest, WithoutAManifestNothingIsJudged) {
  Start();
  const std::string file = Put("file", "content");
  const std::string line = "exec 7<" + file + " 8<>" + Node("measure") +
                           "; echo fd:7 >&8; read -r word <&8; echo $word > " + dir_ + "/out";
  EXPECT_EQ(system(("bash -c '" + line + "'").c_str()), 0);
  EXPECT_EQ(AsText(*ReadFile(dir_ + "/out", kAll)), "unjudged\n");
  EXPECT_EQ(InChild(
                [&] {
                  const int node = open(Node("measure").c_str(), O_RDWR);
                  const int fd = open(file.c_str(), O_RDONLY);
                  return AskBoth(node, "fd:" + std::to_string(fd) + "\n") == "unjudged\n" ? 0 : 1;
                },
                4711),
            0);
}

}  // namespace
}  // namespace assay::measure
