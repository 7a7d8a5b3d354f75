// Internal: what the kernel has in memory of an open file. No file system is asked, so that none can keep us
// waiting.
//
//   const std::optional<FileId> id = IdOf(file.get());
//   log::Warn("{} does not answer", NameOf(file.get()));
//
// Contract: nothing here blocks on the file's file system.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

namespace assay::measure {

std::optional<struct statx> StatOf(int fd);  // as the kernel has it in memory
dev_t DeviceOf(const struct statx& st);
using FileId = std::pair<dev_t, ino_t>;
std::optional<FileId> IdOf(int fd);
// One whose path is too long for the kernel to tell has a name all the same: "unnamed:DEVICE:INODE".
std::string NameOf(int fd);

}  // namespace assay::measure
