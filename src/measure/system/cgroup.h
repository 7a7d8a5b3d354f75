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
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/fd.h"

namespace assay::measure {

// The control group of a task that exists, from its line "0::/path" in /proc.
std::optional<std::string> CgroupOf(pid_t tid);

// Control groups by their numbers, also after the task has ended.
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
  // A number is never reused, and a group is never renamed.
  std::unordered_map<std::uint64_t, std::string> known_;
};

}  // namespace assay::measure
