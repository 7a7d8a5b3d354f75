// Internal: the marks that the fanotify engine puts on files.
//
//   // given: int file
//   ASSAY_ASSIGN(UniqueFd group, OpenGroup());
//   ASSAY_TRY(IgnoreUntilModified(group.get(), file, true));   // the kernel takes it back by itself
//
// Contract: no request is made to a file system, so no function here waits for one.
#pragma once

#include <fcntl.h>
#include <sys/fanotify.h>

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace assay::measure {

inline constexpr std::uint64_t kOpenEvents = FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM;
inline constexpr std::uint64_t kChangeEvents = FAN_MODIFY | FAN_CLOSE_WRITE;

Result<UniqueFd> OpenGroup();
// code: executions make no events either. The mark does not pin the inode.
Result<> IgnoreUntilModified(int group, int file, bool code);
// Every change of the file makes an event, and so does each open.
Result<> TellChanges(int group, int file);
void AskAgain(int group, int file);  // writes still make events
// Until the next open, single writes make no events, but closes after writing do.
void Forget(int group, int file);

}  // namespace assay::measure
