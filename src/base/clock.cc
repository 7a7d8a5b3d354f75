#include "base/clock.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <chrono>
#include <ctime>

namespace assay {
namespace {

constexpr std::uint64_t kLastTime = 253'402'300'799'999;  // the end of the year 9999

}  // namespace

std::uint64_t NowMs() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

std::string TimeText(std::uint64_t ms) {
  ms = std::min(ms, kLastTime);
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), ms % 1000);
}

std::string DateText(std::uint64_t ms) {
  const auto seconds = static_cast<std::time_t>(std::min(ms, kLastTime) / 1000);
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(seconds));
}

}  // namespace assay
