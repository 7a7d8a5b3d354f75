// Watches for mounts that appear, so that an engine can mark them too.
//
//   const auto watch = MountWatch::Start([](const Mount& mount) { log::Info("{}", mount.point); });
//   if (!watch) return Fail(watch.error());
//
// Contract: the callback runs on the watch's thread, once for each mount that did not exist at the start,
// soon after it appears. An engine does not see programs that run from the mount before the callback
// (docs/limitations.md). Mounts whose file system holds no files of its own (proc, sysfs, cgroup, ...) are
// left out. The watch sees the mount namespace of the thread that started it. Source: proc_pid_mountinfo(5).
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
