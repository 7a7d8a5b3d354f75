// Claims: any bytes are an error or claims that encode to a fixed point.
#include "attest/evidence.h"
#include "base/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay::attest;
  const auto claims = ParseClaims({data, size});
  if (!claims) return 0;
  const assay::Bytes once = EncodeClaims(*claims);
  const auto again = ParseClaims(once);
  assay::Require(again && EncodeClaims(*again) == once);
  return 0;
}
