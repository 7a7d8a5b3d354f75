// Internal: the last means for this process if it is killed while its threads wait for file systems that do
// not answer. A thread that waits for a FUSE server can't be killed, and would keep the process's descriptors
// (fanotify groups, locks, the gate) until the server answers. So a child process ends the connections of
// such servers.
//
//   // given: const void* owner, dev_t device
//   EndAtDeath(owner, {device});   // this owner's threads wait for that file system
//   EndAtDeath(owner, {});         // they have come back
//
// Contract: returns at once. The child is started when the first device is named. It ends connections only if
// this process is dead and a thread of it is still there, for which it looks twice a second. It ends itself
// when all threads of this process have ended. For a device that is not FUSE's it can do nothing: the kernel
// ends such waits, or nothing does (docs/limitations.md). Thread-safe.
#pragma once

#include <sys/types.h>

#include <set>

namespace assay::measure {

void EndAtDeath(const void* owner, std::set<dev_t> devices);

}  // namespace assay::measure
