// Internal, for fuzz targets: what a second, independent walk over the same bytes needs.
//
//   Require(U32(log, at) == event.type);
//
// Contract: U32() is little-endian and shares nothing with the parsers that it checks; at + 4 bytes must be
// there.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/fuzzing.h"

namespace assay::boot {

inline std::uint32_t U32(ByteView b, std::size_t at) {
  return b[at] | std::uint32_t{b[at + 1]} << 8 | std::uint32_t{b[at + 2]} << 16 |
         std::uint32_t{b[at + 3]} << 24;
}

}  // namespace assay::boot
