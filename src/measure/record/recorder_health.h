// Internal: whether the recorder can record, and the paths that it could not record meanwhile.
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
  // From here on nothing is recorded. Returns the error that the caller hands on.
  Error Disturb(const Error& e);
  void Miss(const std::string& path);  // this one could not be recorded
  struct Missed {
    std::vector<std::string> paths;
    std::uint64_t more = 0;  // how many more paths there are
  };
  Missed Mend();

 private:
  mutable Mutex mutex_;
  std::optional<Error> reason_ ASSAY_GUARDED_BY(mutex_);
  Missed missed_ ASSAY_GUARDED_BY(mutex_);
};

}  // namespace assay::measure
