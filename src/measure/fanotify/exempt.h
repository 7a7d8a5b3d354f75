// Internal: processes whose opens are answered at once: parts of the attester besides its own process.
//
//   // given: std::set<pid_t> pids, pid_t tid
//   const ExemptProcesses exempt(pids);
//   if (exempt.Has(tid)) log::Info("{} is a thread of one of them", tid);
//
// Contract: a process is held by a pidfd from the start: another one that gets the number of one that ended
// is not exempt. A process that has ended by the start is none. Thread-safe.
#pragma once

#include <sys/types.h>

#include <set>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace assay::measure {

class ExemptProcesses {
 public:
  explicit ExemptProcesses(const std::set<pid_t>& pids);
  bool Has(pid_t tid) const;

 private:
  std::vector<std::pair<pid_t, UniqueFd>> processes_;
};

}  // namespace assay::measure
