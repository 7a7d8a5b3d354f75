// Internal: processes whose opens are answered at once: parts of the attester besides its own process.
//
//   // given: std::set<pid_t> pids, pid_t tid
//   const ExemptProcesses exempt(pids);
//   if (exempt.Has(tid)) log::Info("{} is a thread of one of them", tid);
//
// Contract: each process is held by a pidfd from the start, so a later process that gets its number is not
// exempt. A process that has ended before the start is left out. Thread-safe.
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
