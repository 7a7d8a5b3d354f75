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

#include <map>
#include <mutex>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace assay::measure {

bool IsServedType(std::string_view type);  // "fuse.sshfs", "nfs4", "overlay" (it may lie on one)

class ServedFiles {
 public:
  bool Has(int fd, dev_t device, pid_t tid);
  void Forget();

 private:
  std::mutex mutex_;
  std::map<dev_t, bool> known_;
};

// A write to this descriptor ends the FUSE connection of the file system on this device. Source: fuse.rst,
// "Control filesystem".
Result<UniqueFd> OpenFuseAbort(dev_t device);
Result<> AbortFuse(dev_t device);

}  // namespace assay::measure
