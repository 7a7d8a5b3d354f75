// Watches for mounts that appear, so that an engine can mark them too.
//
//   ASSAY_ASSIGN(std::unique_ptr<MountWatch> w, MountWatch::Start([&](const Mount& m) { engine.Mark(m.point);
//   }));
//
// Contract: the callback runs on the watch's thread, once for each mount that was not there at the start,
// soon after it appears; what runs on it between the mount and the callback is not seen
// (docs/limitations.md). Mounts whose file system holds no files of its own (proc, sysfs, cgroup, ...) are
// left out. Sees the mount namespace of the starting thread. Source: proc(5), /proc/pid/mountinfo.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace assay::measure {

struct Mount {
  std::uint64_t id = 0;  // mount ID
  std::string point;     // as seen in this namespace, octal escapes undone
  std::string type;      // "ext4"
  std::string device;    // "8:1": of the file system
  std::string options;   // the file system's own, "rw,errors=remount-ro"
};
// Bounded reading of mountinfo's text; lines that are not of its form are errors.
Result<std::vector<Mount>> ParseMountInfo(std::string_view text);
bool HoldsFiles(const Mount& mount);

class MountWatch {
 public:
  static Result<std::unique_ptr<MountWatch>> Start(std::function<void(const Mount&)> appeared);
  ~MountWatch();

 private:
  struct Impl;
  explicit MountWatch(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
