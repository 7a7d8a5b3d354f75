// The wall clock as records and messages have it.
//
//   const std::uint64_t time_ms = NowMs();
//
// Contract: milliseconds since the epoch (UTC). An administrator can set the clock, also backwards, so the
// list and not the time tells the order of records.
#pragma once

#include <cstdint>

namespace assay {

std::uint64_t NowMs();

}  // namespace assay
