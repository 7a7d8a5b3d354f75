#include "measure/system/regular_file.h"

#include <sys/stat.h>

#include "measure/system/errors.h"

namespace assay::measure {
namespace {

constexpr int kReadOnly = O_RDONLY | O_NONBLOCK | O_NOCTTY;

Result<UniqueFd> Reopen(int fd, std::optional<std::uint64_t> mount) {
  struct statx st{};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &st) != 0)
    return Fail(OsError("statx", "", errno));
  if (!S_ISREG(st.stx_mode)) return Fail(StateError(FileError::kNotAFile, "not a regular file"));
  if (mount && (st.stx_mask & STATX_MNT_ID) != 0 && st.stx_mnt_id != *mount)
    return Fail(StateError(FileError::kOtherMount, "it is on another mount"));
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  // O_NOATIME fails for a file whose owner is not mapped in this user namespace (an idmapped mount).
  if (Result<UniqueFd> quiet = Open(path, kReadOnly | O_NOATIME); quiet) return quiet;
  return Open(path, kReadOnly);
}

}  // namespace

Result<UniqueFd> OpenRegular(const std::string& path, int flags, std::optional<std::uint64_t> mount) {
  ASSAY_ASSIGN(const UniqueFd found, Open(path, O_PATH | flags));
  Result<UniqueFd> fd = Reopen(found.get(), mount);
  if (!fd) return Fail(fd.error().In(path));
  return fd;
}

Result<UniqueFd> ReopenRegular(int fd) { return Reopen(fd, std::nullopt); }

}  // namespace assay::measure
