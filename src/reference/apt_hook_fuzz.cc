// What apt is said to tell: each file that is found stands in the text, as a path.
#include "base/bytes.h"
#include "base/fuzzing.h"
#include "reference/apt_hook.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = AsText({data, size});
  const auto files = reference::ParseAptHook(text);
  if (!files) return 0;
  for (const std::string& file : *files)
    Require(file.starts_with('/') && text.find(file) != std::string_view::npos);
  return 0;
}
