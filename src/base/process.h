// Runs a program to its end and returns what it printed.
//
//   ASSAY_ASSIGN(Output output, RunProgram({"dpkg-query", "-W"}, "."));
//   EachLine(output.out, [](std::string_view line) { log::Info("{}", line); });
//
// Contract: no shell is used; the program is found by PATH; its messages are in English (LC_ALL=C); its stdin
// is /dev/null. A program that can't be started is an OsError. A program that fails is no error: the caller
// looks at `exit_code` (128 + n for signal n).
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
