// The text of /proc/PID/cgroup: what is told is the path of the first line of the unified hierarchy.
#include "base/bytes.h"
#include "base/fuzzing.h"
#include "measure/system/cgroup.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  const std::string_view text = AsText({data, size});
  const std::optional<std::string> path = measure::CgroupIn(text);
  if (!path) return 0;
  Require(path->starts_with('/') && path->find('\n') == std::string::npos);
  const std::size_t at = text.find("0::" + *path);
  Require(at != std::string_view::npos && (at == 0 || text.find("\n0::" + *path) != std::string_view::npos));
  return 0;
}
