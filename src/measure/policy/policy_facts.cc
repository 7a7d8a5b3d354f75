#include <dirent.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/bytes.h"
#include "base/fd.h"
#include "measure/policy/policy.h"
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

std::string UuidText(const std::uint8_t* uuid) {
  const std::string hex = Hex(ByteView(uuid, 16));
  std::string text;
  for (std::size_t at = 0; at < hex.size(); ++at) {
    if (at == 8 || at == 12 || at == 16 || at == 20) text += '-';
    text += hex[at];
  }
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

}  // namespace

Facts GatherFacts(int fd, const std::string& path, const Task& task, std::uint32_t needs) {
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
  if ((needs & kNeedIds) != 0) {
    facts.uid = task.uid;
    facts.euid = task.euid;
    facts.gid = task.gid;
    facts.egid = task.egid;
  }
  if ((needs & kNeedCgroup) != 0) facts.cgroup = task.cgroup;
  return facts;
}

}  // namespace assay::measure
