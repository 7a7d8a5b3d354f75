// Internal, for fuzz targets: what must hold.
//
//   Require(second->path == first->path);
//
// Contract: ends the process where it does not, which the fuzzer reports; the line of the call goes to
// stderr.
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
