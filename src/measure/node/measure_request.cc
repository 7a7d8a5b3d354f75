#include "measure/node/measure_request.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "measure/engine/starts.h"
#include "measure/node/errors.h"
#include "measure/system/errors.h"
#include "measure/system/file.h"
#include "measure/system/file_id.h"
#include "measure/system/regular_file.h"

namespace assay::measure {
namespace {

// Makes no request to the file system, which may never answer.
Result<> MustBeRegular(int fd, std::atomic<dev_t>* device) {
  const std::optional<struct statx> st = StatOf(fd);
  if (!st) return Fail(OsError("statx", "", errno));
  if (!S_ISREG(st->stx_mode)) return Fail(StateError(FileError::kNotAFile, "not a regular file"));
  if (device != nullptr) *device = DeviceOf(*st);
  return {};
}

// Its content can't change any more, and only memory has all of these seals.
Result<> MustBeSealed(int fd) {
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals)
    return Fail(OsError("F_GET_SEALS", "a buffer that is not a sealed memfd", EINVAL));
  struct stat st{};
  if (fstat(fd, &st) != 0) return Fail(OsError("fstat", "", errno));
  if (static_cast<std::uint64_t>(st.st_size) > kMaxBuffer)
    return Fail(OsError("buffer", "more than 16 MiB", EFBIG));
  return {};
}

Result<UniqueFd> OpenDescriptor(const MeasureRequest& request, const Caller& caller,
                                std::atomic<dev_t>* device) {
  // The caller waits for our answer, so its process exists and the number is not reused.
  const pid_t process = ContextOf(caller.tid, "").pid;
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  if (!pidfd) return Fail(OsError("pidfd_open", "", errno));
  UniqueFd theirs(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd.get(), request.fd, 0)));
  if (!theirs) return Fail(OsError("pidfd_getfd", "", errno));
  const int flags = fcntl(theirs.get(), F_GETFL);
  if (flags < 0) return Fail(OsError("fcntl", "", errno));
  if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY)
    return Fail(OsError("read", "a descriptor that is not open for reading", EBADF));
  ASSAY_TRY(MustBeRegular(theirs.get(), device));
  if (!request.what.empty()) {
    ASSAY_TRY(MustBeSealed(theirs.get()));
    return theirs;
  }
  // A server may refuse this process what it granted to the caller. Then the caller's own open file is used.
  if (Result<UniqueFd> own = ReopenRegular(theirs.get()); own) return own;
  return theirs;
}

Result<UniqueFd> OpenPath(const std::string& path, const Caller& caller, std::atomic<dev_t>* device) {
  if (caller.uid != 0)
    return Fail(
        StateError(NodeError::kNoRight, "only root may name a path; open the file and pass its descriptor"));
  ASSAY_ASSIGN(const UniqueFd root,
               Open("/proc/" + std::to_string(caller.tid) + "/root", O_PATH | O_DIRECTORY));
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const UniqueFd found(static_cast<int>(syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof(how))));
  if (!found) return Fail(OsError("openat2", path, errno));
  ASSAY_TRY(MustBeRegular(found.get(), device));
  return ReopenRegular(found.get());
}

}  // namespace

Result<MeasureRequest> ParseMeasureRequest(std::string_view line) {
  const auto bad = [&](std::uint64_t at, const char* what) {
    return Fail(ParseError("measure-request", at, what));
  };
  constexpr std::string_view kFd = "fd:", kBuffer = "buffer:";
  if (line.size() > kMaxRequestLine) return bad(kMaxRequestLine, "line too long");
  MeasureRequest request;
  const bool buffer = line.starts_with(kBuffer);
  if (buffer || line.starts_with(kFd)) {
    std::string_view digits = line.substr(buffer ? kBuffer.size() : kFd.size());
    if (buffer) {
      const std::size_t colon = std::min(digits.find(':'), digits.size());
      request.what = digits.substr(std::min(colon + 1, digits.size()));
      digits = digits.substr(0, colon);
      // It becomes a part of a name in the list.
      if (!IsHookName(request.what)) return bad(kBuffer.size(), "what the buffer is");
    }
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), request.fd);
    if (error != std::errc() || end != digits.data() + digits.size() || request.fd < 0)
      return bad(buffer ? kBuffer.size() : kFd.size(), "number of a descriptor");
    return request;
  }
  constexpr std::string_view kHook = "hook:";
  if (line.starts_with(kHook)) {
    request.hook = line.substr(kHook.size());
    if (!IsHookName(request.hook)) return bad(kHook.size(), "name of a hook");
    return request;
  }
  if (!line.starts_with('/')) return bad(0, "neither fd:N, buffer:N:WHAT, hook:NAME nor an absolute path");
  if (const auto nul = line.find('\0'); nul != std::string_view::npos) return bad(nul, "NUL in a path");
  request.path = line;
  return request;
}

Result<std::vector<RequestLine>> LineSplitter::Take(std::string_view written) {
  std::vector<RequestLine> lines;
  std::size_t at = 0;
  while (at < written.size()) {
    const std::size_t newline = written.find('\n', at);
    const std::string_view part =
        written.substr(at, newline == std::string_view::npos ? newline : newline - at);
    if (begun_.size() + part.size() > kMaxRequestLine) {
      begun_.clear();
      return Fail(ParseError("measure-request", at, "line too long"));
    }
    begun_ += part;
    if (newline == std::string_view::npos) break;
    at = newline + 1;
    lines.push_back({.text = std::move(begun_), .end = at});
    begun_.clear();
  }
  return lines;
}

Result<UniqueFd> OpenForCaller(const MeasureRequest& request, const Caller& caller,
                               std::atomic<dev_t>* device) {
  if (caller.tid <= 0)
    return Fail(StateError(NodeError::kNoRight, "the caller is not visible in this PID namespace"));
  return request.fd >= 0 ? OpenDescriptor(request, caller, device) : OpenPath(request.path, caller, device);
}

}  // namespace assay::measure
