#include "measure/system/storage.h"

#include <dirent.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "measure/system/errors.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

namespace assay::measure {
namespace {

constexpr std::size_t kMaxDevices = 256;
constexpr std::size_t kMaxEntries = 4096;  // entries read of one folder
constexpr std::string_view kDevices = "/devices/";

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() < 11 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool IsDeviceNumber(std::string_view text) {
  const std::size_t colon = text.find(':');
  return colon != std::string_view::npos && IsNumber(text.substr(0, colon)) &&
         IsNumber(text.substr(colon + 1));
}

// Whether the name is the stem ("nvme") and a number.
bool IsNumbered(std::string_view name, std::string_view stem) {
  return name.starts_with(stem) && IsNumber(name.substr(stem.size()));
}

std::vector<std::string> Split(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

// Whether the device is hardware that the kernel itself drives, judged by its path: it begins with a bus of
// hardware (or of a hypervisor), and no part of it is emulated by a program or provided by another machine.
bool IsHardware(const std::vector<std::string>& place) {
  static constexpr std::string_view kBuses[] = {
      "pci", "LNXSYSTM:", "platform", "soc", "amba", "css", "vio", "vbd-", "virtio-mmio-cmdline"};
  // iSCSI, FCoE, USB over a network, USB emulated by a program, virtio emulated by a program, NVMe over a
  // network, SCSI from files or from memory.
  static constexpr std::string_view kPlayed[] = {"session", "ctlr_",        "vhci_hcd", "dummy_hcd", "vduse",
                                                 "vdpasim", "nvme-fabrics", "tcm_loop", "scsi_debug"};
  if (place.size() < 2) return false;
  const auto begins = [](const std::string& part) {
    return [&part](std::string_view stem) { return part.starts_with(stem); };
  };
  if (!std::ranges::any_of(kBuses, begins(place[0]))) return false;
  if (place[0] == "platform" && place[1].starts_with("host")) return false;  // a SCSI host without hardware
  return std::ranges::none_of(
      place, [&](const std::string& part) { return std::ranges::any_of(kPlayed, begins(part)); });
}

class Walk {
 public:
  explicit Walk(int sysfs) : sysfs_(sysfs) {}

  Storage Run(std::vector<std::string> numbers) {
    if (numbers.empty()) Unsteady("no device is known", true);
    for (std::string& number : numbers) Add(std::move(number));
    while (!waiting_.empty() && result_.steady) {
      const std::string number = std::move(waiting_.front());
      waiting_.pop_front();
      if (const Result<> looked = Look(number); !looked) Unsteady(looked.error().Message(), true);
    }
    return result_;
  }

  // The numbers of the devices that the links in a folder lead to.
  Result<std::vector<std::string>> NumbersIn(const std::string& folder) {
    std::vector<std::string> numbers;
    ASSAY_ASSIGN(const std::vector<std::string> names, Names(folder));
    for (const std::string& name : names) {
      ASSAY_ASSIGN(const UniqueFd file, OpenIn(folder + "/" + name + "/dev", O_RDONLY));
      ASSAY_ASSIGN(const Bytes bytes, ReadAll(file.get(), 64));
      const std::string_view text = AsText(bytes);
      const std::string_view number = text.substr(0, text.find('\n'));
      if (!IsDeviceNumber(number))
        return Fail(StateError(StorageError::kDevice, folder + "/" + name + "/dev is not a device number"));
      numbers.emplace_back(number);
    }
    return numbers;
  }

  Result<std::vector<std::string>> Names(const std::string& folder) {
    ASSAY_ASSIGN(UniqueFd fd, OpenIn(folder, O_RDONLY | O_DIRECTORY));
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(fd.get()), closedir);
    if (!dir) return Fail(OsError("fdopendir", folder, errno));
    fd.Release();
    std::vector<std::string> names;
    while (const dirent* entry = readdir(dir.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (names.size() == kMaxEntries)
        return Fail(StateError(StorageError::kDevice, folder + " has too many entries"));
      names.emplace_back(name);
    }
    return names;
  }

 private:
  void Unsteady(std::string why, bool served) {
    if (!result_.steady) return;
    result_ = {.steady = false, .served = served, .why = std::move(why)};
  }

  void Add(std::string number) {
    if (seen_.size() == kMaxDevices && !seen_.contains(number)) return Unsteady("too many devices", true);
    if (seen_.insert(number).second) waiting_.push_back(std::move(number));
  }

  // Opens a path below sysfs' root; links can't lead outside.
  Result<UniqueFd> OpenIn(const std::string& path, int flags) const {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    UniqueFd fd(static_cast<int>(syscall(SYS_openat2, sysfs_, path.c_str(), &how, sizeof(how))));
    if (!fd) return Fail(OsError("openat2", path, errno));
    return fd;
  }

  // The resolved path, relative to sysfs' root.
  Result<std::string> PlaceOf(const std::string& path) const {
    ASSAY_ASSIGN(const UniqueFd fd, OpenIn(path, O_PATH | O_DIRECTORY));
    ASSAY_ASSIGN(std::string base, FdPath(sysfs_));
    ASSAY_ASSIGN(const std::string place, FdPath(fd.get()));
    if (base == "/") base.clear();
    if (!place.starts_with(base + std::string(kDevices)))
      return Fail(StateError(StorageError::kDevice, path + " leads to " + place));
    return place.substr(base.size());
  }

  bool Has(const std::string& path) const { return OpenIn(path, O_PATH).has_value(); }

  Result<> Look(const std::string& number) {
    ASSAY_ASSIGN(std::string place, PlaceOf("dev/block/" + number));
    if (Has(place + "/partition")) place.resize(place.rfind('/'));
    const std::vector<std::string> parts = Split(std::string_view(place).substr(kDevices.size()));
    if (parts.empty()) return Fail(StateError(StorageError::kDevice, place + " is not a device"));
    if (parts[0] != "virtual") {
      if (!IsHardware(parts)) Unsteady(place + " is not known as hardware", true);
      return {};
    }
    if (parts.size() == 4 && parts[1] == "nvme-subsystem") return LookAtPaths(place);
    const bool block = parts.size() == 3 && parts[1] == "block";
    if (block && (Has(place + "/dm") || Has(place + "/md"))) {
      ASSAY_ASSIGN(const std::vector<std::string> below, NumbersIn(place + "/slaves"));
      if (below.empty()) Unsteady(place + " has nothing under it", false);
      for (const std::string& device : below) Add(device);
      return {};
    }
    const std::string& name = parts.back();
    const bool local = IsNumbered(name, "loop") || IsNumbered(name, "zram") || IsNumbered(name, "ram");
    Unsteady(place + " is not a disk", !local);
    return {};
  }

  // A disk with several controllers is a device of the NVMe subsystem, with links to the controllers.
  Result<> LookAtPaths(const std::string& place) {
    const std::string subsystem = place.substr(0, place.rfind('/'));
    ASSAY_ASSIGN(const std::vector<std::string> names, Names(subsystem));
    bool found = false;
    for (const std::string& name : names) {
      if (!IsNumbered(name, "nvme")) continue;
      found = true;
      ASSAY_ASSIGN(const std::string controller, PlaceOf(subsystem + "/" + name));
      if (!IsHardware(Split(std::string_view(controller).substr(kDevices.size()))))
        Unsteady(controller + " is not known as hardware", true);
    }
    if (!found) Unsteady(place + " has no controller", true);
    return {};
  }

  int sysfs_;
  Storage result_{.steady = true, .served = false, .why = {}};
  std::set<std::string> seen_;
  std::deque<std::string> waiting_;
};

Storage Not(std::string why, bool served = false) {
  return {.steady = false, .served = served, .why = std::move(why)};
}

// The anonymous device number of a superblock does not tell which btrfs file system it belongs to, so either
// all of them are steady or none.
Storage JudgeBtrfs(int sysfs) {
  Walk walk(sysfs);
  const Result<std::vector<std::string>> names = walk.Names("fs/btrfs");
  if (!names) return Not(names.error().Message());
  std::vector<std::string> devices;
  for (const std::string& name : *names) {
    if (name == "features") continue;
    const Result<std::vector<std::string>> more = walk.NumbersIn("fs/btrfs/" + name + "/devices");
    if (!more) return Not(more.error().Message());
    devices.insert(devices.end(), more->begin(), more->end());
  }
  return walk.Run(std::move(devices));
}

// Whether the file system has only one device. Only the mount options tell of a real-time device, which may
// hold file content.
bool HasOneDevice(const FileSystem& fs, std::span<const Mount> mounts) {
  const auto mount =
      std::ranges::find_if(mounts, [&](const Mount& m) { return m.device == fs.device && m.type == "xfs"; });
  return mount != mounts.end() && mount->options.find("rtdev=") == std::string::npos;
}

}  // namespace

Storage JudgeStorage(int sysfs, const FileSystem& fs, std::span<const Mount> mounts) {
  if (fs.magic == BTRFS_SUPER_MAGIC) return JudgeBtrfs(sysfs);
  if (fs.device.starts_with("0:")) return Not("it has no block device");
  // The further devices of these file systems can't be found.
  if (fs.magic == F2FS_SUPER_MAGIC || fs.magic == EROFS_SUPER_MAGIC_V1)
    return Not("a file system whose further devices are unknown");
  if (fs.magic == XFS_SUPER_MAGIC && !HasOneDevice(fs, mounts))
    return Not("xfs whose mount is not seen, or with a device for real-time files");
  return Walk(sysfs).Run({fs.device});
}

Result<UniqueFd> OpenSysfs() {
  const UniqueFd context(fsopen("sysfs", FSOPEN_CLOEXEC));
  if (!context) return Fail(OsError("fsopen", "sysfs", errno));
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Fail(OsError("fsconfig", "sysfs", errno));
  UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC,
                         MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!mount) return Fail(OsError("fsmount", "sysfs", errno));
  return mount;
}

}  // namespace assay::measure
