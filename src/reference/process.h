// Internal: runs a program to its end and keeps what it printed.
//
//   ASSAY_ASSIGN(Output o, RunProgram({"dpkg-query", "-W"}, "."));
//
// Contract: no shell; found by PATH; messages are in English (LC_ALL=C); stdin is /dev/null. A program that
// can't be started is an OsError; one that fails is not an error here: look at `exit_code` (128 + n for
// signal n).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace assay::reference {

struct Output {
  int exit_code = 0;
  std::string out, err;
};
Result<Output> RunProgram(const std::vector<std::string>& argv, const std::string& folder);

}  // namespace assay::reference
