// Completion scripts, generated from the tree of commands: what this program accepts is what is completed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace assay::cli {
namespace {

// What is completed behind the words of a path.
struct Words {
  std::string path;                                              // "assay log show"
  std::vector<std::pair<std::string, std::string>> subcommands;  // name, text
  std::vector<OptionInfo> options;                               // its own and its parents'
};

void AppendWords(Command command, const std::string& path, std::vector<OptionInfo> parents,
                 std::vector<Words>& out) {
  Words words{path, {}, command.options()};
  // Every command has a --help of its own.
  std::erase_if(parents, [&](const OptionInfo& o) {
    return o.name == "--version" || std::any_of(words.options.begin(), words.options.end(),
                                                [&](const OptionInfo& own) { return own.name == o.name; });
  });
  words.options.insert(words.options.end(), parents.begin(), parents.end());
  const std::vector<OptionInfo> options = words.options;
  for (const Command sub : command.commands()) words.subcommands.emplace_back(sub.name(), sub.text());
  out.push_back(std::move(words));
  for (const Command sub : command.commands()) AppendWords(sub, path + " " + sub.name(), options, out);
}

// For a word between single quotes in any of the shells.
std::string Quoted(std::string text) {
  std::erase_if(text, [](char c) { return c == '\'' || c == '\\' || c == '\n'; });
  return text;
}

std::string Joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

// "'assay log'|'assay log show'|...": the commands, as patterns of bash and zsh.
std::string Patterns(const std::vector<Words>& commands) {
  std::vector<std::string> patterns;
  for (const Words& c : commands)
    if (c.path != "assay") patterns.push_back("'" + c.path + "'");
  return fmt::format("{}", fmt::join(patterns, "|"));
}

std::string Bash(const std::vector<Words>& commands) {
  std::string cases, values;
  for (const Words& c : commands) {
    std::vector<std::string> subs, options, files;
    for (const auto& [name, text] : c.subcommands) subs.push_back(name);
    for (const OptionInfo& o : c.options) {
      options.push_back(o.name);
      if (!o.choices.empty())
        values += fmt::format("    '{} {}') words='{}';;\n", c.path, o.name, Joined(o.choices));
      else if (o.value)
        files.push_back(fmt::format("'{} {}'", c.path, o.name));
    }
    cases += fmt::format("    '{}') subs='{}' options='{}';;\n", c.path, Joined(subs), Joined(options));
    if (!files.empty()) values += fmt::format("    {}) files=1;;\n", fmt::join(files, "|"));
  }
  return fmt::format(
      R"(# bash completion for assay: source it, or put it into /usr/share/bash-completion/completions/assay
_assay() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} path=assay subs='' options='' words='' files='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${{COMP_WORDS[i]}} == -- ]] && files=1
    case "$path ${{COMP_WORDS[i]}}" in
    {}) path="$path ${{COMP_WORDS[i]}}";;
    esac
  done
  case $path in
{}  esac
  case "$path ${{COMP_WORDS[COMP_CWORD - 1]}}" in
{}  esac
  if [[ -z $files && -z $words ]]; then
    if [[ $current == -* ]]; then words=$options
    elif [[ -n $subs ]]; then words=$subs
    else files=1
    fi
  fi
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  else
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _assay assay
)",
      Patterns(commands), cases, values);
}

std::string Zsh(const std::vector<Words>& commands) {
  std::string cases, values;
  for (const Words& c : commands) {
    std::string subs, options;
    for (const auto& [name, text] : c.subcommands) subs += fmt::format(" '{}:{}'", name, Quoted(text));
    for (const OptionInfo& o : c.options) {
      options += fmt::format(" '{}:{}'", o.name, Quoted(o.text));
      if (!o.choices.empty())
        values += fmt::format("    ('{} {}') compadd -- {}; return;;\n", c.path, o.name, Joined(o.choices));
      else if (o.value)
        values += fmt::format("    ('{} {}') _files; return;;\n", c.path, o.name);
    }
    cases += fmt::format("    ('{}') subs=({}) options=({});;\n", c.path, subs, options);
  }
  return fmt::format(
      R"(#compdef assay
# zsh completion for assay: put it into a folder of $fpath as _assay
_assay() {{
  local at=assay i
  local -a subs options
  for ((i = 2; i < CURRENT; i++)); do
    case "$at ${{words[i]}}" in
    ({}) at="$at ${{words[i]}}";;
    esac
  done
  case $at in
{}  esac
  case "$at ${{words[CURRENT-1]}}" in
{}  esac
  if [[ ${{words[CURRENT]}} == -* ]]; then _describe option options
  elif (( $#subs )); then _describe command subs
  else _files
  fi
}}
compdef _assay assay
)",
      Patterns(commands), cases, values);
}

std::string Fish(const std::vector<Words>& commands) {
  std::string lines, paths;
  for (const Words& c : commands) {
    const std::string when = fmt::format("complete -c assay -n 'test (__assay_at) = \"{}\"'", c.path);
    if (c.path != "assay") paths += fmt::format(" '{}'", c.path);
    if (!c.subcommands.empty()) lines += when + " -f\n";
    for (const auto& [name, text] : c.subcommands)
      lines += fmt::format("{} -a '{}' -d '{}'\n", when, name, Quoted(text));
    for (const OptionInfo& o : c.options)
      lines += fmt::format("{} -l {} -d '{}'{}\n", when, o.name.substr(2), Quoted(o.text),
                           !o.choices.empty() ? fmt::format(" -x -a '{}'", Joined(o.choices))
                           : o.value          ? " -r -F"
                                              : "");
  }
  return fmt::format(R"(# fish completion for assay: put it into ~/.config/fish/completions/assay.fish
function __assay_at
  set -l at assay
  for word in (commandline -opc)[2..]
    contains -- "$at $word"{}
    and set at "$at $word"
  end
  echo $at
end
{})",
                     paths, lines);
}

}  // namespace

void AddCompletion(Command app, Session& session) {
  auto shell = std::make_shared<std::string>("bash");
  Command completion = app.AddCommand("completion", "Print the completion script for a shell");
  completion.AddOption("shell", *shell, "bash, zsh or fish").OneOf({"bash", "zsh", "fish"}).ShowDefault();
  completion.OnRun([app, shell, &session] {
    std::vector<Words> commands;
    AppendWords(app, "assay", {}, commands);
    const std::string script = *shell == "bash"  ? Bash(commands)
                               : *shell == "zsh" ? Zsh(commands)
                                                 : Fish(commands);
    if (session.json)
      session.Answer({{"shell", *shell}, {"script", script}});
    else
      fmt::print("{}", script);
    session.exit_code = kExitOk;
  });
}

}  // namespace assay::cli
