// The wall clock, in the forms that records and messages use.
//
//   const std::uint64_t time_ms = NowMs();
//   const std::string text = TimeText(time_ms);   // "2026-11-30T04:05:06.789Z"
//
// Contract: milliseconds since the epoch (UTC). An administrator can set the clock, also backwards, so the
// list and not the time tells the order of records.
#pragma once

#include <cstdint>
#include <string>

namespace assay {

inline constexpr std::uint64_t kDayMs = 86'400'000;

std::uint64_t NowMs();
std::string TimeText(std::uint64_t time_ms);  // RFC 3339, UTC; the year 9999 is the last
std::string DateText(std::uint64_t time_ms);  // "2026-11-30"

}  // namespace assay
