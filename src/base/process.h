// Runs a program to its end and keeps what it printed.
//
//   ASSAY_ASSIGN(Output o, RunProgram({"dpkg-query", "-W"}, "."));
//
// Contract: no shell; found by PATH; messages are in English (LC_ALL=C); stdin is /dev/null. A program that
// can't be started is an OsError; one that fails is not an error here: look at `exit_code` (128 + n for
// signal n).
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay {

struct Output {
  int exit_code = 0;
  std::string out, err;
};
Result<Output> RunProgram(const std::vector<std::string>& argv, const std::string& folder);

template <typename Visit>
void EachLine(std::string_view text, Visit visit) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    visit(text.substr(at, end - at));
    at = end + 1;
  }
}

}  // namespace assay
