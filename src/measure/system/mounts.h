// The mounts of a namespace, as the kernel tells them in /proc/PID/mountinfo.
//
//   // given: int fd
//   ASSAY_ASSIGN(std::vector<Mount> mounts, ReadMounts());
//   const std::optional<std::string> type = MountTypeOf(fd);  // "ext4"
//
// Contract: of the mount namespace of the calling thread, where no other one is named. At most 16 MiB of text
// (some 100,000 mounts); more, or a line that is not of its form, is an error. No file system is asked.
// Source: proc_pid_mountinfo(5).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay::measure {

inline constexpr std::size_t kMaxMountInfo = std::size_t{16} << 20;  // bytes
inline constexpr const char* kOwnMountInfo = "/proc/thread-self/mountinfo";

struct Mount {
  std::uint64_t id = 0;  // mount ID
  std::string point;     // as seen in this namespace, octal escapes undone
  std::string type;      // "ext4"
  std::string device;    // "8:1": of the file system
  std::string options;   // the file system's own, "rw,errors=remount-ro"
};
Result<std::vector<Mount>> ParseMountInfo(std::string_view text);
Result<std::vector<Mount>> ReadMounts(const std::string& mountinfo = kOwnMountInfo);
Result<std::vector<Mount>> ReadMounts(int fd);  // of an open mountinfo, from its start

// Whether its file system holds files of its own: proc, sysfs, cgroup and their kin do not.
bool HoldsFiles(const Mount& mount);

// By its mount ID; nullopt where that namespace does not have it, or can't be read.
std::optional<Mount> FindMount(std::uint64_t id, const std::string& mountinfo = kOwnMountInfo);
// The type of the mount that the descriptor was opened through; nullopt where that namespace does not have
// it.
std::optional<std::string> MountTypeOf(int fd, const std::string& mountinfo = kOwnMountInfo);

}  // namespace assay::measure
