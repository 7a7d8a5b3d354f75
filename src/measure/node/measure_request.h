// Internal: parses what callers write to the `measure` node, and opens the file that they name.
//
//   // given: std::string_view written, const Caller& caller
//   LineSplitter splitter;
//   ASSAY_ASSIGN(std::vector<RequestLine> lines, splitter.Take(written));
//   ASSAY_ASSIGN(MeasureRequest request, ParseMeasureRequest(lines.at(0).text));
//   ASSAY_ASSIGN(UniqueFd file, OpenForCaller(request, caller));
//
// Contract: docs/formats/runassay.md, "measure". A descriptor is the caller's own, and must be open for
// reading. A path is accepted from root only, and is resolved below the caller's root directory. Other
// callers pass a descriptor, so that the attester never opens a file for them that they can't open. Only
// regular files are opened: a FIFO or a device is never opened, since that could have side effects. A buffer
// is a memfd that is sealed against every change (else EINVAL) and not larger than kMaxBuffer (EFBIG).
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"

namespace assay::measure {

struct MeasureRequest {
  int fd = -1;       // >= 0: the caller's descriptor
  std::string hook;  // else, if not empty: the caller says that this hook measures what it loads
  std::string path;  // else: absolute
  std::string what;  // of a buffer: what its content is ("bash-c"); empty: a file
};
inline constexpr std::size_t kMaxWhat = 32;
inline constexpr std::uint64_t kMaxBuffer = std::uint64_t{16} << 20;  // bytes
// A line without its newline: "fd:N", "buffer:N:WHAT", "hook:NAME" or an absolute path. ParseError
// "measure-request".
Result<MeasureRequest> ParseMeasureRequest(std::string_view line);

inline constexpr std::size_t kMaxRequestLine = 4095;  // PATH_MAX without its NUL

struct RequestLine {
  std::string text;
  std::size_t end = 0;  // offset in this write after its newline
};

// Splits what is written into lines. A line may come in several writes.
class LineSplitter {
 public:
  // A line that is too long is an error, and its beginning is dropped.
  Result<std::vector<RequestLine>> Take(std::string_view written);
  bool unfinished() const { return !begun_.empty(); }
  void Forget() { begun_.clear(); }

 private:
  std::string begun_;
};

struct Caller {
  pid_t tid = 0;  // 0: the caller is in a PID namespace that is not visible to the attester
  uid_t uid = 0;
};

// May block as long as the file's file system does. Errors: StateError "measure.not-a-file" and
// "measure.no-right", else OsError. device: set before the open, if the device is known.
Result<UniqueFd> OpenForCaller(const MeasureRequest& request, const Caller& caller,
                               std::atomic<dev_t>* device = nullptr);

}  // namespace assay::measure
