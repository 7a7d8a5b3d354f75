#include "attest/net_process.h"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "attest/errors.h"

namespace assay::attest {
namespace {

constexpr int kReadyMs = 30'000;  // enough for a loaded machine and for a sanitizer's start
constexpr int kControl = 3;

struct Actions {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  Actions() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~Actions() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
};

Result<std::pair<UniqueFd, UniqueFd>> Pair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
    return Fail(OsError("socketpair", "", errno));
  return std::pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<UniqueFd> Sealed(ByteView content) {
  UniqueFd fd(memfd_create("assay-net-setup", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return Fail(OsError("memfd_create", "", errno));
  ASSAY_TRY(WriteAll(fd.get(), content));
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return Fail(OsError("fcntl", "seals", errno));
  return fd;
}

Result<pid_t> Spawn(const std::string& program, const UniqueFd& control) {
  Actions a;
  for (int fd = 0; fd < 3; ++fd) posix_spawn_file_actions_addopen(&a.files, fd, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&a.files, control.get(), kControl);
  // Descriptors that a library opened without close-on-exec, the TPM's socket above all, are closed in the
  // child.
  posix_spawn_file_actions_addclosefrom_np(&a.files, kControl + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&a.attributes, &none);
  posix_spawnattr_setsigdefault(&a.attributes, &all);
  posix_spawnattr_setflags(&a.attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  char* argv[] = {const_cast<char*>(program.c_str()), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, program.c_str(), &a.files, &a.attributes, argv, environment);
  if (error != 0) return Fail(OsError("posix_spawn", program, error));
  return pid;
}

}  // namespace

Result<std::unique_ptr<NetProcess>> NetProcess::Start(const std::string& program, const NetSetup& setup,
                                                      const UniqueFd& listener) {
  std::unique_ptr<NetProcess> p(new NetProcess());
  ASSAY_ASSIGN(auto control, Pair());
  std::vector<UniqueFd> theirs;
  for (std::uint32_t i = 0; i < setup.slots; ++i) {
    ASSAY_ASSIGN(auto slot, Pair());
    // The process itself closes the connection of a slow peer, so a process that does not read its answers is
    // faulty.
    const timeval patience{.tv_sec = 2 + 2 * setup.timeout_ms / 1000, .tv_usec = 0};
    if (setsockopt(slot.first.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0)
      return Fail(OsError("setsockopt", "", errno));
    p->slots_.push_back(std::move(slot.first));
    theirs.push_back(std::move(slot.second));
  }
  Bytes encoded = EncodeNetSetup(setup);
  Result<UniqueFd> sealed = Sealed(encoded);
  explicit_bzero(encoded.data(), encoded.size());
  if (!sealed) return Fail(sealed.error());
  std::vector<int> fds{sealed->get(), listener.get()};
  for (const UniqueFd& fd : theirs) fds.push_back(fd.get());
  ASSAY_TRY(SendDescriptors(control.first.get(), fds));
  p->control_ = std::move(control.first);
  ASSAY_ASSIGN(p->pid_, Spawn(program, control.second));
  return p;
}

NetProcess::~NetProcess() { End(); }

Result<std::uint32_t> NetProcess::AwaitReady() {
  const auto failed = [&](const std::string& why) {
    return Fail(StateError(NetError::kStart, "the network process does not serve: " + why));
  };
  pollfd wait{.fd = control(), .events = POLLIN, .revents = 0};
  if (poll(&wait, 1, kReadyMs) != 1) return failed("it sent no report in time");
  const Result<Bytes> packet = ReceivePacket(control(), kNetReportMax);
  if (!packet) return failed(End());
  const Result<NetReport> report = ParseNetReport(*packet);
  if (!report) return failed(report.error().Message());
  if (!report->ready) return failed(report->text);
  return report->landlock_abi;
}

std::string NetProcess::End() {
  if (pid_ < 0) return "";
  kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
  return fmt::format("ended with {}", WEXITSTATUS(status));
}

}  // namespace assay::attest
