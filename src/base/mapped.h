// A file's content as bytes, mapped read-only.
//
//   // given: const std::string& path
//   ASSAY_ASSIGN(MappedFile file, MappedFile::Open(path));
//   const Digest digest = Hash(HashAlg::kSha256, file.view());
//
// Contract: for files that are replaced or grow, but are never cut short while they are mapped (reading past
// a cut raises SIGBUS): lists on the attester's own tmpfs, reference indexes. The view has the size that the
// file had at Open(), and lives as long as the object.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/fd.h"

namespace assay {

class MappedFile {
 public:
  static Result<MappedFile> Open(const std::string& path);
  static Result<MappedFile> OfFd(int fd);
  MappedFile() = default;
  MappedFile(MappedFile&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  MappedFile& operator=(MappedFile&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    return *this;
  }
  ~MappedFile();
  ByteView view() const { return {static_cast<const std::uint8_t*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace assay
