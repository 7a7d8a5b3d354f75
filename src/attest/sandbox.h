// Giving up rights for good: the network-facing process does this before it reads a byte from a peer.
//
//   // given: pid_t parent, unsigned descriptors
//   ASSAY_TRY(DropPrivileges(65534, 65534, parent));
//   ASSAY_ASSIGN(std::uint32_t abi, ForbidFiles());        // 0: this kernel has no Landlock
//   // threads are started here: they inherit all of the above
//   ASSAY_TRY(LimitResources(descriptors));
//   ASSAY_TRY(AllowOnlyServing());                         // seccomp, for all threads of the process
//
// Contract: the calls are made in this order, and the process has one thread until it starts its others. No
// call can be undone. A system call that is not on the list kills the process.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"

namespace assay::attest {

// Sets user and group, drops the supplementary groups and the capabilities of every set, sets no_new_privs,
// and makes the process not dumpable. The process dies with its parent (StateError "sandbox.orphan" if the
// parent has already ended).
Result<> DropPrivileges(uid_t uid, gid_t gid, pid_t parent);

// Enters a Landlock domain that forbids everything that this kernel's Landlock can forbid: files, TCP bind
// and connect, abstract sockets and signals to the outside. Returns the Landlock ABI.
Result<std::uint32_t> ForbidFiles();

// Forbids new processes, writing to files and core dumps, and bounds descriptors and memory.
Result<> LimitResources(unsigned descriptors);

// Allows the system calls that serving over open sockets needs, and none that opens or makes files, executes
// or signals.
Result<> AllowOnlyServing();

}  // namespace assay::attest
