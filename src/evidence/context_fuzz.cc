// Context lines: any bytes are an error or entries that encode to a fixed point.
#include "base/fuzzing.h"
#include "evidence/evidence.h"

namespace {

assay::Bytes Encode(const std::vector<assay::evidence::ContextEntry>& entries) {
  assay::Bytes out;
  for (const auto& e : entries) {
    const assay::Bytes line = EncodeContextLine(e);
    out.insert(out.end(), line.begin(), line.end());
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay::evidence;
  const auto entries = ParseContext({data, size});
  if (!entries) return 0;
  const assay::Bytes once = Encode(*entries);
  const auto again = ParseContext(once);
  assay::Require(again && again->size() == entries->size() && Encode(*again) == once);
  return 0;
}
