#include "daemon/leave_limit.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/errors.h"

namespace assay::daemon {

using Clock = std::chrono::steady_clock;

LeaveLimit::LeaveLimit(LeaveLimits limits, std::function<void(const Error&)> late)
    : limits_(limits),
      late_(std::move(late)),
      until_(Clock::now() + limits.load),
      thread_("assay-limit", [this] { Watch(); }) {}

LeaveLimit::~LeaveLimit() { End(); }

void LeaveLimit::Of(pid_t successor) {
  const MutexLock lock(mutex_);
  successor_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, successor, 0)));
  if (error_) EndSuccessor();
}

void LeaveLimit::Restart(std::chrono::milliseconds limit) {
  const MutexLock lock(mutex_);
  until_ = Clock::now() + limit;
  changed_.NotifyAll();
}

void LeaveLimit::EndSuccessor() {
  if (!successor_) return;
  if (syscall(SYS_pidfd_send_signal, successor_.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH)
    log::Error("{}", OsError("pidfd_send_signal", "the successor", errno).Message());
}

void LeaveLimit::Watch() {
  Error late = StateError(HandoverError::kLate, "the TPM or the successor did not answer in time");
  {
    const MutexLock lock(mutex_);
    while (!ended_ && Clock::now() < until_) changed_.WaitUntil(mutex_, until_);
    if (ended_) return;
    error_ = late;
    EndSuccessor();
  }
  late_(late);
}

std::optional<Error> LeaveLimit::End() {
  {
    const MutexLock lock(mutex_);
    ended_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
  const MutexLock lock(mutex_);
  return error_;
}

}  // namespace assay::daemon
