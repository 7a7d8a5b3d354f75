// A file that is written piece by piece and takes its place at once.
//
//   // given: const std::string& path, ByteView head, ByteView rest
//   ASSAY_ASSIGN(AtomicFile file, AtomicFile::Make(path));
//   ASSAY_TRY(file.Put(rest));
//   ASSAY_TRY(file.PutAt(0, head));
//   ASSAY_TRY(file.Commit(0644));
//
// Contract: a temporary file beside the target, synced and renamed over it by Commit(): readers see the old
// or the new file and never a part. Without Commit() the temporary file is removed.
#pragma once

#include <string>

#include "base/fd.h"

namespace assay {

class AtomicFile {
 public:
  static Result<AtomicFile> Make(const std::string& path);
  AtomicFile(AtomicFile&& o) noexcept
      : path_(std::move(o.path_)), temporary_(std::exchange(o.temporary_, {})), fd_(std::move(o.fd_)) {}
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();
  Result<> Put(ByteView bytes) { return WriteAll(fd_.get(), bytes); }  // at the end
  Result<> PutAt(off_t at, ByteView bytes) { return PWriteAll(fd_.get(), bytes, at); }
  Result<> Commit(mode_t mode);

 private:
  AtomicFile(std::string path, std::string temporary, UniqueFd fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}
  std::string path_, temporary_;  // temporary_ empty: it is no more
  UniqueFd fd_;
};

}  // namespace assay
