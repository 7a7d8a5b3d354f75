// The time that an attester has for leaving. The thread that hands over may wait for the TPM or for the
// successor without an end. When the time is over, another thread ends the successor and tells why.
//
//   // given: pid_t successor, const std::function<void(const Error&)>& tell
//   LeaveLimit limit({}, tell);
//   limit.Of(successor);
//   limit.TasksWait();                                  // each further second is one for tasks that are held
//   if (const auto late = limit.End()) log::Error("{}", late->Message());   // no handover
//
// Contract: `late` is called at most once, by a thread of its own, after the successor was ended; it has
// returned when End() returns. The caller reaps the successor, which is its child.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/thread.h"

namespace assay::daemon {

struct LeaveLimits {
  std::chrono::milliseconds load{60'000};  // until the successor is started, loaded and measured
  // While tasks wait. It is shorter than the default of `deadline_ms`, the time that a task may be held.
  std::chrono::milliseconds hold{20'000};
};

class LeaveLimit {
 public:
  LeaveLimit(LeaveLimits limits, std::function<void(const Error&)> late);
  ~LeaveLimit();
  LeaveLimit(const LeaveLimit&) = delete;
  LeaveLimit& operator=(const LeaveLimit&) = delete;
  void Of(pid_t successor);
  void Loads() { Restart(limits_.load); }      // the successor's engine loads
  void TasksWait() { Restart(limits_.hold); }  // the successor holds tasks from now on
  std::optional<Error> End();                  // "handover.late" if the time was over

 private:
  void Restart(std::chrono::milliseconds limit);
  void Watch();
  void EndSuccessor() ASSAY_REQUIRES(mutex_);

  const LeaveLimits limits_;
  const std::function<void(const Error&)> late_;
  Mutex mutex_;
  CondVar changed_;
  std::chrono::steady_clock::time_point until_ ASSAY_GUARDED_BY(mutex_);
  UniqueFd successor_ ASSAY_GUARDED_BY(mutex_);  // a pidfd
  bool ended_ ASSAY_GUARDED_BY(mutex_) = false;
  std::optional<Error> error_ ASSAY_GUARDED_BY(mutex_);
  Thread thread_;  // last: it uses the others
};

}  // namespace assay::daemon
