// The devices under a file system, found in sysfs: they tell whether its content can change without a hook
// that sees it.
//
//   // given: std::span<const Mount> mounts
//   ASSAY_ASSIGN(UniqueFd sysfs, OpenSysfs());
//   const Storage storage = JudgeStorage(sysfs.get(), {.magic = 0xEF53, .device = "253:0"}, mounts);
//   if (!storage.steady) log::Info("never clean: {}", storage.why);
//
// Contract: steady only if every device under the file system was found, down to disks that the kernel drives
// itself: through partitions, device-mapper (LVM, LUKS, verity), md and NVMe multipath. A loop device, a disk
// that a program or another machine serves, any unknown device and any error make it unsteady. At most 256
// devices are looked at, each once. The judgement holds for the present devices: after a change the caller
// must ask again. docs/notes/2026-11-24-lsm-engine.md, "Storage".
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "measure/system/mounts.h"

namespace assay::measure {

struct FileSystem {
  std::uint64_t magic = 0;  // statfs(2), f_type
  std::string device;       // "8:1"; major number 0: the file system has no block device of its own
};
struct Storage {
  bool steady = false;
  bool served = false;  // a program or another machine serves it: reads may block
  std::string why;      // why it is not steady
};
Storage JudgeStorage(int sysfs, const FileSystem& fs, std::span<const Mount> mounts);

// A detached mount of sysfs, over which no other file system can be mounted.
Result<UniqueFd> OpenSysfs();

}  // namespace assay::measure
