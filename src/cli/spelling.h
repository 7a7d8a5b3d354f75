// The command or option that a person may have meant by one that does not exist.
//
//   // given: Command app
//   const std::string meant = Suggestion(app, {"atest", "--unix", "/run/x"});   // "attest"
//
// Contract: pure. Words after "--" belong to another command and are not looked at.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/command_line.h"

namespace assay::cli {

std::optional<Command> CommandOf(Command app, const std::string& word);
// The command or option that is nearest to the first unknown word; empty if none is near.
std::string Suggestion(Command app, const std::vector<std::string>& words);
// The commands that the words begin with: " log show"; empty if there is none.
std::string PathOf(Command app, const std::vector<std::string>& words);

}  // namespace assay::cli
