// For tests: /run/assay in a private mount namespace, with its recorder and TPM.
//
//   TEST_F(FsTest, MeasuresByPath) {
//     Start();
//     EXPECT_EQ(Ask(Put("a", "content") + "\n"), 0);
//   }
//
// Contract: needs root. Start() mounts by `options_`, and TearDown() unmounts.
#pragma once

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "base/result_testing.h"
#include "measure/node/fs.h"
#include "measure/record/recorder_testing.h"
#include "measure/system/mount_testing.h"

namespace assay::measure {

inline constexpr std::size_t kAll = std::size_t{1} << 30;
inline constexpr char kPolicy[] = "measure func=BPRM_CHECK\n";

// Runs `body` in another process with other rights, and returns its exit code.
template <typename Body>
int InChild(Body body, uid_t uid = 0) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (uid != 0 && (setgid(uid) != 0 || setuid(uid) != 0)) _exit(250);
    _exit(body());
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class FsTest : public RecordingTest {
 protected:
  static void SetUpTestSuite() { EnterPrivateMounts(); }
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(RecordingTest::SetUp());
    chmod(dir_.c_str(), 0755);
    point_ = dir_ + "/ima";
    recorder_options_.synchronous = true;
  }
  void TearDown() override {
    Close();
    umount2(point_.c_str(), MNT_DETACH);
    RecordingTest::TearDown();
  }
  Result<> TryStart() {
    machine_.Connect();
    ASSAY_ASSIGN(recorder_, TryOpen());
    options_.mount_point = point_;
    options_.status = [] { return std::string("{\"state\":\"ok\"}\n"); };
    options_.policy = [] { return std::string(kPolicy); };
    ASSAY_ASSIGN(options_.banks, tpm_->ActiveBanks(10));
    ASSAY_ASSIGN(fs_, Fs::Mount(options_, *recorder_, recorder_.get()));
    return {};
  }
  void Start() {
    auto r = TryStart();
    ASSERT_THAT(r, IsOk());
  }
  void Close() {
    fs_.reset();
    recorder_.reset();
    tpm_.reset();
  }
  std::string Node(std::string_view name) const { return point_ + "/" + std::string(name); }
  Bytes Read(std::string_view name) const {
    auto r = ReadFile(Node(name), kAll);
    EXPECT_THAT(r, IsOk());
    return r ? std::move(*r) : Bytes();
  }
  std::string Text(std::string_view name) const { return std::string(AsText(Read(name))); }
  std::string Put(const std::string& name, std::string_view content, mode_t mode = 0644) const {
    const std::string path = dir_ + "/" + name;
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
    return path;
  }
  // Writes a request and returns its errno, or 0 if the file was measured.
  static int Ask(const std::string& node, std::string_view request) {
    const int fd = open(node.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    const ssize_t n = write(fd, request.data(), request.size());
    const int error = n < 0 ? errno : n == static_cast<ssize_t>(request.size()) ? 0 : 251;
    const bool closed = close(fd) == 0;
    return error != 0 || closed ? error : errno;
  }
  int Ask(std::string_view request) const { return Ask(Node("measure"), request); }
  static int AskForFd(const std::string& node, int fd) {
    return Ask(node, "fd:" + std::to_string(fd) + "\n");
  }
  int Measured(std::string_view path, std::string_view content) const {
    const std::string line = "sha256:" + DigestOf(content).hex() + " " + std::string(path) + "\n";
    const std::string text = Text("ascii_runtime_measurements");
    int n = 0;
    for (std::size_t at = 0; (at = text.find(line, at)) != std::string::npos; at += line.size()) ++n;
    return n;
  }
  void Add(int i) {
    const std::string path = "/usr/bin/program" + std::to_string(i);
    ASSERT_THAT(recorder_->Record({DigestOf(path), path, {}}), IsOk());
  }

  std::string point_;
  FsOptions options_;
  std::unique_ptr<Fs> fs_;
};

}  // namespace assay::measure
