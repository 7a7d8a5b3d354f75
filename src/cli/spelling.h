// What a person may have meant by a command or an option that there is not.
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
// The nearest command or option to the first word that is none; empty if none is near.
std::string Suggestion(const CLI::App& app, const std::vector<std::string>& words);
// The commands that the words begin with: " log show"; empty if there is none.
std::string PathOf(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace assay::cli
