// Internal: opening what somebody else named, without opening anything but a regular file.
//
//   ASSAY_ASSIGN(UniqueFd fd, OpenRegular("/proc/812/root/opt/program", O_NOFOLLOW));
//
// Contract: whoever may name a path may put there whatever he likes, until the last moment: a pipe whose
// other end notices, a device that acts when it is opened (a watchdog, a tape). So the path is only located
// (O_PATH), its type is asked of what was located, without asking a file system's server, and that is opened
// for reading. StateError "measure.not-a-file" else. Never waits for a pipe's other end or a lease. Access
// times are left alone where the file's owner has a number here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace assay::measure {

// flags: O_NOFOLLOW, or none. mount: its number, where it is known on which one the file must be.
Result<UniqueFd> OpenRegular(const std::string& path, int flags = 0, std::optional<std::uint64_t> mount = {});
// A description of its own of what a descriptor is open for: offset and leases apart.
Result<UniqueFd> ReopenRegular(int fd);

}  // namespace assay::measure
