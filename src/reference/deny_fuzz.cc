// Deny lists from anywhere: parsing never crashes, and an entry says what is denied, who says so and why.
#include "base/fuzzing.h"
#include "reference/deny.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto denied = assay::reference::ParseDenyList({reinterpret_cast<const char*>(data), size});
  if (!denied) return 0;
  for (const auto& d : *denied) {
    assay::Require(d.digest.has_value() == d.package.empty());
    assay::Require(!d.who.empty() && !d.why.empty());
  }
  return 0;
}
