// The text of mountinfo: every line is a mount, or an error with an offset within the text.
#include <algorithm>

#include "base/bytes.h"
#include "base/fuzzing.h"
#include "measure/system/mounts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = assay::AsText({data, size});
  const auto mounts = assay::measure::ParseMountInfo(text);
  if (!mounts) {
    const auto* error = mounts.error().As<assay::ParseError>();
    assay::Require(error != nullptr && error->offset <= size);
    return 0;
  }
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  assay::Require(mounts->size() == lines || mounts->size() == lines + 1);
  for (const assay::measure::Mount& mount : *mounts) (void)assay::measure::HoldsFiles(mount);
  return 0;
}
