#include "daemon/early.h"

#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attest/server.h"
#include "base/log.h"
#include "daemon/errors.h"
#include "daemon/run_folder.h"
#include "daemon/service.h"
#include "measure/record/errors.h"
#include "measure/record/list_lock.h"

namespace assay::daemon {
namespace {

// The mounts that measuring needs while they are moved into the real root. /dev is not among them, because
// udev's script removes all files there after the move.
constexpr const char* kMoved[] = {"/proc", "/run"};
constexpr int kStopMs = 30'000;
constexpr rlim_t kOpenFiles = 65536;

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

Result<bool> IsMountPoint(const std::string& path) {
  struct stat here{}, above{};
  if (stat(path.c_str(), &here) != 0)
    return errno == ENOENT ? Result<bool>(false) : Fail(OsError("stat", path, errno));
  if (stat("/", &above) != 0) return Fail(OsError("stat", "/", errno));
  return here.st_dev != above.st_dev;
}

// The attester that holds the list: its process id is in the lock's file. nullopt: no attester holds it.
struct Holder {
  UniqueFd process;  // a pidfd
  pid_t pid = -1;
};
Result<std::optional<Holder>> FindHolder(const std::string& lock_path) {
  const UniqueFd lock(open(lock_path.c_str(), O_RDWR | O_CLOEXEC));
  if (!lock && errno == ENOENT) return std::nullopt;
  if (!lock) return Fail(OsError("open", lock_path, errno));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return std::nullopt;
  Holder holder;
  holder.pid = measure::HolderIn(lock);
  if (holder.pid <= 0)
    return Fail(StateError(measure::RecorderError::kLocked,
                           "another recorder runs, and its lock file names no process"));
  holder.process.Reset(static_cast<int>(syscall(SYS_pidfd_open, holder.pid, 0)));
  if (!holder.process && errno == ESRCH) return std::nullopt;
  if (!holder.process) return Fail(OsError("pidfd_open", std::to_string(holder.pid), errno));
  // If the lock is still held after the pidfd was opened, the pidfd is of the process that holds it.
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return std::nullopt;
  return holder;
}

// Waits until the holder has ended (true), or until this process is told to stop (false).
bool AwaitHolder(const Holder& holder, int stop_fd) {
  pollfd wait[] = {{.fd = holder.process.get(), .events = POLLIN, .revents = 0},
                   {.fd = stop_fd, .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(wait, 2, -1) < 0 && errno == EINTR) continue;
    if (wait[0].revents != 0) return true;
    signalfd_siginfo signal{};
    if (read(stop_fd, &signal, sizeof(signal)) != sizeof(signal)) return false;
    const auto number = static_cast<int>(signal.ssi_signo);
    if (number != SIGHUP && number != SIGUSR2) return false;
    // A reload of the service, or its handover, is meant for the process that measures.
    if (syscall(SYS_pidfd_send_signal, holder.process.get(), number, nullptr, 0) != 0 && errno != ESRCH)
      log::Error("{}", OsError("pidfd_send_signal", std::to_string(holder.pid), errno).Message());
  }
}

}  // namespace

Result<Early> Early::Enter() {
  struct statfs root{};
  if (statfs("/", &root) != 0) return Fail(OsError("statfs", "/", errno));
  if (root.f_type != RAMFS_MAGIC && root.f_type != TMPFS_MAGIC)
    return Fail(StateError(EarlyError::kNoInitramfs, "--early is for an initramfs; / is on a disk"));
  // The same limit as in the systemd unit. If it can't be raised the attester measures all the same.
  const rlimit files{.rlim_cur = kOpenFiles, .rlim_max = kOpenFiles};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) log::Warn("{}", OsError("setrlimit", "NOFILE", errno).Message());
  if (Result<UniqueFd> score = Open("/proc/self/oom_score_adj", O_WRONLY); !score)
    log::Warn("{}", score.error().Message());
  else if (Result<> r = WriteAll(score->get(), AsBytes("-900")); !r)
    log::Warn("{}", r.error().Message());
  Early early;
  for (const char* path : kMoved) {
    ASSAY_ASSIGN(const bool mounted, IsMountPoint(path));
    if (!mounted) continue;
    // The init script moves the upper mount away; the lower one stays in our root.
    if (mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) != 0)
      return Fail(OsError("mount", path, errno));
    early.kept_.emplace_back(path);
  }
  return early;
}

bool Early::Moved() const {
  struct stat ours{}, first{};
  return stat("/", &ours) == 0 && stat("/proc/1/root", &first) == 0 && !SameFile(ours, first);
}

Result<> Early::Follow() {
  ASSAY_ASSIGN(const UniqueFd below, Open("/", O_PATH | O_DIRECTORY));
  ASSAY_ASSIGN(const UniqueFd root, Open("/proc/1/root", O_PATH | O_DIRECTORY));
  // All threads share the root directory, so this changes it for all.
  if (fchdir(root.get()) != 0) return Fail(OsError("fchdir", "/proc/1/root", errno));
  if (chroot(".") != 0) return Fail(OsError("chroot", "/proc/1/root", errno));
  if (chdir("/") != 0) return Fail(OsError("chdir", "/", errno));
  for (const std::string& path : kept_) {
    const std::string lower = "/proc/self/fd/" + std::to_string(below.get()) + path;
    if (umount2(lower.c_str(), MNT_DETACH) != 0) log::Warn("{}", OsError("umount2", lower, errno).Message());
  }
  kept_.clear();
  return {};
}

Result<Background> Background::Start() {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return Fail(OsError("pipe2", "", errno));
  UniqueFd read_end(pipe_fds[0]), write_end(pipe_fds[1]);
  const pid_t pid = fork();
  if (pid < 0) return Fail(OsError("fork", "", errno));
  Background b;
  if (pid == 0) {
    if (setsid() < 0) return Fail(OsError("setsid", "", errno));
    ASSAY_ASSIGN(const UniqueFd null, Open("/dev/null", O_RDWR));
    for (int fd = 0; fd <= 2; ++fd)
      if (dup2(null.get(), fd) < 0) return Fail(OsError("dup2", "/dev/null", errno));
    b.ready_ = std::move(write_end);
    return b;
  }
  b.parent_ = true;
  write_end.Reset();
  std::uint8_t byte = 0;
  if (!ReadExact(read_end.get(), &byte, 1)) {
    waitpid(pid, nullptr, 0);
    return Fail(StateError(EarlyError::kNotStarted, "the attester ended before it measured"));
  }
  return b;
}

void Background::Ready() {
  if (!ready_) return;
  if (Result<> r = WriteAll(ready_.get(), AsBytes("r")); !r) log::Warn("{}", r.error().Message());
  ready_.Reset();
}

std::vector<std::string> EarlyFiles(const Config& config) {
  std::vector<std::string> files = config.files;
  files.push_back(attest::DefaultNetProgram());
  if (!config.manifest.empty()) {
    files.push_back(config.manifest);
    files.push_back(config.manifest + ".sig");
    files.push_back(config.manifest_key);
  }
  if (!config.policy_file.empty()) files.push_back(config.policy_file);
  return files;
}

Result<> AllowsEarly(const Config& config) {
  if (config.tcti == "embedded" || config.scope != Scope::kHost)
    return Fail(UsageError("--early needs the machine's own TPM (tpm/tcti) and the scope host"));
  if (!config.engine.name.empty() && config.engine.name != "lsm")
    return Fail(UsageError("--early needs engine/engine lsm: fanotify's marks belong to the initramfs"));
  return {};
}

std::string EarlySettings(const Config& config) {
  const Result<> allows = AllowsEarly(config);
  return (allows ? "early=yes" : "early=no\n# " + allows.error().Message()) +
         "\npcr=" + std::to_string(config.pcr) +
         "\non_failure=" + (config.halt_without_start ? "halt" : "cap") + "\n";
}

Result<bool> StandBy(const Config& config, int stop_fd, const std::function<bool(pid_t)>& found) {
  std::optional<Holder> holder;
  while (true) {
    ASSAY_ASSIGN(holder, FindHolder(ListFolder(config.run_dir) + "/lock"));
    if (!holder) return true;
    log::Info("process {} already measures; standing by", holder->pid);
    if (!found(holder->pid)) return false;
    if (!AwaitHolder(*holder, stop_fd)) break;
    // The process may have handed over to another one, which then holds the list: look again.
    log::Warn("process {}, which measured before this one, ended", holder->pid);
  }
  // A restart of the service is a handover.
  const bool goes_on = IsRestarted();
  if (syscall(SYS_pidfd_send_signal, holder->process.get(), goes_on ? SIGUSR2 : SIGTERM, nullptr, 0) != 0 &&
      errno != ESRCH)
    return Fail(OsError("pidfd_send_signal", std::to_string(holder->pid), errno));
  if (goes_on) return false;
  pollfd end{.fd = holder->process.get(), .events = POLLIN, .revents = 0};
  if (poll(&end, 1, kStopMs) == 0)
    return Fail(
        StateError(EarlyError::kNoStop, "the attester that was started in the initramfs does not stop"));
  return false;
}

}  // namespace assay::daemon
