#include "measure/record/recorder_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/folder.h"
#include "base/log.h"

namespace assay::measure {

Result<> RecorderFiles::Open(const std::string& dir, std::shared_ptr<ListLock> lock) {
  dir_ = dir;
  lock_ = std::move(lock);
  if (!lock_) {
    ASSAY_ASSIGN(lock_, ListLock::Take(dir_));
  }
  Remove("overflow.", "");  // a temporary file of an attester that was killed
  ASSAY_ASSIGN(list_, assay::Open(Path("list"), O_RDWR | O_CREAT));
  ASSAY_ASSIGN(journal_, assay::Open(Path("journal"), O_RDWR | O_CREAT));
  ASSAY_ASSIGN(growth_, EventFd::Make());
  return {};
}

Result<> RecorderFiles::Retire() {
  // A pending group belongs to the former list; without a list, the next start finds nothing to adopt.
  Remove("pending.", "");
  Remove("overflow", "");
  Remove("padded", "");
  if (rename(Path("list").c_str(), Path("list.old").c_str()) != 0)
    return Fail(OsError("rename", Path("list"), errno));
  ASSAY_ASSIGN(list_, assay::Open(Path("list"), O_RDWR | O_CREAT | O_TRUNC));
  ASSAY_ASSIGN(journal_, assay::Open(Path("journal"), O_RDWR | O_CREAT | O_TRUNC));
  return {};
}

void RecorderFiles::Remove(std::string_view prefix, const std::string& except) const {
  const Result<std::vector<std::string>> names = NamesIn(dir_);
  if (!names) {
    log::Warn("{}", names.error().Message());
    return;
  }
  for (const std::string& name : *names) {
    const std::string path = Path(name);
    if (name.starts_with(prefix) && path != except && unlink(path.c_str()) != 0)
      log::Warn("{}", OsError("unlink", path, errno).Message());
  }
}

Result<> RecorderFiles::Truncate(std::uint64_t list_bytes) const {
  if (ftruncate(list_.get(), static_cast<off_t>(list_bytes)) != 0)
    return Fail(OsError("ftruncate", "list", errno));
  return {};
}

Result<> RecorderFiles::Reserve(std::uint64_t from, std::uint64_t bytes) const {
  if (fallocate(list_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(bytes)) != 0 &&
      errno != EOPNOTSUPP)
    return Fail(OsError("fallocate", "list", errno));
  return {};
}

void RecorderFiles::TellGrowth() const { growth_.Signal(); }

}  // namespace assay::measure
