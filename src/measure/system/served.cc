#include "measure/system/served.h"

#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "measure/system/mounts.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxKnown = 4096;

std::vector<std::string_view> Split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(by, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

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

namespace {

bool LiesIn(std::string_view path, std::string_view point) {
  return point == "/" || path == point ||
         (path.starts_with(point) && path.substr(point.size()).starts_with('/'));
}

// The folders that an overlay is made of, as its options name them: "rw,lowerdir=/a:/b,upperdir=/c". What
// can't be told by a path alone (escapes, relative ones) counts as served.
bool IsServedOverlay(const Mount& overlay, const std::vector<Mount>& mounts) {
  bool any = false;
  for (const std::string_view option : Split(overlay.options, ',')) {
    const bool lower = option.starts_with("lowerdir"), upper = option.starts_with("upperdir=");
    if (!lower && !upper) continue;
    for (const std::string_view folder :
         Split(option.substr(std::min(option.find('='), option.size() - 1) + 1), ':')) {
      if (folder.empty()) continue;
      any = true;
      const Mount* under = folder.starts_with('/') ? MountOf(folder, mounts) : nullptr;
      if (under == nullptr || folder.find('\\') != std::string_view::npos || IsServedType(under->type))
        return true;
    }
  }
  return !any;
}

bool IsServedDevice(const std::string& device) {
  std::array<char, 4096> target{};
  const ssize_t n = readlink(("/sys/dev/block/" + device).c_str(), target.data(), target.size());
  if (n <= 0) return false;  // no block device
  const std::string_view path(target.data(), static_cast<std::size_t>(n));
  for (const std::string_view part : Split(path, '/'))
    if (part.starts_with("nbd") || part.starts_with("ublkb") || part.starts_with("rbd")) return true;
  return false;
}

}  // namespace

const Mount* MountOf(std::string_view path, const std::vector<Mount>& mounts) {
  const Mount* best = nullptr;
  for (const Mount& m : mounts)
    if (LiesIn(path, m.point) && (best == nullptr || m.point.size() >= best->point.size())) best = &m;
  return best;
}

bool IsServedMount(const Mount& mount, const std::vector<Mount>& mounts) {
  if (mount.type == "overlay" ? IsServedOverlay(mount, mounts) : IsServedType(mount.type)) return true;
  if (IsServedDevice(mount.device)) return true;
  return std::any_of(mounts.begin(), mounts.end(), [&](const Mount& m) {
    return m.point != "/" && m.point != mount.point && LiesIn(mount.point, m.point) && m.type != "overlay" &&
           IsServedType(m.type);
  });
}

bool ServedFiles::Has(int fd, dev_t device, pid_t tid) {
  {
    const MutexLock lock(mutex_);
    if (const auto at = known_.find(device); at != known_.end()) return at->second;
  }
  const std::optional<std::string> type = TypeOf(fd, tid);
  const bool served = !type || IsServedType(*type);
  const MutexLock lock(mutex_);
  if (known_.size() >= kMaxKnown) known_.clear();
  known_[device] = served;
  return served;
}

void ServedFiles::Forget() {
  const MutexLock lock(mutex_);
  known_.clear();
}

std::optional<dev_t> ParseDevice(std::string_view text) {
  const char* const end = text.data() + text.size();
  unsigned major_number = 0, minor_number = 0;
  const auto [colon, error] = std::from_chars(text.data(), end, major_number);
  if (error != std::errc() || colon == end || *colon != ':') return std::nullopt;
  const auto [rest, error_after] = std::from_chars(colon + 1, end, minor_number);
  if (error_after != std::errc() || rest != end) return std::nullopt;
  return makedev(major_number, minor_number);
}

std::optional<dev_t> DeviceOfMount(std::uint64_t mount, pid_t tid) {
  std::optional<Mount> found = FindMount(mount);
  if (!found) found = FindMount(mount, "/proc/" + std::to_string(tid) + "/mountinfo");
  return found ? ParseDevice(found->device) : std::nullopt;
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
