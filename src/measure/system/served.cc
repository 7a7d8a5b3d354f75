#include "measure/system/served.h"

#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "measure/system/file.h"
#include "measure/system/mount_watch.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxMountInfo = std::size_t{16} << 20;
constexpr std::size_t kMaxKnown = 4096;

std::optional<Mount> MountIn(const std::string& mountinfo, std::uint64_t number) {
  const Result<Bytes> text = ReadFile(mountinfo, kMaxMountInfo);
  if (!text) return std::nullopt;
  const Result<std::vector<Mount>> mounts = ParseMountInfo(AsText(*text));
  if (!mounts) return std::nullopt;
  for (const Mount& m : *mounts)
    if (m.id == number) return m;
  return std::nullopt;
}

// As our mount namespace or the task's has it.
std::optional<Mount> FindMount(std::uint64_t number, pid_t tid) {
  std::optional<Mount> mount = MountIn("/proc/thread-self/mountinfo", number);
  return mount ? mount : MountIn("/proc/" + std::to_string(tid) + "/mountinfo", number);
}

std::optional<std::string> TypeOf(int fd, pid_t tid) {
  const Result<FdInfo> info = FdInfoOf("/proc/self", std::to_string(fd));
  if (!info) return std::nullopt;
  const std::optional<Mount> mount = FindMount(info->mount, tid);
  return mount ? std::optional<std::string>(mount->type) : std::nullopt;
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

std::optional<dev_t> DeviceOfMount(std::uint64_t mount, pid_t tid) {
  const std::optional<Mount> found = FindMount(mount, tid);
  if (!found) return std::nullopt;
  const std::string& text = found->device;  // "8:1"
  const char* const end = text.data() + text.size();
  unsigned major_number = 0, minor_number = 0;
  const auto [colon, error] = std::from_chars(text.data(), end, major_number);
  if (error != std::errc() || colon == end || *colon != ':') return std::nullopt;
  if (std::from_chars(colon + 1, end, minor_number).ptr != end) return std::nullopt;
  return makedev(major_number, minor_number);
}

// Mounted nowhere: killed meanwhile, we leave no mount behind.
Result<UniqueFd> OpenFuseAbort(dev_t device) {
  const UniqueFd made(fsopen("fusectl", FSOPEN_CLOEXEC));
  if (!made) return Fail(OsError("fsopen", "fusectl", errno));
  if (fsconfig(made.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Fail(OsError("fsconfig", "fusectl", errno));
  const UniqueFd root(
      fsmount(made.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!root) return Fail(OsError("fsmount", "fusectl", errno));
  // Its folder has the kernel's own number of the device.
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
