// Descriptors and files: a move-only descriptor, and whole reads and writes.
//
//   // given: const std::string& path
//   ASSAY_ASSIGN(UniqueFd fd, Open(path, O_RDONLY));
//   ASSAY_ASSIGN(Bytes data, ReadAll(fd.get(), 1 << 20));
//   ASSAY_TRY(WriteFileAtomic(path, data));
//
// Contract: every descriptor is opened close-on-exec. EINTR is retried. A read or write is done completely or
// fails: a short write, or a file larger than its bound, is an error (OsError, or StateError "io.too-large").
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <string>
#include <utility>

#include "base/bytes.h"

namespace assay {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& o) noexcept {
    if (this != &o) Reset(std::exchange(o.fd_, -1));
    return *this;
  }
  ~UniqueFd() { Reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0600);
Result<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode = 0600);

Result<Bytes> ReadAll(int fd, std::size_t max);                    // from the present offset to the end
Result<Bytes> ReadFile(const std::string& path, std::size_t max);  // works for proc and securityfs files too
Result<> WriteAll(int fd, ByteView data);
Result<> PWriteAll(int fd, ByteView data, off_t at);
Result<> ReadExact(int fd, std::uint8_t* out, std::size_t n);  // StateError "io.eof" when it ends early
Result<> PReadExact(int fd, std::uint8_t* out, std::size_t n, off_t at);
// Writes a file beside the target, syncs it and renames it over the target, so that readers see the old or
// the new file and never a part.
Result<> WriteFileAtomic(const std::string& path, ByteView data, mode_t mode = 0600);
Result<> MakeDirs(const std::string& path, mode_t mode = 0700);

// The path of /proc/self/fd/N as the kernel tells it, " (deleted)" included.
Result<std::string> FdPath(int fd);

}  // namespace assay
