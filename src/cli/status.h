// Internal: `assay status`, as cmd_run.cc registers it.
//
//   // given: const Session& session
//   ASSAY_ASSIGN(const int exit_code, ShowStatus("/run/assay", session));
//
// Contract: 0 the attester is well, 1 it is degraded or does not run, 2 it starts. An attester that does not
// run is a result, and no error: with --json the document is {"state": "not running", "error": {...}}.
#pragma once

#include <string>

#include "cli/commands.h"

namespace assay::cli {

Result<int> ShowStatus(const std::string& mount_point, const Session& session);

}  // namespace assay::cli
