// Errors of files, mounts and devices. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::measure {

enum class FileError { kNotAFile, kOtherMount, kLate };
inline constexpr ErrorRow kFileErrors[] = {
    {FileError::kNotAFile, "measure.not-a-file", "Name a regular file that is not the attester's own."},
    {FileError::kOtherMount, "measure.other-mount", "Nothing: the path leads to another mount by now."},
    {FileError::kLate, "measure.late",
     "Look at the file system that holds the file: it did not answer in time."},
};
constexpr std::span<const ErrorRow> ErrorTable(FileError) { return kFileErrors; }

enum class StorageError { kDevice };
inline constexpr ErrorRow kStorageErrors[] = {
    {StorageError::kDevice, "storage.device",
     "Report it: this kernel's /sys shows block devices in an unknown way."},
};
constexpr std::span<const ErrorRow> ErrorTable(StorageError) { return kStorageErrors; }

}  // namespace assay::measure
