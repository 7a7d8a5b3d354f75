#include "measure/lsm/self.h"

#include <linux/bpf.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <tuple>

namespace assay::measure {
namespace {

#ifndef MFD_EXEC
constexpr unsigned MFD_EXEC = 0x10;
#endif

constexpr std::size_t kPage = 4096;
constexpr unsigned kAllEach = 60;  // calls that others may log are made in one of so many rounds
constexpr int kNoDescriptor = 0x7FFFFFFF;
// The first four bytes are printable. Otherwise the kernel would look for a module that knows the format.
constexpr std::string_view kNoProgram = "none of the formats that the kernel knows\n";

struct Hook {
  const char* program;
  bool must;  // the test call for it always works; another hook counts as silent only if it was heard once
};
constexpr std::array<Hook, ASSAY_PULSES> kHooks{{{"on_exec", true},
                                                 {"on_mmap", true},
                                                 {"on_mprotect", true},
                                                 {"on_open", true},
                                                 {"on_release", true},
                                                 {"on_setattr", true},
                                                 {"on_rename", true},
                                                 {"on_link", true},
                                                 {"on_inode_free", false},
                                                 {"on_ioctl", true},
                                                 {"on_ptrace", false},
                                                 {"on_bpf", false},
                                                 {"on_load_data", false}}};

// The kernel checks the right to attach to the process before it looks for the descriptor, which does not
// exist.
bool Reach(pid_t process) {
  if (process <= 0) return false;
  const UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  if (!fd) return false;
  return syscall(SYS_pidfd_getfd, fd.get(), kNoDescriptor, 0) < 0 && errno == EBADF;
}

// Loads a program that the kernel refuses, but only after it has called the hook.
bool LoadNothing() {
  bpf_insn nothing{};
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = reinterpret_cast<std::uintptr_t>(&nothing);
  attr.insn_cnt = 1;
  attr.license = reinterpret_cast<std::uintptr_t>("GPL");
  const UniqueFd fd(static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr))));
  return !fd && errno == EINVAL;
}

// Loads a module whose memory can't be read.
bool LoadNoModule() { return syscall(SYS_init_module, nullptr, kPage, "") != 0 && errno == EFAULT; }

}  // namespace

Result<std::unique_ptr<LsmSelf>> LsmSelf::Start(const std::string& dir) {
  std::unique_ptr<LsmSelf> self(new LsmSelf);
  // The folder is kept as a descriptor, because after an early start the path leads elsewhere.
  ASSAY_ASSIGN(self->dir_, Open(dir, O_RDONLY | O_DIRECTORY));
  UniqueFd made(memfd_create("assay", MFD_CLOEXEC | MFD_EXEC));
  if (!made && errno == EINVAL) made.Reset(memfd_create("assay", MFD_CLOEXEC));
  if (!made) return Fail(OsError("memfd_create", "", errno));
  ASSAY_TRY(WriteAll(made.get(), AsBytes(kNoProgram)));
  // A file that is open for writing can't be executed, so it is opened again for reading.
  ASSAY_ASSIGN(self->no_program_, Open("/proc/self/fd/" + std::to_string(made.get()), O_RDONLY));
  // The device is kept as a descriptor, because an initramfs empties /dev before it ends, and a shell then
  // makes a file of this name.
  ASSAY_ASSIGN(self->null_, Open("/dev/null", O_PATH));
  struct stat st{};
  if (fstat(self->null_.get(), &st) != 0) return Fail(OsError("fstat", "/dev/null", errno));
  if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) return Fail(OsError("open", "/dev/null", ENODEV));
  return self;
}

bool LsmSelf::OpenNull() const {
  const std::string path = "/proc/self/fd/" + std::to_string(null_.get());
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return static_cast<bool>(fd);
}

bool LsmSelf::Exec() const {
  const std::string path = "/proc/self/fd/" + std::to_string(no_program_.get());
  char name[] = "assay";
  char* const argv[] = {name, nullptr};
  char* const environment[] = {nullptr};
  pid_t child = -1;
  const int failed = posix_spawn(&child, path.c_str(), nullptr, nullptr, argv, environment);
  if (failed == 0) waitpid(child, nullptr, 0);
  return failed == ENOEXEC;
}

bool LsmSelf::Map(bool then_protect) const {
  const int access = then_protect ? PROT_READ : PROT_READ | PROT_EXEC;
  void* at = mmap(nullptr, kPage, access, MAP_PRIVATE, no_program_.get(), 0);
  if (at == MAP_FAILED) return false;
  const bool done = !then_protect || mprotect(at, kPage, PROT_READ | PROT_EXEC) == 0;
  munmap(at, kPage);
  return done;
}

// Makes a file, changes its size or gives it another name, and removes it.
bool LsmSelf::Files(unsigned pulse) const {
  constexpr const char *kName = "probe", *kSecond = "probe2", *kThird = "probe3";
  const int dir = dir_.get();
  const auto clear = [dir] {
    for (const char* name : {kName, kSecond, kThird}) unlinkat(dir, name, 0);
  };
  clear();
  const UniqueFd fd(openat(dir, kName, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return false;
  bool done = true;
  if (pulse == ASSAY_PULSE_SETATTR) done = ftruncate(fd.get(), 1) == 0;
  if (pulse == ASSAY_PULSE_LINK) done = linkat(dir, kName, dir, kSecond, 0) == 0;
  if (pulse == ASSAY_PULSE_RENAME) done = renameat(dir, kName, dir, kThird) == 0;
  clear();
  return done;
}

std::set<std::string> LsmSelf::Ask(const LsmPrograms& programs, pid_t gate) {
  std::set<std::string> silent;
  for (const std::string& name : programs.MissingLinks()) silent.insert(name);
  assay_control& control = programs.control();
  __atomic_store_n(&control.probe, static_cast<std::uint32_t>(gettid()), __ATOMIC_SEQ_CST);
  const bool all = rounds_++ % kAllEach == 0;
  for (unsigned pulse = 0; pulse < ASSAY_PULSES; ++pulse) {
    if (!all && !kHooks[pulse].must && !quiet_[pulse]) continue;
    const auto read = [&] { return __atomic_load_n(&control.pulses[pulse], __ATOMIC_SEQ_CST); };
    const std::uint32_t before = read();
    bool done = false;
    switch (pulse) {
      case ASSAY_PULSE_EXEC:
        done = Exec();
        break;
      case ASSAY_PULSE_MMAP:
      case ASSAY_PULSE_MPROTECT:
        done = Map(pulse == ASSAY_PULSE_MPROTECT);
        break;
      case ASSAY_PULSE_OPEN:
      case ASSAY_PULSE_RELEASE:
        done = OpenNull();
        break;
      case ASSAY_PULSE_IOCTL:
        std::ignore = ioctl(no_program_.get(), ASSAY_IDENTIFY, 0UL);
        done = true;
        break;
      case ASSAY_PULSE_PTRACE:
        done = Reach(gate);
        break;
      case ASSAY_PULSE_BPF:
        done = LoadNothing();
        break;
      case ASSAY_PULSE_LOAD_DATA:
        done = LoadNoModule();
        break;
      default:
        done = Files(pulse);
    }
    const bool heard = read() != before;
    heard_[pulse] |= heard;
    quiet_[pulse] = !heard && done && (kHooks[pulse].must || heard_[pulse]);
    if (quiet_[pulse]) silent.insert(kHooks[pulse].program);
  }
  __atomic_store_n(&control.probe, 0, __ATOMIC_SEQ_CST);
  return silent;
}

}  // namespace assay::measure
