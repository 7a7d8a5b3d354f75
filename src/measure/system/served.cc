#include "measure/system/served.h"

#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <array>
#include <optional>
#include <string>

#include "measure/system/mounts.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxKnown = 4096;

// The type of the mount, from our mountinfo or from the task's.
std::optional<std::string> TypeOf(int fd, pid_t tid) {
  std::optional<std::string> type = MountTypeOf(fd);
  return type ? type : MountTypeOf(fd, "/proc/" + std::to_string(tid) + "/mountinfo");
}

}  // namespace

bool IsServedType(std::string_view type) {
  constexpr std::array<std::string_view, 9> kTypes{"fuseblk", "virtiofs", "nfs",  "nfs4", "cifs",
                                                   "smb3",    "9p",       "ceph", "afs"};
  for (const std::string_view served : kTypes)
    if (type == served) return true;
  return type.starts_with("fuse") || type == "overlay";
}

bool ServedFiles::Has(int fd, dev_t device, pid_t tid) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = known_.find(device); at != known_.end()) return at->second;
  }
  const std::optional<std::string> type = TypeOf(fd, tid);
  const bool served = !type || IsServedType(*type);
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kMaxKnown) known_.clear();
  known_[device] = served;
  return served;
}

void ServedFiles::Forget() {
  const std::lock_guard lock(mutex_);
  known_.clear();
}

// fusectl is not attached to any path, so that a kill leaves no mount behind.
Result<UniqueFd> OpenFuseAbort(dev_t device) {
  const UniqueFd made(fsopen("fusectl", FSOPEN_CLOEXEC));
  if (!made) return Fail(OsError("fsopen", "fusectl", errno));
  if (fsconfig(made.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Fail(OsError("fsconfig", "fusectl", errno));
  const UniqueFd root(
      fsmount(made.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!root) return Fail(OsError("fsmount", "fusectl", errno));
  // The folder of a connection is named by the kernel's own form of the device number.
  const std::string name = std::to_string(std::uint64_t{major(device)} << 20 | minor(device)) + "/abort";
  UniqueFd abort(openat(root.get(), name.c_str(), O_WRONLY | O_CLOEXEC));
  if (!abort) return Fail(OsError("openat", "fusectl/" + name, errno));
  return abort;
}

Result<> AbortFuse(dev_t device) {
  ASSAY_ASSIGN(const UniqueFd abort, OpenFuseAbort(device));
  return WriteAll(abort.get(), AsBytes("1"));
}

}  // namespace assay::measure
