// Internal, for fuzz targets: helpers for a second, independent walk over the bytes that a parser read.
//
//   // given: ByteView log, std::size_t at, std::uint32_t type
//   Require(U32(log, at) == type);
//
// Contract: U32() is little-endian and shares no code with the parsers that it checks. The caller makes sure
// that b has at + 4 bytes.
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
