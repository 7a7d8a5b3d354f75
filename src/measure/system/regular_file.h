// Internal: opens a path that another process chose, and never opens anything but a regular file.
//
//   ASSAY_ASSIGN(UniqueFd fd, OpenRegular("/proc/812/root/opt/program", O_NOFOLLOW));
//
// Contract: an attacker who chooses the path may replace the file at any moment: by a pipe whose other end
// notices the open, or by a device that acts when it is opened (a watchdog, a tape). So the path is opened
// with O_PATH, the type of that object is checked without a request to a file system's server, and only a
// regular file is then opened for reading; else StateError "measure.not-a-file". The open never waits for a
// pipe's other end or a lease. It does not change the access time where the file's owner is mapped in this
// user namespace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace assay::measure {

// flags: O_NOFOLLOW or 0. mount: the number of the mount that the file must be on, if that is known.
Result<UniqueFd> OpenRegular(const std::string& path, int flags = 0, std::optional<std::uint64_t> mount = {});
// Opens the file of a descriptor again, so that the new descriptor has an offset and leases of its own.
Result<UniqueFd> ReopenRegular(int fd);

}  // namespace assay::measure
