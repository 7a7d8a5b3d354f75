// Claims: any bytes are an error or claims that encode to a fixed point.
#include <cstdlib>

#include "attest/evidence.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay::attest;
  const auto claims = ParseClaims({data, size});
  if (!claims) return 0;
  const assay::Bytes once = EncodeClaims(*claims);
  const auto again = ParseClaims(once);
  if (!again || EncodeClaims(*again) != once) std::abort();
  return 0;
}
