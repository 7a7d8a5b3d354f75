#include "base/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace assay {

Result<AtomicFile> AtomicFile::Make(const std::string& path) {
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return Fail(OsError("mkostemp", temporary, errno));
  return AtomicFile(path, std::move(temporary), std::move(fd));
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<> AtomicFile::Commit(mode_t mode) {
  if (::fchmod(fd_.get(), mode) != 0) return Fail(OsError("fchmod", temporary_, errno));
  if (::fsync(fd_.get()) != 0) return Fail(OsError("fsync", temporary_, errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return Fail(OsError("rename", path_, errno));
  temporary_.clear();
  return {};
}

}  // namespace assay
