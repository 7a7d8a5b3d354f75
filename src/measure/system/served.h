// Internal: file systems that another program or machine serves, so that a read may never return.
//
//   // given: int fd, dev_t device, pid_t tid
//   ServedFiles served;
//   if (served.Has(fd, device, tid)) {   // makes no request to the file system
//     ASSAY_TRY(AbortFuse(device));      // the last resort: tasks that wait for the server get an error
//   }
//
// Contract: a file system whose kind can't be told counts as served. Thread-safe. Call Forget() when mounts
// change, because a device number may be reused.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"
#include "measure/system/mount_watch.h"

namespace assay::measure {

bool IsServedType(std::string_view type);  // "fuse.sshfs", "nfs4", "overlay" (it may lie on one)

// Whether opening or reading a file on this mount may wait for another program or machine: by its type, by
// the layers of an overlay, by its device (nbd, ublk, rbd), or since it lies in such a mount. mounts: all of
// the same mount namespace.
bool IsServedMount(const Mount& mount, const std::vector<Mount>& mounts);
// The mount that a path lies in, by the paths alone; null: none.
const Mount* MountOf(std::string_view path, const std::vector<Mount>& mounts);

class ServedFiles {
 public:
  bool Has(int fd, dev_t device, pid_t tid);
  void Forget();

 private:
  Mutex mutex_;
  std::map<dev_t, bool> known_ ASSAY_GUARDED_BY(mutex_);
};

std::optional<dev_t> ParseDevice(std::string_view text);  // "8:1", as a mount names it
// The device of a mount, by the mount's number in our mount namespace or in that of a task. Asks no file
// system.
std::optional<dev_t> DeviceOfMount(std::uint64_t mount, pid_t tid);

// A write to this descriptor ends the FUSE connection of the file system on this device. Source: fuse.rst,
// "Control filesystem".
Result<UniqueFd> OpenFuseAbort(dev_t device);
Result<> AbortFuse(dev_t device);

}  // namespace assay::measure
