#include <dirent.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "base/bytes.h"
#include "base/fd.h"
#include "measure/policy/policy.h"
#include "measure/system/cgroup.h"
#include "measure/system/file.h"
#include "measure/system/mounts.h"

#ifndef FS_IOC_GETFSUUID  // Linux 6.9, newer than Debian 12's headers
struct fsuuid2 {
  std::uint8_t len;
  std::uint8_t uuid[16];
};
#define FS_IOC_GETFSUUID _IOR(0x15, 0, struct fsuuid2)
#endif

namespace assay::measure {
namespace {

constexpr std::size_t kMaxProcFile = std::size_t{16} << 20;

std::string UuidText(const std::uint8_t* uuid) {
  std::string text = Hex(ByteView(uuid, 16));
  for (const std::size_t at : {8U, 13U, 18U, 23U}) text.insert(at, "-");
  return text;
}

// The UUID that the file system reports, or else that of udev's link to its device.
std::optional<std::string> UuidOf(int fd, const struct stat& st) {
  fsuuid2 answer{};
  if (ioctl(fd, FS_IOC_GETFSUUID, &answer) == 0 && answer.len == 16) return UuidText(answer.uuid);
  const std::string folder = "/dev/disk/by-uuid/";
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
  while (dir != nullptr) {
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) break;
    struct stat device{};
    if (stat((folder + entry->d_name).c_str(), &device) != 0 || !S_ISBLK(device.st_mode)) continue;
    if (device.st_rdev != st.st_dev) continue;
    std::string text = entry->d_name;
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
  }
  return std::nullopt;
}

// "Uid:\treal\teffective\tsaved\tfs". Source: proc(5).
void TakeIds(std::string_view status, std::string_view label, std::optional<uid_t>& real,
             std::optional<uid_t>& effective) {
  const std::size_t at = status.find(label);
  if (at == std::string_view::npos) return;
  const char* p = status.data() + at + label.size();
  const char* const end = status.data() + status.size();
  uid_t first = 0, second = 0;
  const auto one = std::from_chars(p, end, first);
  if (one.ec != std::errc() || one.ptr == end) return;
  const auto two = std::from_chars(one.ptr + 1, end, second);
  if (two.ec != std::errc()) return;
  real = first;
  effective = second;
}

}  // namespace

Facts GatherFacts(int fd, const std::string& path, pid_t tid, std::uint32_t needs) {
  Facts facts;
  struct stat st{};
  const bool have_stat = fd >= 0 && (needs & (kNeedOwner | kNeedFsUuid)) != 0 && fstat(fd, &st) == 0;
  if ((needs & kNeedMagic) != 0) {
    struct statfs fs{};
    if (fstatfs(fd, &fs) == 0) facts.fs_magic = static_cast<std::uint32_t>(fs.f_type);
  }
  if ((needs & kNeedOwner) != 0 && have_stat) {
    facts.owner = st.st_uid;
    facts.group = st.st_gid;
  }
  if ((needs & kNeedFsUuid) != 0 && have_stat) facts.fs_uuid = UuidOf(fd, st);
  if ((needs & kNeedFsName) != 0 && fd >= 0) facts.fs_name = MountTypeOf(fd);
  if ((needs & kNeedPath) != 0 && path.starts_with('/')) facts.path = path;
  const std::string process = "/proc/" + std::to_string(tid);
  if ((needs & kNeedIds) != 0) {
    if (const Result<Bytes> status = ReadFile(process + "/status", kMaxProcFile); status) {
      TakeIds(AsText(*status), "\nUid:\t", facts.uid, facts.euid);
      TakeIds(AsText(*status), "\nGid:\t", facts.gid, facts.egid);
    }
  }
  if ((needs & kNeedCgroup) != 0) facts.cgroup = CgroupOf(tid);
  return facts;
}

}  // namespace assay::measure
