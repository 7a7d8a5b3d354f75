// Internal: one file's content, hashed while nobody writes to it, and what became of it.
//
//   FileState before = Hold(fd);                     // takes a read lease: writers wait
//   ASSAY_ASSIGN(Digest d, HashFd(fd));
//   if (before == FileState::kHeld && StillHeld(fd)) ... the digest is of content that nobody changed
//   Release(fd);
//
// Contract: a read lease can be had only while no descriptor is open for writing, and a writer that comes
// later waits in its open() until it is released (at most /proc/sys/fs/lease-break-time). Source: fcntl(2),
// F_SETLEASE. SIGIO, which a waiting writer causes, is ignored from the first Hold() on.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/result.h"
#include "measure/system/measurement.h"

namespace assay::measure {

enum class FileState { kHeld, kWriters, kNoLeases };  // kNoLeases: this file system has none (NFS, FUSE)
FileState Hold(int fd);
bool StillHeld(int fd);  // false: a writer is waiting
void Release(int fd);

// From offset 0 to the end, whatever the descriptor's position. stop: looked at between blocks; once it is
// set nobody wants the digest any more (StateError "measure.late").
Result<Digest> HashFd(int fd, HashAlg alg, std::uint64_t* bytes, const std::atomic<bool>* stop = nullptr);

// The kernel's name for it; one that was removed is named as it was.
Result<std::string> NameOfFd(int fd);
// What /proc says of a process's descriptor, without asking the file system that it is on. Source:
// proc_pid_fdinfo(5).
struct FdInfo {
  std::uint64_t mount = 0;  // number of the mount
  std::uint64_t inode = 0;
};
Result<FdInfo> FdInfoOf(const std::string& process, const std::string& fd);  // "/proc/self", "5"
// What kind of ELF file it is. An object is a compiler's intermediate result, which nothing can load as it
// is; whatever is not plainly so counts as loadable. Sources: elf(5); Linux 6.12 kernel/module/main.c,
// setup_load_info(): a module is relocatable and has a section .gnu.linkonce.this_module.
enum class ElfKind { kNone, kObject, kModule, kLoadable };
ElfKind ElfKindOf(int fd);
// What /proc says of a thread, as far as it is still there.
struct ThreadStatus {
  std::string comm;
  pid_t process = 0;  // or the thread's own number, where it can't be told
  std::optional<uid_t> uid{}, euid{};
  std::optional<gid_t> gid{}, egid{};
  std::optional<std::string> cgroup{};
};
ThreadStatus StatusOf(pid_t tid);
Context ContextOf(const ThreadStatus& thread, std::string hook);
Context ContextOf(pid_t tid, std::string hook);
// The flags of the open that the thread's system call does; nothing where that can't be told.
std::optional<int> OpenFlagsOf(pid_t tid);
// Whether any process has the file mapped executable.
bool IsMappedExecutable(dev_t device, ino_t inode);

}  // namespace assay::measure
