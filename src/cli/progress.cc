#include "cli/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

namespace assay::cli {

constexpr std::size_t kWidth = 30;

Progress::~Progress() {
  const MutexLock lock(mutex_);
  if (printed_) fmt::print(stderr, "\r\x1b[K");
}

void Progress::At(std::size_t done, std::size_t all) {
  if (!shown_) return;
  const MutexLock lock(mutex_);
  const std::size_t filled = all == 0 ? kWidth : std::min(kWidth, done * kWidth / all);
  fmt::print(stderr, "\r{} [{:<{}}] {}/{}\x1b[K", what_, std::string(filled, '#'), kWidth, done, all);
  std::fflush(stderr);
  printed_ = true;
}

void Progress::Say(const std::string& what) {
  if (!shown_) return;
  const MutexLock lock(mutex_);
  fmt::print(stderr, "\r{}\x1b[K", what);
  std::fflush(stderr);
  printed_ = true;
}

}  // namespace assay::cli
