// Internal: from a request of the lsm engine to a descriptor of exactly that file, and the names of things.
//
//   // given: const assay_request& request, const LsmPrograms& programs
//   ASSAY_ASSIGN(RequestedFile requested, OpenRequested(request, programs));
//   log::Info("{} {}", HookName(request.kind, request.detail), requested.path);
//
// Contract: what is returned is the file that the waiting thread is about to load: the kernel itself compared
// the inodes and said so (ASSAY_IDENTIFY). Nothing but regular files is opened. Of the waiting thread only
// /proc/TID/root, fd and fdinfo are used. Of its descriptors only those that can be the file are opened,
// because others may be on a file system whose server never answers.
#pragma once

#include <set>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "measure/lsm/kernel/wire.h"
#include "measure/lsm/programs.h"
#include "measure/record/recorder.h"

namespace assay::measure {

struct RequestedFile {
  UniqueFd file;
  std::string path;  // as the attester sees it; if it can't name the file, as the task did
};
// Whether the task that waits already has the file open.
bool HasOpen(const assay_request& request);
Result<RequestedFile> OpenRequested(const assay_request& request, const LsmPrograms& programs);
// "exec", "mmap", "open", "module", "firmware", ...: the hook's name in the journal.
std::string HookName(std::uint32_t kind, std::uint32_t detail);
// Whether it is a memfd or shared memory that can still be written to, which no count of writers shows.
bool IsUnsealedMemory(int fd);
// Writes the file to its disk and drops it from memory. True: no page of it is in memory any more, so no
// process holds a page that it could still write to. False for files that are only in memory (tmpfs) and for
// files that a process has mapped. Waits up to 85 ms for pages that are held.
bool DropPages(int fd);
// Executable memory that an ELF file's headers ask for besides its content: the kernel makes it without
// asking any hook.
struct MemoryHeaders {
  bool executable_stack = false;
  bool executable_memory = false;  // a segment that is longer in memory than in the file
};
MemoryHeaders MemoryHeadersOf(int fd);
// The name of a process's executable file; `otherwise` if the process has ended.
std::string ProgramOf(pid_t tgid, const char* otherwise);
// The names of the files that a process has mapped executable, as far as they still have one.
std::set<std::string> ExecutableFiles(pid_t pid);
// The file that is mapped at an address, opened by O_PATH through /proc/TGID/map_files, without a request to
// its file system. Must not be called for a task that waits.
Result<UniqueFd> OpenMapped(pid_t tgid, std::uint64_t address);

}  // namespace assay::measure
