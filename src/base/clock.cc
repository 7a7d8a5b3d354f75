#include "base/clock.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

namespace assay {
namespace {

constexpr std::uint64_t kLastTime = 253'402'300'799'999;  // the end of the year 9999

// Not gmtime_r(): it takes glibc's lock of the time zone, which stays locked in a child if another thread
// held it at fork(), and a child that logged would hang.
struct Calendar {
  std::chrono::year_month_day date;
  std::chrono::hh_mm_ss<std::chrono::milliseconds> time;
};
Calendar CalendarOf(std::uint64_t ms) {
  const std::chrono::milliseconds since(static_cast<std::int64_t>(std::min(ms, kLastTime)));
  const auto days = std::chrono::floor<std::chrono::days>(since);
  return {.date = std::chrono::sys_days(days), .time = std::chrono::hh_mm_ss(since - days)};
}

std::string DateOf(const std::chrono::year_month_day& date) {
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

}  // namespace

std::uint64_t NowMs() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

std::string TimeText(std::uint64_t ms) {
  const Calendar c = CalendarOf(ms);
  return fmt::format("{}T{:02}:{:02}:{:02}.{:03}Z", DateOf(c.date), c.time.hours().count(),
                     c.time.minutes().count(), c.time.seconds().count(), c.time.subseconds().count());
}

std::string DateText(std::uint64_t ms) { return DateOf(CalendarOf(ms).date); }

}  // namespace assay
