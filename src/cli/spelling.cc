#include "cli/spelling.h"

#include <algorithm>
#include <string_view>

#include "base/near.h"

namespace assay::cli {
namespace {

// The options that may stand behind the command: its own, and those of its parents.
std::vector<std::string> OptionsOf(Command app) {
  std::vector<std::string> names;
  for (std::optional<Command> at = app; at; at = at->parent())
    for (const OptionInfo& option : at->options()) names.push_back(option.name);
  return names;
}

// The nearest of the names; empty if the word is one of them, or if none is near.
std::string NearestOf(const std::string& word, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), word) != names.end()) return "";
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  return std::string(Nearest(word, candidates));
}

}  // namespace

std::optional<Command> CommandOf(Command app, const std::string& word) {
  for (const Command sub : app.commands())
    if (sub.name() == word) return sub;
  return std::nullopt;
}

std::string Suggestion(Command app, const std::vector<std::string>& words) {
  Command at = app;
  for (const std::string& word : words) {
    if (word == "--") break;
    if (word.starts_with("--")) {
      const std::string meant = NearestOf(word.substr(0, word.find('=')), OptionsOf(at));
      if (!meant.empty()) return meant;
    } else if (const std::optional<Command> sub = CommandOf(at, word)) {
      at = *sub;
    } else if (at.requires_command() && !word.starts_with("-")) {
      std::vector<std::string> names;
      for (const Command command : at.commands()) names.push_back(command.name());
      return NearestOf(word, names);
    }
  }
  return "";
}

std::string PathOf(Command app, const std::vector<std::string>& words) {
  std::string path;
  Command at = app;
  for (const std::string& word : words) {
    if (word.starts_with("-")) continue;
    const std::optional<Command> sub = CommandOf(at, word);
    if (!sub) break;
    at = *sub;
    path += " " + word;
  }
  return path;
}

}  // namespace assay::cli
