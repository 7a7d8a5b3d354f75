// The text of mountinfo: every line is a mount or an error with an offset within the text.
#include "base/bytes.h"
#include "base/fuzzing.h"
#include "measure/system/mount_watch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto mounts = assay::measure::ParseMountInfo(assay::AsText({data, size}));
  if (!mounts) {
    const auto* error = mounts.error().As<assay::ParseError>();
    assay::Require(error != nullptr && error->offset <= size);
    return 0;
  }
  for (const assay::measure::Mount& mount : *mounts) (void)assay::measure::HoldsFiles(mount);
  return 0;
}
