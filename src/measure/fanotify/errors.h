// The fanotify engine's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::measure {

enum class FanotifyError { kPermission, kEvictable, kMount, kServedStart, kServedEnded, kServedMany };
inline constexpr ErrorRow kFanotifyErrors[] = {
    {FanotifyError::kPermission, "engine.fanotify-permission",
     "Run as root, with CAP_SYS_ADMIN in the machine's user namespace."},
    {FanotifyError::kEvictable, "engine.fanotify-evictable", "Use Linux 5.19 or later."},
    {FanotifyError::kMount, "engine.mount",
     "Read the message: a mount of the scope could not be marked; restart assayd."},
    {FanotifyError::kServedStart, "engine.served-start",
     "Read the log: the process for a mount that another program serves did not start; restart assayd."},
    {FanotifyError::kServedEnded, "engine.served-ended",
     "Read the log: the process for a mount that another program serves has ended; restart assayd."},
    {FanotifyError::kServedMany, "engine.served-many",
     "Unmount file systems that other programs serve (FUSE, NFS, CIFS), or name fewer in engine/mounts."},
};
constexpr std::span<const ErrorRow> ErrorTable(FanotifyError) { return kFanotifyErrors; }

}  // namespace assay::measure
