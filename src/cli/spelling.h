// The command or option that a person may have meant by one that does not exist.
//
//   // given: const CLI::App& app
//   const std::string meant = Suggestion(app, {"atest", "--unix", "/run/x"});   // "attest"
//
// Contract: pure. Words after "--" belong to another command and are not looked at.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace assay::cli {

const CLI::App* CommandOf(const CLI::App& app, const std::string& word);  // nullptr: it has none of this name
// The command or option that is nearest to the first unknown word; empty if none is near.
std::string Suggestion(const CLI::App& app, const std::vector<std::string>& words);
// The commands that the words begin with: " log show"; empty if there is none.
std::string PathOf(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace assay::cli
