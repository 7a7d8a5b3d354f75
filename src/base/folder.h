// The names in a folder.
//
//   ASSAY_ASSIGN(const std::vector<std::string> names, NamesIn("/proc/self/fd"));
//
// Contract: std::filesystem's iterators throw in a range-for when the folder goes while it is read, as that
// of a process does; this returns OsError. The names are in no order; "." and ".." are left out.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace assay {

Result<std::vector<std::string>> NamesIn(const std::string& folder);

}  // namespace assay
