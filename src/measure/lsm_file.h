// Internal: from a request of the lsm engine to a descriptor of exactly that file, and the names of things.
//
//   ASSAY_ASSIGN(RequestedFile file, OpenRequested(request, programs));
//
// Contract: what is returned is the file that the waiting thread is about to load: the kernel itself compared
// the inodes and said so (ASSAY_IDENTIFY). Nothing but regular files is opened. Of the waiting thread only
// /proc/TID/root, fd and fdinfo are used, and of what it has open only what can be the file: others may be on
// a file system whose server never answers.
#pragma once

#include <set>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "measure/lsm_programs.h"
#include "measure/lsm_wire.h"
#include "measure/recorder.h"

namespace assay::measure {

struct RequestedFile {
  UniqueFd file;
  std::string path;  // as the attester sees it; of one that it can't name: as the task did
};
Result<RequestedFile> OpenRequested(const assay_request& request, const LsmPrograms& programs);
// "exec", "mmap", "open", "module", "firmware", ...: the hook's name in the journal.
std::string HookName(std::uint32_t kind, std::uint32_t detail);
// A memfd that somebody may still write to: no count of writers tells.
bool IsUnsealedMemory(int fd);
// An ELF program whose headers ask for an executable stack: the kernel makes one without asking any hook.
bool WantsExecutableStack(int fd);
// An executable file's name; what is known of it otherwise, where the process is gone.
std::string ProgramOf(pid_t tgid, const char* otherwise);
// The files that a process has mapped executable: names, for those that still have one.
std::set<std::string> ExecutableFiles(pid_t pid);
// The file that is mapped at an address, through /proc/TGID/map_files. Not for tasks that wait.
Result<UniqueFd> OpenMapped(pid_t tgid, std::uint64_t address);

}  // namespace assay::measure
