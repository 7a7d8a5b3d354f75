#include "cli/spelling.h"

#include <algorithm>
#include <string_view>

#include "base/near.h"

namespace assay::cli {
namespace {

std::vector<const CLI::App*> CommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// The options that may stand behind the command: its own, those of its groups, and those of its parents.
std::vector<std::string> OptionsOf(const CLI::App& app) {
  std::vector<std::string> names;
  const auto add = [&names](const CLI::App& of) {
    for (const CLI::Option* option : of.get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  };
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) add(*at);
  for (const CLI::App* sub : CommandsOf(app))
    if (sub->get_name().empty()) add(*sub);
  return names;
}

// The nearest of the names; empty if the word is one of them, or if none is near.
std::string NearestOf(const std::string& word, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), word) != names.end()) return "";
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  return std::string(Nearest(word, candidates));
}

}  // namespace

const CLI::App* CommandOf(const CLI::App& app, const std::string& word) {
  for (const CLI::App* sub : CommandsOf(app))
    if (sub->get_name() == word) return sub;
  return nullptr;
}

std::string Suggestion(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  for (const std::string& word : words) {
    if (word == "--") break;
    if (word.starts_with("--")) {
      const std::string meant = NearestOf(word.substr(0, word.find('=')), OptionsOf(*at));
      if (!meant.empty()) return meant;
    } else if (const CLI::App* sub = CommandOf(*at, word); sub != nullptr) {
      at = sub;
    } else if (at->get_require_subcommand_min() > 0 && !word.starts_with("-")) {
      std::vector<std::string> names;
      for (const CLI::App* command : CommandsOf(*at)) names.push_back(command->get_name());
      return NearestOf(word, names);
    }
  }
  return "";
}

std::string PathOf(const CLI::App& app, const std::vector<std::string>& words) {
  std::string path;
  const CLI::App* at = &app;
  for (const std::string& word : words) {
    if (word.starts_with("-")) continue;
    at = CommandOf(*at, word);
    if (at == nullptr) break;
    path += " " + word;
  }
  return path;
}

}  // namespace assay::cli
