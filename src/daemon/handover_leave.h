// The leaving attester's side of a handover (handover.h): the successor is measured, started and checked;
// then the attester leaves.
//
//   // given: const LeavingAttester& attester
//   ASSAY_ASSIGN(const pid_t successor, HandOver(attester));   // it has taken over: this process only ends
//
// Contract: the successor's program is measured and recorded before it is executed, and the libraries that it
// has mapped before it gets the run. An error before `leave` was called leaves the attester as it was; one
// such error is that it could not leave in time (leave_limit.h). Once `leave` has returned, this attester
// measures no more, and an error says that no successor has taken over.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "daemon/handover.h"
#include "daemon/leave_limit.h"
#include "measure/record/recorder.h"

namespace assay::daemon {

struct LeavingAttester {
  std::string program;  // the successor's path
  std::string config_path;
  measure::Recorder& recorder;
  measure::Context context;           // of its records
  HandoverMessage hold;               // what must be the same for both
  std::uint64_t run = 0, number = 0;  // of the run; of its handovers
  // prepare: called right before "hold", when the successor's loads are measured; the engine asks about it no
  // longer. helper: the same for a process that the successor names. stay: called if the handover fails.
  std::function<Result<std::vector<UniqueFd>>(pid_t successor)> prepare;  // the descriptors of "hold"
  std::function<Result<>(pid_t helper)> helper;
  std::function<void()> stay;
  std::function<Result<HandoverMessage>()> pack;  // "take": what can fail, while the attester can still go on
  // Stops the engine and all that uses the list; nothing is recorded after it. Returns the descriptors of
  // "take".
  std::function<Result<std::vector<UniqueFd>>()> leave;
  // Called when the time is over and the successor was ended, by a thread of its own, because the thread in
  // HandOver() may still wait for the TPM. HandOver() returns the same error later.
  std::function<void(const Error&)> late;
  LeaveLimits limits = {};
};
Result<pid_t> HandOver(const LeavingAttester& attester);

}  // namespace assay::daemon
