// Internal: who may say what is measured.
//
//   if (!Governs(tid)) ... EPERM
//
// Contract: a task with CAP_MAC_ADMIN or CAP_SYS_ADMIN over the machine, that is, in our own user namespace:
// the user 0 of a container may have neither. The task must wait for us: else its number may have a new
// owner. Source: capabilities(7), user_namespaces(7).
#pragma once

#include <sys/types.h>

namespace assay::measure {

bool Governs(pid_t tid);

}  // namespace assay::measure
