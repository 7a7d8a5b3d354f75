// Internal: file systems that another program or machine serves, so that reading them may take for ever.
//
//   ServedFiles served;
//   if (served.Has(fd, device, tid)) ...      // asks no file system
//   ASSAY_TRY(AbortFuse(device));             // the last means: whoever waits for its server goes on with an
//   error
//
// Contract: what can't be told counts as served. Thread-safe. Forget() when mounts change: a number may have
// a new owner.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
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

// The device of a mount, by the mount's number in our mount namespace or in that of a task. Asks no file
// system.
std::optional<dev_t> DeviceOfMount(std::uint64_t mount, pid_t tid);

// Writing to it ends the FUSE connection of the file system on this device. Source: fuse.rst, "Control
// filesystem".
Result<UniqueFd> OpenFuseAbort(dev_t device);
Result<> AbortFuse(dev_t device);

}  // namespace assay::measure
