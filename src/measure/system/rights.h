// Internal: whether a task may decide what is measured.
//
//   // given: pid_t tid
//   if (!Governs(tid)) return Fail(OsError("write", "policy", EPERM));
//
// Contract: the task needs CAP_MAC_ADMIN or CAP_SYS_ADMIN in the attester's own user namespace; user 0 of a
// container may have neither. The task must be waiting for the attester, since the number of a task that has
// ended may be reused. Source: capabilities(7), user_namespaces(7).
#pragma once

#include <sys/types.h>

namespace assay::measure {

bool Governs(pid_t tid);

}  // namespace assay::measure
