// Internal: what is known of a task beyond its own name, for people who read who loaded a file: the program
// that it runs and the names of its parents.
//
//   // given: pid_t tid, Context& context
//   NameTask(tid, context);   // context.program "/usr/bin/dash", context.under "dpkg, apt-get, bash"
//
// Contract: NameTask's task waits for the attester, so its number is not another task's. Only /proc/TID/exe
// and /proc/PID/stat are read: neither needs the task's memory or a file system's server. What can't be told
// stays empty. A process chooses its own name, so the names are for people and never decide anything.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "measure/system/measurement.h"

namespace assay::measure {

void NameTask(pid_t tid, Context& context);
// The path of the program that the task runs, as the kernel names it; empty: it has ended, or has none.
std::string ProgramOfTask(pid_t tid);

struct TaskStat {
  std::string comm;
  pid_t parent = 0;
};
// "12 (a name) S 1 ...". nullopt: it is of another form. Source: proc_pid_stat(5).
std::optional<TaskStat> ParseTaskStat(std::string_view text);

}  // namespace assay::measure
