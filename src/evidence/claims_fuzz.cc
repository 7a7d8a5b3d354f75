// Claims: any bytes are an error or claims that encode to a fixed point.
#include "base/fuzzing.h"
#include "evidence/evidence.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay::evidence;
  const auto claims = ParseClaims({data, size});
  if (!claims) return 0;
  const assay::Bytes once = EncodeClaims(*claims);
  const auto again = ParseClaims(once);
  assay::Require(again && EncodeClaims(*again) == once);
  return 0;
}
