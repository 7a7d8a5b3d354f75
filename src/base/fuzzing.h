// Internal, for fuzz targets: a property that must hold for every input.
//
//   // given: ByteView first, ByteView second
//   Require(Equal(first, second));
//
// Contract: if the property does not hold, the line of the call is printed to stderr and the process ends,
// which the fuzzer reports.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace assay {

inline void Require(bool holds, int line = __builtin_LINE()) {
  if (holds) return;
  std::fprintf(stderr, "line %d: does not hold\n", line);
  std::abort();
}

}  // namespace assay
