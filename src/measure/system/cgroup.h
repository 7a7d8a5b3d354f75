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
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/fd.h"

namespace assay::measure {

// The unified hierarchy's line "0::/path" in the text of /proc/PID/cgroup: the path. Source: cgroups(7).
std::optional<std::string> CgroupIn(std::string_view text);
// Of a task that exists.
std::optional<std::string> CgroupOf(pid_t tid);

// By their numbers, also of tasks that are gone.
class Cgroups {
 public:
  Cgroups();
  std::string Path(std::uint64_t id);

 private:
  void Find();
  std::string Look(std::uint64_t id) const;

  std::string mount_point_;
  UniqueFd mount_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point tried_;
  std::unordered_map<std::uint64_t, std::string> known_;  // numbers are never given again, groups not renamed
};

}  // namespace assay::measure
