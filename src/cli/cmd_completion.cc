#include <fmt/format.h>

#include "cli/commands.h"

namespace assay::cli {
namespace {

// Adds the words that may follow one command (subcommands and options), and then the same for each of its
// subcommands.
void AddCases(const CLI::App& app, const std::string& path, std::string& cases) {
  std::string words;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    words += sub->get_name() + " ";
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  }
  cases += fmt::format("    '{}') path='{}' words='{}';;\n", path, path, words);
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    AddCases(*sub, path + " " + sub->get_name(), cases);
}

}  // namespace

void AddCompletion(CLI::App& app, Session& session) {
  CLI::App* completion = app.add_subcommand("completion", "Print the completion script for bash");
  completion->callback([&app, &session] {
    std::string cases;
    AddCases(app, "assay", cases);
    fmt::print(
        R"(# bash completion for assay: source it, or put it into /usr/share/bash-completion/completions/assay
_assay() {{
  local path='' word words='' i
  for ((i = 0; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]##*/}}
    case "${{path:+$path }}$word" in
{}    esac
  done
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
  [[ ${{#COMPREPLY[@]}} -gt 0 ]] || COMPREPLY=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o filenames -F _assay assay
)",
        cases);
    session.exit_code = kExitOk;
  });
}

}  // namespace assay::cli
