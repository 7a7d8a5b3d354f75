// Errors of the node under /run/assay. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::measure {

enum class NodeError { kNoRight, kQuota, kInUse };
inline constexpr ErrorRow kNodeErrors[] = {
    {NodeError::kNoRight, "measure.no-right",
     "Open the file and hand its descriptor; only root may name a path."},
    {NodeError::kQuota, "measure.quota", "Wait; ask for less to be measured, or have the limits raised."},
    {NodeError::kInUse, "fs.in-use", "Stop the other assayd first, or name another mount point."},
};
constexpr std::span<const ErrorRow> ErrorTable(NodeError) { return kNodeErrors; }

}  // namespace assay::measure
