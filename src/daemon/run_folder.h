// The attester's folder of sockets and list, and the lock on it: the first that a start takes.
//
//   ASSAY_ASSIGN(RunFolder folder, RunFolder::Take("/run/assayd"));   // "recorder.locked": another attester
//
// Contract: Take() comes before the log file, the TPM and every mount but the folder's own. The folder is on
// a tmpfs afterwards. A start that fails because another attester has the lock has changed nothing.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "measure/record/list_lock.h"

namespace assay::daemon {

struct RunFolder {
  bool mounted = false;  // a tmpfs was mounted here by this start
  std::shared_ptr<measure::ListLock> lock;
  static Result<RunFolder> Take(const std::string& run_dir);
};
// Where the list and its lock are.
std::string ListFolder(const std::string& run_dir);

}  // namespace assay::daemon
