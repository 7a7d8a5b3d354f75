#include "measure/system/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "measure/system/mounts.h"

namespace assay::measure {
namespace {

constexpr auto kAgain = std::chrono::seconds(1);
constexpr std::size_t kMaxKnown = 4096;
constexpr int kFileidKernfs = 0xfe;  // Source: include/linux/exportfs.h, FILEID_KERNFS

}  // namespace

std::optional<std::string> CgroupIn(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with("0::/")) return std::string(line.substr(3));
  }
  return std::nullopt;
}

std::optional<std::string> CgroupOf(pid_t tid) {
  const Result<Bytes> text = ReadFile("/proc/" + std::to_string(tid) + "/cgroup", 64 << 10);
  return text ? CgroupIn(AsText(*text)) : std::nullopt;
}

Cgroups::Cgroups() { Find(); }

void Cgroups::Find() {
  tried_ = std::chrono::steady_clock::now();
  const Result<std::vector<Mount>> mounts = ReadMounts();
  if (!mounts) return;
  for (const Mount& m : *mounts) {
    if (m.type != "cgroup2") continue;
    mount_.Reset(open(m.point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    mount_point_ = m.point;
    if (mount_) return;
  }
}

std::string Cgroups::Look(std::uint64_t id) const {
  alignas(file_handle) std::uint8_t bytes[sizeof(file_handle) + sizeof(id)] = {};
  auto* const handle = reinterpret_cast<file_handle*>(bytes);
  handle->handle_bytes = sizeof(id);
  handle->handle_type = kFileidKernfs;
  std::memcpy(bytes + offsetof(file_handle, f_handle), &id, sizeof(id));
  const UniqueFd fd(open_by_handle_at(mount_.get(), handle, O_PATH | O_CLOEXEC));
  if (!fd) return "";
  char name[PATH_MAX];
  const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), name, sizeof(name));
  const std::string_view path(name, n > 0 ? static_cast<std::size_t>(n) : 0);
  if (!path.starts_with(mount_point_)) return "";
  return path.size() == mount_point_.size() ? "/" : std::string(path.substr(mount_point_.size()));
}

std::string Cgroups::Path(std::uint64_t id) {
  if (id == 0) return "";
  const MutexLock lock(mutex_);
  // An attester that was started in an initramfs runs before the hierarchy is mounted.
  if (!mount_ && std::chrono::steady_clock::now() - tried_ > kAgain) Find();
  if (!mount_) return "";
  if (const auto found = known_.find(id); found != known_.end()) return found->second;
  std::string path = Look(id);
  if (path.empty()) return path;
  if (known_.size() >= kMaxKnown) known_.clear();
  return known_.emplace(id, std::move(path)).first->second;
}

}  // namespace assay::measure
