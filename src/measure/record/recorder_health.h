// Internal: whether the recorder can record, and what it could not record meanwhile.
//
//   // given: RecorderHealth& health, const Result<>& written
//   if (const auto reason = health.Reason()) return Fail(Degraded(*reason));
//   if (!written) return Fail(health.Disturb(written.error()));
//
// Contract: safe from any thread; it has a lock of its own. The last disturbance is the reason, until Mend().
// Paths are kept up to a bound; further ones are counted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"

namespace assay::measure {

Error Degraded(const Error& reason);  // StateError "recorder.degraded"

class RecorderHealth {
 public:
  std::optional<Error> Reason() const;
  bool Good() const;
  // Nothing is recorded from here on. What the caller hands on.
  Error Disturb(const Error& e);
  void Miss(const std::string& path);  // this one could not be recorded
  struct Missed {
    std::vector<std::string> paths;
    std::uint64_t more = 0;  // that are not named
  };
  Missed Mend();

 private:
  mutable Mutex mutex_;
  std::optional<Error> reason_ ASSAY_GUARDED_BY(mutex_);
  Missed missed_ ASSAY_GUARDED_BY(mutex_);
};

}  // namespace assay::measure
