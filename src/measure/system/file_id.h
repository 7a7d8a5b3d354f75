// Internal: what the kernel has in memory about an open file.
//
//   // given: int file
//   if (const std::optional<FileId> id = IdOf(file)) log::Warn("{} does not answer", NameOf(file));
//
// Contract: no request is made to the file's file system, so that no function here blocks on it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

namespace assay::measure {

std::optional<struct statx> StatOf(int fd);  // from the kernel's memory
dev_t DeviceOf(const struct statx& st);
using FileId = std::pair<dev_t, ino_t>;
std::optional<FileId> IdOf(int fd);
// The file's path, or "unnamed:DEVICE:INODE" if the path is too long for the kernel to tell it.
std::string NameOf(int fd);

}  // namespace assay::measure
