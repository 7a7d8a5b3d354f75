// Package files from anywhere, and packed kernel modules: never a crash, and what is accepted has a name and
// absolute paths.
#include <cstdlib>

#include "reference/package_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)assay::reference::UnpackedModule("/m.ko.xz", {data, size});
  const auto content = assay::reference::ReadDebBytes({data, size}, "input");
  if (!content) return 0;
  if (content->package.empty() || content->version.empty()) abort();
  for (const auto& file : content->files)
    if (!file.path.starts_with('/')) abort();
  return 0;
}
