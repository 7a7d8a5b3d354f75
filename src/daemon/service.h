// Whether systemd restarts this process's unit, and whether another process belongs to it.
//
//   if (IsRestarted()) log::Info("the unit is started again after this process has ended");
//   if (IsOfOurUnit(getppid())) log::Info("the process before this one is of the same unit");
//
// Contract: false where there is no systemd, or it does not answer within two seconds. Asked over its private
// socket, which systemctl uses too, and which needs no message bus: org.freedesktop.systemd1(5), Unit.Job and
// Job.JobType. A job to restart a unit keeps its type until the unit has stopped.
#pragma once

#include <sys/types.h>

namespace assay::daemon {

bool IsRestarted();
bool IsOfOurUnit(pid_t process);

}  // namespace assay::daemon
