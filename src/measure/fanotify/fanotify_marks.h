// Internal: the marks that the fanotify engine puts on files.
//
//   // given: int file
//   ASSAY_ASSIGN(UniqueFd group, OpenGroup());
//   ASSAY_TRY(IgnoreUntilModified(group.get(), file, true));   // the kernel takes it back by itself
//
// Contract: no file system is asked, so that none can keep us waiting.
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
// code: executions too are not asked about. The mark does not pin the inode.
Result<> IgnoreUntilModified(int group, int file, bool code);
// Every change of it is told; each open is asked about.
Result<> TellChanges(int group, int file);
void AskAgain(int group, int file);  // what is written is still told
void Forget(int group, int file);    // what is written until then need not be told one by one

}  // namespace assay::measure
