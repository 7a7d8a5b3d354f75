// The command line of a program: its commands, their options, and the values that these set.
//
//   // given: int argc, char** argv
//   std::string out = "/etc/assay";
//   bool force = false;
//   CommandLine line("keys: makes keys", "keys");
//   Command make = line.root().AddCommand("make", "Make a key");
//   make.AddOption("--out", out, "Folder").ShowDefault();
//   make.AddFlag("--force", force, "Replace existing files");
//   make.OnRun([&] { log::Info("{}{}", out, force ? ", replaced" : ""); });
//   ASSAY_ASSIGN(const std::string help, line.Parse({"make", "--out", "/tmp"}));
//
// Contract: Command and CommandOption are handles, as cheap to copy as a pointer. They are valid while their
// CommandLine lives; the variables that options set must live as long. Names are those of CLI11: "--to",
// "-v,--verbose", and "file" for a positional. A name that is given twice, or that Find() does not know, ends
// the program: it is a fault of the code. CLI11 itself is included by command_line.cc alone, because each
// file that includes it takes seconds to compile.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace assay {

// An option, flag or positional of a command. The setters return the option, so that they can be chained.
class CommandOption {
 public:
  CommandOption Required();
  CommandOption ShowDefault();  // the help names the variable's value
  CommandOption OneOf(const std::vector<std::string>& choices);
  CommandOption InRange(int min, int max);
  CommandOption InRange(unsigned min, unsigned max);
  CommandOption NonNegative();
  CommandOption ValueName(const std::string& name);  // in the help, instead of the value's type
  CommandOption Needs(CommandOption other);          // may stand only beside the other
  CommandOption Excludes(CommandOption other);       // may not stand beside the other

 private:
  friend class Command;
  explicit CommandOption(CLI::Option* option) : option_(option) {}
  CLI::Option* option_;
};

// What an option that may be given by its long name is like, for completion and spelling.
struct OptionInfo {
  std::string name;  // "--to"
  std::string text;
  bool value = false;                // it takes one
  std::vector<std::string> choices;  // of the value; empty: any
};

class Command {
 public:
  Command AddCommand(const std::string& name, const std::string& text);
  // Options of which exactly one must be given. The name is for the help.
  Command AddAlternatives(const std::string& name);
  // A list takes one or more values each time that it is given.
  CommandOption AddOption(const std::string& name, std::string& value, const std::string& text = "");
  CommandOption AddOption(const std::string& name, int& value, const std::string& text = "");
  CommandOption AddOption(const std::string& name, std::uint32_t& value, const std::string& text = "");
  CommandOption AddOption(const std::string& name, std::uint64_t& value, const std::string& text = "");
  CommandOption AddOption(const std::string& name, std::optional<std::uint64_t>& value,
                          const std::string& text = "");
  CommandOption AddOption(const std::string& name, std::chrono::seconds& value, const std::string& text = "");
  CommandOption AddOption(const std::string& name, std::vector<std::string>& value,
                          const std::string& text = "");
  CommandOption AddOption(const std::string& name, std::vector<std::pair<std::string, std::string>>& value,
                          const std::string& text = "");
  CommandOption AddFlag(const std::string& name, bool& value, const std::string& text = "");
  CommandOption Find(const std::string& name) const;  // of this command alone

  void AddVersion(const std::string& version);  // --version
  void RequireCommand();                        // one of its commands must be given
  // Its options may stand behind its commands too; it must be called before these are added.
  void TakeOptionsAnywhere();
  void OnParsed(std::function<void()> call);  // before OnRun of its commands
  void OnRun(std::function<void()> call);     // when the whole line was parsed and this command stands there

  std::string name() const;
  std::string text() const;
  bool requires_command() const;
  std::vector<Command> commands() const;
  std::vector<OptionInfo> options() const;  // its own and those of its alternatives
  std::optional<Command> parent() const;
  // parents: the names of the commands above it, "assay log".
  std::string Help(const std::string& parents) const;

 private:
  friend class CommandLine;
  explicit Command(CLI::App* app) : app_(app) {}
  CLI::App* app_;
};

class CommandLine {
 public:
  // Without a name the help has the one that the program was called by.
  explicit CommandLine(const std::string& text, const std::string& name = "");
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Command root() const;
  // Sets the variables, then makes the calls of OnParsed and OnRun. words: without the program's name.
  // Returns what --help or --version have to print, else nothing; a wrong line is a UsageError.
  Result<std::string> Parse(std::vector<std::string> words);
  // The same for a program without commands. The exit code is given if the program must end now: help,
  // version or what is wrong was printed.
  std::optional<int> ParseOrSay(int argc, const char* const* argv);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace assay
