// The control group of a task: by it services and containers are told apart.
//
//   Cgroups cgroups;
//   context.cgroup = cgroups.Path(request.cgroup);   // "/system.slice/ssh.service"
//
// Contract: paths of the unified hierarchy, as the attester's own cgroup namespace names them. What can't be
// told (it is gone, or no unified hierarchy is mounted here) is empty. Safe from any thread. Source:
// Linux 6.12 kernel/cgroup/cgroup.c, fs/kernfs/mount.c (a group's number is the handle of its directory).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/fd.h"
#include "base/mutex.h"

namespace assay::measure {

// Of a task that exists: its line "0::/path" in /proc.
std::optional<std::string> CgroupOf(pid_t tid);

// By their numbers, also of tasks that are gone.
class Cgroups {
 public:
  Cgroups();
  std::string Path(std::uint64_t id);

 private:
  void Find() ASSAY_REQUIRES(mutex_);
  std::string Look(std::uint64_t id) const ASSAY_REQUIRES(mutex_);

  Mutex mutex_;
  std::string mount_point_ ASSAY_GUARDED_BY(mutex_);
  UniqueFd mount_ ASSAY_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point tried_ ASSAY_GUARDED_BY(mutex_);
  // Numbers are never given again, and groups are not renamed.
  std::unordered_map<std::uint64_t, std::string> known_ ASSAY_GUARDED_BY(mutex_);
};

}  // namespace assay::measure
