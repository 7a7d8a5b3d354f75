// Watches for mounts that appear, so that an engine can mark them too.
//
//   const auto watch = MountWatch::Start([](const Mount& mount) { log::Info("{}", mount.point); });
//   if (!watch) return Fail(watch.error());
//
// Contract: the callback runs on the watch's thread, once for each mount that did not exist at the start,
// soon after it appears. An engine does not see programs that run from the mount before the callback
// (docs/limitations.md). Mounts whose file system holds no files of its own (proc, sysfs, cgroup, ...) are
// left out. The watch sees the mount namespace of the thread that started it. Source: proc(5),
// /proc/pid/mountinfo.
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
  std::string point;     // as seen in this namespace, with octal escapes decoded
  std::string type;      // "ext4"
  std::string device;    // "8:1", of the file system
  std::string options;   // the file system's own, "rw,errors=remount-ro"
};
// Parses the text of mountinfo, with bounds; a malformed line is an error.
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
