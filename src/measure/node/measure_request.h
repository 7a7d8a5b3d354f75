// Internal: what callers write to the `measure` node, and the file they mean.
//
//   LineSplitter splitter;
//   ASSAY_ASSIGN(std::vector<RequestLine> lines, splitter.Take(written));
//   ASSAY_ASSIGN(MeasureRequest request, ParseMeasureRequest(lines[0].text));
//   ASSAY_ASSIGN(UniqueFd file, OpenForCaller(request, caller));
//
// Contract: docs/formats/runassay.md, "measure". A descriptor is the caller's own, and must be open for
// reading. A path is taken from root only, and is resolved below the caller's own root: other callers hand a
// descriptor, so that nothing is ever opened for them that they can't open. Only regular files are opened,
// without side effects on others (a FIFO or a device is never opened).
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
  std::string path;  // else: absolute
};
// A line without its newline: "fd:N" or an absolute path. ParseError "measure-request".
Result<MeasureRequest> ParseMeasureRequest(std::string_view line);

inline constexpr std::size_t kMaxRequestLine = 4095;  // PATH_MAX without its NUL

struct RequestLine {
  std::string text;
  std::size_t end = 0;  // bytes of this write up to and with its newline
};

// Cuts what is written into lines; one may come in several writes.
class LineSplitter {
 public:
  // A line that is too long is an error, and what was begun is forgotten.
  Result<std::vector<RequestLine>> Take(std::string_view written);
  bool unfinished() const { return !begun_.empty(); }
  void Forget() { begun_.clear(); }

 private:
  std::string begun_;
};

struct Caller {
  pid_t tid = 0;  // 0: in a PID namespace that can't be seen from here
  uid_t uid = 0;
};

// May block for as long as the file system that holds the file does. StateError "measure.not-a-file",
// "measure.no-right"; OsError otherwise. device: set before that, if it can be told.
Result<UniqueFd> OpenForCaller(const MeasureRequest& request, const Caller& caller,
                               std::atomic<dev_t>* device = nullptr);

}  // namespace assay::measure
