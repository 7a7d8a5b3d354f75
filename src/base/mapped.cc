#include "base/mapped.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace assay {

Result<MappedFile> MappedFile::Open(const std::string& path) {
  ASSAY_ASSIGN(const UniqueFd fd, assay::Open(path, O_RDONLY));
  auto mapped = OfFd(fd.get());
  if (!mapped) return Fail(mapped.error().In(path));
  return mapped;
}

Result<MappedFile> MappedFile::OfFd(int fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return Fail(OsError("fstat", "", errno));
  MappedFile file;
  if (info.st_size == 0) return file;
  file.size_ = static_cast<std::size_t>(info.st_size);
  void* data = mmap(nullptr, file.size_, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    file.size_ = 0;
    return Fail(OsError("mmap", "", errno));
  }
  file.data_ = data;
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace assay
