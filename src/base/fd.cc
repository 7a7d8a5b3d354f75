#include "base/fd.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "base/atomic_file.h"
#include "base/errors.h"

namespace assay {

void UniqueFd::Reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode) {
  int fd;
  do {
    fd = ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return Fail(OsError("open", path, errno));
  return UniqueFd(fd);
}

Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode) {
  return OpenAt(AT_FDCWD, path, flags, mode);
}

namespace {

// expected: the number of bytes for which memory is taken at once.
Result<Bytes> ReadExpecting(int fd, std::size_t max, std::size_t expected) {
  Bytes out;
  out.reserve(std::min(expected, max));
  std::array<std::uint8_t, 65536> buffer;
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return Fail(OsError("read", "", errno));
    }
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > max)
      return Fail(StateError(IoError::kTooLarge, "more than " + std::to_string(max) + " bytes"));
    out.insert(out.end(), buffer.begin(), buffer.begin() + n);
  }
}

}  // namespace

Result<Bytes> ReadAll(int fd, std::size_t max) { return ReadExpecting(fd, max, 0); }

Result<Bytes> ReadFile(const std::string& path, std::size_t max) {
  ASSAY_ASSIGN(UniqueFd fd, Open(path, O_RDONLY));
  struct stat st{};  // for a file in /sys or /proc the size says nothing
  const bool sized = fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
  auto data = ReadExpecting(fd.get(), max, sized ? static_cast<std::size_t>(st.st_size) : 0);
  if (!data) return Fail(data.error().In(path));
  return data;
}

Result<> WriteAll(int fd, ByteView data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return Fail(OsError("write", "", errno));
    }
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> PWriteAll(int fd, ByteView data, off_t at) {
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), at);
    if (n < 0) {
      if (errno == EINTR) continue;
      return Fail(OsError("pwrite", "", errno));
    }
    data = data.subspan(static_cast<std::size_t>(n));
    at += n;
  }
  return {};
}

Result<> ReadExact(int fd, std::uint8_t* out, std::size_t n) {
  while (n > 0) {
    const ssize_t r = ::read(fd, out, n);
    if (r < 0) {
      if (errno == EINTR) continue;
      return Fail(OsError("read", "", errno));
    }
    if (r == 0) return Fail(StateError(IoError::kEof, "the input ended early"));
    out += r;
    n -= static_cast<std::size_t>(r);
  }
  return {};
}

Result<> PReadExact(int fd, std::uint8_t* out, std::size_t n, off_t at) {
  while (n > 0) {
    const ssize_t r = ::pread(fd, out, n, at);
    if (r < 0) {
      if (errno == EINTR) continue;
      return Fail(OsError("pread", "", errno));
    }
    if (r == 0) return Fail(StateError(IoError::kEof, "the file ended early"));
    out += r;
    at += r;
    n -= static_cast<std::size_t>(r);
  }
  return {};
}

Result<> WriteFileAtomic(const std::string& path, ByteView data, mode_t mode) {
  ASSAY_ASSIGN(AtomicFile file, AtomicFile::Make(path));
  ASSAY_TRY(file.Put(data));
  return file.Commit(mode);
}

Result<> MakeDirs(const std::string& path, mode_t mode) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), slash == std::string::npos ? mode : 0755) != 0 && errno != EEXIST)
      return Fail(OsError("mkdir", part, errno));
    if (slash == std::string::npos) break;
  }
  return {};
}

Result<std::string> FdPath(int fd) {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = ::readlink(link.c_str(), target, sizeof(target));
  if (n < 0) return Fail(OsError("readlink", link, errno));
  return std::string(target, static_cast<std::size_t>(n));
}

}  // namespace assay
