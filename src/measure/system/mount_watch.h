// Watches for mounts that appear, so that an engine can mark them too.
//
//   ASSAY_ASSIGN(std::unique_ptr<MountWatch> w, MountWatch::Start([&](const Mount& m) { engine.Mark(m.point);
//   }));
//
// Contract: the callback runs on the watch's thread, once for each mount that was not there at the start,
// soon after it appears; what runs on it between the mount and the callback is not seen
// (docs/limitations.md). Mounts whose file system holds no files of its own (proc, sysfs, cgroup, ...) are
// left out. Sees the mount namespace of the starting thread. Source: proc_pid_mountinfo(5).
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "measure/system/mounts.h"

namespace assay::measure {

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
