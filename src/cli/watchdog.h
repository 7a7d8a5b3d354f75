// Ends the process when a command waits too long for an attester that does not answer (--timeout).
//
//   // given: const Session& session
//   const Watchdog watchdog(session);   // does nothing without --timeout
//   log::Info("reads a node of /run/assay, which may never return");
//
// Contract: prints the error "attest.timeout" as Session::Finish() does, and ends with kExitError. A read
// from a file system whose server hangs can't be given up otherwise: only the end of the process interrupts
// it.
#pragma once

#include "base/mutex.h"
#include "base/thread.h"
#include "cli/commands.h"

namespace assay::cli {

class Watchdog {
 public:
  explicit Watchdog(const Session& session);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void Wait(Session session);
  Mutex mutex_;
  CondVar changed_;
  bool done_ ASSAY_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

void AddTimeout(Command sub, Session& session);  // --timeout

}  // namespace assay::cli
