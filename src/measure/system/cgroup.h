// The control group of a task, which tells services and containers apart.
//
//   // given: std::uint64_t number, pid_t tid
//   Cgroups cgroups;
//   const std::string path = cgroups.Path(number);                  // "/system.slice/ssh.service"
//   const std::optional<std::string> same = CgroupOf(tid);          // of a task that exists
//
// Contract: paths of the unified hierarchy, as the attester's own cgroup namespace names them. The path is
// empty where it can't be told: the group is gone, or no unified hierarchy is mounted here. Safe from any
// thread. Source: Linux 6.12 kernel/cgroup/cgroup.c, fs/kernfs/mount.c (a group's number is the handle of its
// directory).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/fd.h"
#include "base/mutex.h"

namespace assay::measure {

// The unified hierarchy's line "0::/path" in the text of /proc/PID/cgroup: the path. Source: cgroups(7).
std::optional<std::string> CgroupIn(std::string_view text);
// Of a task that exists.
std::optional<std::string> CgroupOf(pid_t tid);

// Control groups by their numbers, also after the task has ended.
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
