// The text of mountinfo: every line is a mount or an error with an offset within the text.
#include <cstdlib>

#include "base/bytes.h"
#include "measure/mount_watch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto mounts = assay::measure::ParseMountInfo(assay::AsText({data, size}));
  if (!mounts) {
    const auto* error = mounts.error().As<assay::ParseError>();
    if (error == nullptr || error->offset > size) std::abort();
    return 0;
  }
  for (const assay::measure::Mount& mount : *mounts) (void)assay::measure::HoldsFiles(mount);
  return 0;
}
