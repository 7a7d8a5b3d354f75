// The wall clock as records and messages have it.
//
//   context.time_ms = NowMs();
//
// Contract: milliseconds since the epoch (UTC). It can be set, also backwards: order is told by the list.
#pragma once

#include <cstdint>

namespace assay {

std::uint64_t NowMs();

}  // namespace assay
