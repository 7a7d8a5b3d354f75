// Giving up rights for good: what the network-facing process does before it reads a byte from anybody.
//
//   ASSAY_TRY(DropPrivileges(65534, 65534, parent));
//   ASSAY_ASSIGN(std::uint32_t abi, ForbidFiles());        // 0: this kernel has no Landlock
//   ... threads are made here: all of the above is inherited by them ...
//   ASSAY_TRY(LimitResources(descriptors));
//   ASSAY_TRY(AllowOnlyServing());                         // seccomp, for all threads of the process
//
// Contract: in this order, from a single thread up to the making of threads. Nothing can be taken back. A
// system call that is not on the list kills the process.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"

namespace assay::attest {

// User and group, no supplementary groups, no capability in any set, no_new_privs, not dumpable; dies with
// its parent (StateError "sandbox.orphan" if that is gone already).
Result<> DropPrivileges(uid_t uid, gid_t gid, pid_t parent);

// A Landlock domain in which nothing is allowed of all that this kernel's Landlock knows: files, TCP bind and
// connect, abstract sockets and signals to the outside. Returns its ABI.
Result<std::uint32_t> ForbidFiles();

// No processes, no files to write, no core; so many descriptors; a bound on memory.
Result<> LimitResources(unsigned descriptors);

// What serving over sockets that are there needs, and nothing that opens, makes, executes or signals.
Result<> AllowOnlyServing();

}  // namespace assay::attest
