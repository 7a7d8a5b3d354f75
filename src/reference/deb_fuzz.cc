// Package files from anywhere, and packed kernel modules: parsing never crashes, and an accepted package has
// a name and absolute paths.
#include "base/fuzzing.h"
#include "reference/file_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)assay::reference::UnpackedModule("/m.ko.xz", {data, size});
  const auto content = assay::reference::ReadDebBytes({data, size}, "input");
  if (!content) return 0;
  assay::Require(!content->package.empty() && !content->version.empty());
  for (const auto& file : content->files) assay::Require(file.path.starts_with('/'));
  return 0;
}
