// Internal: hashes a file's content while no process writes to it, and tells facts about files and tasks.
//
//   // given: int fd
//   const FileState state = Hold(fd);                // takes a read lease: writers wait
//   ASSAY_ASSIGN(Digest digest, HashFd(fd, HashAlg::kSha256, nullptr));
//   const bool unchanged = state == FileState::kHeld && StillHeld(fd);   // the digest is of stable content
//   Release(fd);
//
// Contract: a read lease is granted only while no descriptor is open for writing. A task that opens the file
// for writing later waits in open() until the lease is released (at most /proc/sys/fs/lease-break-time).
// Source: fcntl(2), F_SETLEASE. A waiting writer causes SIGIO, which this process ignores from the first
// Hold() on.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"
#include "measure/system/file_id.h"
#include "measure/system/measurement.h"

namespace assay::measure {

enum class FileState { kHeld, kWriters, kNoLeases };  // kNoLeases: the file system supports none (NFS, FUSE)
FileState Hold(int fd);
bool StillHeld(int fd);  // false: a writer is waiting
void Release(int fd);

// Hashes from offset 0 to the end, whatever the descriptor's position. stop: checked between blocks; once it
// is set the digest is no longer needed (StateError "measure.late").
Result<Digest> HashFd(int fd, HashAlg alg, std::uint64_t* bytes, const std::atomic<bool>* stop = nullptr);

// The kernel's name of the file. A removed file has the name that it had.
Result<std::string> NameOfFd(int fd);
// The path at which a file lies or lay, of its name in /proc: without the kernel's " (deleted)".
std::string_view PlaceOf(std::string_view name);
// What /proc tells of a process's descriptor, without a request to the file system that it is on. Source:
// proc_pid_fdinfo(5).
struct FdInfo {
  std::uint64_t mount = 0;  // number of the mount
  std::uint64_t inode = 0;
};
Result<FdInfo> ParseFdInfo(std::string_view text);
Result<FdInfo> FdInfoOf(const std::string& process, const std::string& fd);  // "/proc/self", "5"
// The kind of an ELF file. An object is a compiler's intermediate result, which can't be loaded. Every ELF
// file that is not clearly an object or a module counts as loadable. Sources: elf(5); Linux 6.12
// kernel/module/main.c, setup_load_info(): a module is relocatable and has a section
// .gnu.linkonce.this_module.
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
// The flags of the open() that the thread is in; nullopt where they can't be told.
std::optional<int> OpenFlagsOf(pid_t tid);
// The processes that have the file mapped executable, and those with too many mappings to look at.
std::set<pid_t> ExecutableMappersOf(FileId file);

}  // namespace assay::measure
