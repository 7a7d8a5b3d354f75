#include "measure/system/file_id.h"

#include <sys/sysmacros.h>

#include "measure/system/file.h"

namespace assay::measure {

// Reads the attributes from the kernel's memory, without a request to a server that may never answer.
std::optional<struct statx> StatOf(int fd) {
  struct statx st{};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE | STATX_INO, &st) != 0)
    return std::nullopt;
  return st;
}

dev_t DeviceOf(const struct statx& st) { return makedev(st.stx_dev_major, st.stx_dev_minor); }

std::optional<FileId> IdOf(int fd) {
  const std::optional<struct statx> st = StatOf(fd);
  if (!st) return std::nullopt;
  return FileId{DeviceOf(*st), st->stx_ino};
}

// A file whose path is too long for the kernel to tell is measured too, and needs a name.
std::string NameOf(int fd) {
  Result<std::string> path = NameOfFd(fd);
  if (path) return std::move(*path);
  const FileId id = IdOf(fd).value_or(FileId{});
  return "unnamed:" + std::to_string(id.first) + ":" + std::to_string(id.second);
}

}  // namespace assay::measure
