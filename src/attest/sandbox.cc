#include "attest/sandbox.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "attest/errors.h"

namespace assay::attest {
namespace {

struct SeccompDelete {
  void operator()(void* p) const { seccomp_release(p); }
};

// As in the newest linux/landlock.h; that of Debian 12 knows only ABI 2.
struct LandlockRuleset {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;  // since ABI 4
  std::uint64_t scoped = 0;              // since ABI 6
};
constexpr unsigned kLandlockVersion = 1U << 0;

LandlockRuleset EverythingOf(long abi) {
  // Later ABIs added rights as higher bits: 13 in ABI 1, then REFER (2), TRUNCATE (3) and IOCTL_DEV (5).
  const unsigned fs_rights = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;
  LandlockRuleset r;
  r.handled_access_fs = (std::uint64_t{1} << fs_rights) - 1;
  if (abi >= 4) r.handled_access_net = 3;  // bind and connect, TCP
  if (abi >= 6) r.scoped = 3;              // abstract Unix sockets, signals
  return r;
}

Result<> Limit(int what, rlim_t value, const char* name) {
  const rlimit limit{.rlim_cur = value, .rlim_max = value};
  if (setrlimit(what, &limit) != 0) return Fail(OsError("setrlimit", name, errno));
  return {};
}

}  // namespace

Result<> DropPrivileges(uid_t uid, gid_t gid, pid_t parent) {
  capng_clear(CAPNG_SELECT_ALL);
  if (capng_apply(CAPNG_SELECT_BOUNDS) != 0) return Fail(OsError("capset", "bounding set", errno));
  if (setgroups(0, nullptr) != 0) return Fail(OsError("setgroups", "", errno));
  if (setresgid(gid, gid, gid) != 0) return Fail(OsError("setresgid", "", errno));
  if (setresuid(uid, uid, uid) != 0) return Fail(OsError("setresuid", "", errno));
  capng_clear(CAPNG_SELECT_ALL);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) return Fail(OsError("capset", "", errno));
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return Fail(OsError("prctl", "ambient capabilities", errno));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Fail(OsError("prctl", "no_new_privs", errno));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Fail(OsError("prctl", "dumpable", errno));
  // This comes after the change of user, which resets it.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return Fail(OsError("prctl", "death signal", errno));
  if (getppid() != parent) return Fail(StateError(NetError::kOrphan, "the privileged process has ended"));
  return {};
}

Result<std::uint32_t> ForbidFiles() {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, kLandlockVersion);
  if (abi < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) return 0U;
  if (abi < 0) return Fail(OsError("landlock_create_ruleset", "version", errno));
  const LandlockRuleset all = EverythingOf(abi);
  // An older kernel accepts only the shorter structure that it knows.
  const std::size_t size = abi >= 6 ? sizeof(all) : abi >= 4 ? 16 : 8;
  const long ruleset = syscall(SYS_landlock_create_ruleset, &all, size, 0);
  if (ruleset < 0) return Fail(OsError("landlock_create_ruleset", "", errno));
  const long done = syscall(SYS_landlock_restrict_self, ruleset, 0);
  const int err = errno;
  close(static_cast<int>(ruleset));
  if (done != 0) return Fail(OsError("landlock_restrict_self", "", err));
  return static_cast<std::uint32_t>(abi);
}

Result<> LimitResources(unsigned descriptors) {
  ASSAY_TRY(Limit(RLIMIT_NPROC, 0, "processes"));
  ASSAY_TRY(Limit(RLIMIT_FSIZE, 0, "file size"));
  ASSAY_TRY(Limit(RLIMIT_CORE, 0, "core"));
  ASSAY_TRY(Limit(RLIMIT_MSGQUEUE, 0, "message queues"));
  ASSAY_TRY(Limit(RLIMIT_NOFILE, descriptors, "descriptors"));
#ifndef ASSAY_SANITIZED  // a sanitizer's shadow is terabytes of address space
  ASSAY_TRY(Limit(RLIMIT_AS, rlim_t{1} << 30, "address space"));
#endif
  return {};
}

Result<> AllowOnlyServing() {
  const std::unique_ptr<void, SeccompDelete> filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (!filter) return Fail(LibError("seccomp", "no filter"));
  const int always[] = {
      SCMP_SYS(accept4),
      SCMP_SYS(shutdown),
      SCMP_SYS(close),
      SCMP_SYS(recvfrom),
      SCMP_SYS(sendto),
      SCMP_SYS(poll),
      SCMP_SYS(ppoll),
      SCMP_SYS(futex),
      SCMP_SYS(getrandom),
      SCMP_SYS(clock_gettime),
      SCMP_SYS(clock_nanosleep),
      SCMP_SYS(munmap),
      SCMP_SYS(mremap),
      SCMP_SYS(madvise),
      SCMP_SYS(brk),
      SCMP_SYS(rt_sigreturn),
      SCMP_SYS(rt_sigprocmask),
      SCMP_SYS(restart_syscall),
      SCMP_SYS(sched_yield),
      SCMP_SYS(getpid),
      SCMP_SYS(gettid),
      SCMP_SYS(exit),
      SCMP_SYS(exit_group),
#ifdef ASSAY_SANITIZED
      // For the sanitizers' runtimes: background threads, stacks for signals, reports. UBSan uses a pipe to
      // check whether memory can be read.
      SCMP_SYS(nanosleep),
      SCMP_SYS(write),
      SCMP_SYS(sigaltstack),
      SCMP_SYS(rt_sigaction),
      SCMP_SYS(readlink),
      SCMP_SYS(tgkill),
      SCMP_SYS(gettimeofday),
      SCMP_SYS(rseq),
      SCMP_SYS(pipe2),
#endif
  };
  for (const int call : always)
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0) != 0)
      return Fail(LibError("seccomp", "a rule is refused"));
  // Memory may be mapped, but not as executable.
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)})
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) !=
        0)
      return Fail(LibError("seccomp", "a rule is refused"));
  if (seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0)
    return Fail(LibError("seccomp", "this kernel can't apply a filter to all threads at once"));
  if (const int error = seccomp_load(filter.get()); error != 0) return Fail(OsError("seccomp", "", -error));
  return {};
}

}  // namespace assay::attest
