#include "measure/record/recorder_health.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "base/log_event.h"
#include "measure/record/errors.h"

namespace assay::measure {
namespace {
constexpr std::size_t kMaxMissed = 1000;
}  // namespace

Error Degraded(const Error& e) { return StateError(RecorderError::kDegraded, e.code() + ": " + e.Message()); }

std::optional<Error> RecorderHealth::Reason() const {
  const MutexLock lock(mutex_);
  return reason_;
}

bool RecorderHealth::Good() const {
  const MutexLock lock(mutex_);
  return !reason_;
}

Error RecorderHealth::Disturb(const Error& e) {
  const MutexLock lock(mutex_);
  if (!reason_)
    log::WriteEvent(log::Level::kError, "degraded", {{"code", e.code()}},
                    fmt::format("recorder: nothing is recorded any more: {} ({})", e.Message(), e.code()));
  reason_ = e;
  return Degraded(e);
}

void RecorderHealth::Miss(const std::string& path) {
  const MutexLock lock(mutex_);
  if (missed_.paths.size() < kMaxMissed)
    missed_.paths.push_back(path);
  else
    ++missed_.more;
}

RecorderHealth::Missed RecorderHealth::Mend() {
  const MutexLock lock(mutex_);
  reason_.reset();
  return std::exchange(missed_, {});
}

}  // namespace assay::measure
