#include "measure/engine/last_means.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "base/descriptors.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

constexpr int kSocket = 3, kStat = 4;  // of the child
constexpr int kHighFd = 10;            // above them
constexpr int kLookMs = 500;
constexpr std::size_t kMaxDevices = 64;
constexpr char kForget = 'f', kEnd = 'e';  // forget all; with a descriptor: write to it at the death

// --- The child. From here to Child() only async-signal-safe calls are made.

// Whether the parent's first thread has ended. It stays a zombie until the other threads have ended.
bool IsDead() {
  char text[512];
  const ssize_t n = pread(kStat, text, sizeof(text) - 1, 0);
  if (n <= 0) return true;
  text[n] = 0;
  const char* const end = strrchr(text, ')');
  return end == nullptr || end[1] == 0 || end[2] == 'Z' || end[2] == 'X';
}

// False: all threads of the parent have ended.
bool TakeMessage(std::array<int, kMaxDevices>& files, std::size_t& count) {
  char what = 0;
  iovec data{.iov_base = &what, .iov_len = 1};
  alignas(cmsghdr) std::uint8_t space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof(space);
  if (recvmsg(kSocket, &message, 0) <= 0) return false;
  if (what == kForget)
    while (count > 0) close(files[--count]);
  const cmsghdr* const c = CMSG_FIRSTHDR(&message);
  if (c == nullptr || c->cmsg_type != SCM_RIGHTS) return true;
  int fd = -1;
  memcpy(&fd, CMSG_DATA(c), sizeof(fd));
  if (count < kMaxDevices)
    files[count++] = fd;
  else
    close(fd);
  return true;
}

[[noreturn]] void Child() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) signal(number, SIG_IGN);
  prctl(PR_SET_NAME, "assay-last");
  std::array<int, kMaxDevices> files{};
  std::size_t count = 0;
  unsigned dead = 0;
  while (true) {
    pollfd wait{.fd = kSocket, .events = POLLIN, .revents = 0};
    if (poll(&wait, 1, kLookMs) > 0 && !TakeMessage(files, count)) _exit(0);
    // Looks twice, because threads that do not hang may take a moment to end.
    dead = IsDead() ? dead + 1 : 0;
    if (dead < 2) continue;
    for (std::size_t i = 0; i < count; ++i)
      if (write(files[i], "1", 1) != 1) continue;  // the connection is gone already
    _exit(0);
  }
}

// --- The parent.

struct State {
  Mutex mutex;
  std::map<const void*, std::set<dev_t>> named ASSAY_GUARDED_BY(mutex);
  std::set<dev_t> told ASSAY_GUARDED_BY(mutex);
  UniqueFd socket ASSAY_GUARDED_BY(mutex);
};
State& Get() {
  static State* state = new State;  // never destroyed: threads may be left behind when the process ends
  return *state;
}

Result<UniqueFd> StartChild() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
    return Fail(OsError("socketpair", "", errno));
  UniqueFd ours(fds[0]);
  const UniqueFd low(fds[1]);
  const UniqueFd theirs(fcntl(low.get(), F_DUPFD_CLOEXEC, kHighFd));
  ASSAY_ASSIGN(const UniqueFd stat, Open("/proc/" + std::to_string(getpid()) + "/stat", O_RDONLY));
  const UniqueFd high_stat(fcntl(stat.get(), F_DUPFD_CLOEXEC, kHighFd));
  if (!theirs || !high_stat) return Fail(OsError("fcntl", "F_DUPFD_CLOEXEC", errno));
  const pid_t pid = fork();
  if (pid < 0) return Fail(OsError("fork", "", errno));
  if (pid == 0) {
    if (dup2(theirs.get(), kSocket) < 0 || dup2(high_stat.get(), kStat) < 0 ||
        close_range(kStat + 1, ~0U, 0) != 0)
      _exit(1);
    Child();
  }
  return ours;
}

Result<> Send(int socket, char what, int fd) {
  const std::array<std::uint8_t, 1> data{static_cast<std::uint8_t>(what)};
  return SendWithDescriptors(socket, data, fd >= 0 ? std::span(&fd, 1) : std::span<const int>(),
                             MSG_DONTWAIT);
}

Result<> Tell(UniqueFd& socket, const std::set<dev_t>& devices) {
  if (!socket) {
    ASSAY_ASSIGN(socket, StartChild());
  }
  ASSAY_TRY(Send(socket.get(), kForget, -1));
  for (const dev_t device : devices) {
    const Result<UniqueFd> abort = OpenFuseAbort(device);
    if (abort) ASSAY_TRY(Send(socket.get(), kEnd, abort->get()));  // else it is not FUSE's
  }
  return {};
}

}  // namespace

void EndAtDeath(const void* owner, std::set<dev_t> devices) {
  State& s = Get();
  Result<> told;
  {
    const MutexLock lock(s.mutex);
    if (devices.empty())
      s.named.erase(owner);
    else
      s.named[owner] = std::move(devices);
    std::set<dev_t> all;
    for (const auto& [unused, some] : s.named) all.insert(some.begin(), some.end());
    if (all == s.told) return;
    told = Tell(s.socket, all);
    if (!told) s.socket.Reset();  // another child is started at the next change
    s.told = std::move(all);
  }
  if (!told) log::Error("nothing can be done at a kill about what hangs: {}", told.error().Message());
}

}  // namespace assay::measure
