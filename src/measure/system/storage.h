// What a file system's content comes from, asked of sysfs: whether it can change where no hook sees it.
//
//   ASSAY_ASSIGN(UniqueFd sysfs, OpenSysfs());
//   const Storage s = JudgeStorage(sysfs.get(), {.magic = 0xEF53, .device = "253:0"}, mounts);
//   if (!s.steady) log::Info("never clean: {}", s.why);
//
// Contract: steady only if every device under the file system was found, down to disks that the kernel drives
// itself: through partitions, device-mapper (LVM, LUKS, verity), md and NVMe multipath. A loop device, a disk
// that a program or another machine serves, and whatever is not known make it unsteady, as does an error. At
// most 256 devices are looked at; each is looked at once. Only what is already in place is judged: whoever
// changes it must have it judged anew. docs/notes/2026-11-24-lsm-engine.md, "Storage".
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
  std::string device;       // "8:1"; major number 0: it has no block device of its own
};
struct Storage {
  bool steady = false;
  bool served = false;  // a program or another machine answers: reading may block
  std::string why;      // it is not steady
};
Storage JudgeStorage(int sysfs, const FileSystem& fs, std::span<const Mount> mounts);

// A mount of our own that has no place in any tree: nothing can be mounted over it.
Result<UniqueFd> OpenSysfs();

}  // namespace assay::measure
