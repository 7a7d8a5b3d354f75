#include "daemon/run_folder.h"

#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <cerrno>

#include "base/fd.h"

namespace assay::daemon {
namespace {

Result<bool> IsTmpfs(const std::string& path) {
  struct statfs info{};
  if (statfs(path.c_str(), &info) != 0) return Fail(OsError("statfs", path, errno));
  return info.f_type == TMPFS_MAGIC;
}

// Makes sure that the folder is on tmpfs, because the list must not survive a reboot, after which it proves
// nothing. True: a tmpfs was mounted here.
Result<bool> EnsureTmpfs(const std::string& path) {
  ASSAY_TRY(MakeDirs(path, 0755));
  ASSAY_ASSIGN(bool there, IsTmpfs(path));
  if (there) return false;
  // Of two attesters that start at once, one mounts; the other one then finds its lock.
  ASSAY_ASSIGN(const UniqueFd below, Open(path, O_RDONLY | O_DIRECTORY));
  if (flock(below.get(), LOCK_EX) != 0) return Fail(OsError("flock", path, errno));
  ASSAY_ASSIGN(there, IsTmpfs(path));
  if (there) return false;
  if (mount("assay", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1g") != 0)
    return Fail(OsError("mount", path + " as tmpfs", errno));
  return true;
}

}  // namespace

std::string ListFolder(const std::string& run_dir) { return run_dir + "/list"; }

Result<RunFolder> RunFolder::Take(const std::string& run_dir) {
  RunFolder folder;
  ASSAY_ASSIGN(folder.mounted, EnsureTmpfs(run_dir));
  ASSAY_ASSIGN(folder.lock, measure::ListLock::Take(ListFolder(run_dir)));
  return folder;
}

}  // namespace assay::daemon
