// Internal: what is done for this process when it is killed while its threads wait for file systems that do
// not answer. A thread that waits for a FUSE server can't be killed: it would keep the process's descriptors
// (fanotify groups, locks, the gate) until the server answers. So a child ends the connections of such
// servers.
//
//   // given: const void* owner, dev_t device
//   EndAtDeath(owner, {device});   // this owner's threads wait for that file system
//   EndAtDeath(owner, {});         // they have come back
//
// Contract: returns at once. The child is started when a device is named first. It ends connections only when
// this process is dead and some thread of it is still there (looked at twice a second), and ends when this
// process has ended whole. Where a device is not FUSE's nothing can be done: the kernel ends those waits
// itself, or nothing does (docs/limitations.md). Thread-safe.
#pragma once

#include <sys/types.h>

#include <set>

namespace assay::measure {

void EndAtDeath(const void* owner, std::set<dev_t> devices);

}  // namespace assay::measure
