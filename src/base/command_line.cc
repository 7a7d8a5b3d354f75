#include "base/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

namespace assay {
namespace {

// CLI11 keeps the choices of a value in the type's name: "TEXT:{binary,ascii}".
std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{'), close = type.find('}');
  if (open == std::string::npos || close == std::string::npos) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

bool All(const CLI::App* /*app*/) { return true; }

void AppendOptions(const CLI::App& app, std::vector<OptionInfo>& out) {
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      out.push_back(
          {"--" + name, option->get_description(), option->get_items_expected_max() > 0, ChoicesOf(*option)});
  }
  for (const CLI::App* sub : app.get_subcommands(All))
    if (sub->get_name().empty()) AppendOptions(*sub, out);  // alternatives
}

}  // namespace

CommandOption CommandOption::Required() {
  option_->required();
  return *this;
}
CommandOption CommandOption::ShowDefault() {
  option_->capture_default_str();
  return *this;
}
CommandOption CommandOption::OneOf(const std::vector<std::string>& choices) {
  option_->check(CLI::IsMember(choices));
  return *this;
}
CommandOption CommandOption::InRange(int min, int max) {
  option_->check(CLI::Range(min, max));
  return *this;
}
CommandOption CommandOption::InRange(unsigned min, unsigned max) {
  option_->check(CLI::Range(min, max));
  return *this;
}
CommandOption CommandOption::NonNegative() {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}
CommandOption CommandOption::ValueName(const std::string& name) {
  option_->type_name(name);
  return *this;
}
CommandOption CommandOption::Needs(CommandOption other) {
  option_->needs(other.option_);
  return *this;
}
CommandOption CommandOption::Excludes(CommandOption other) {
  option_->excludes(other.option_);
  return *this;
}

Command Command::AddCommand(const std::string& name, const std::string& text) {
  return Command(app_->add_subcommand(name, text));
}

Command Command::AddAlternatives(const std::string& name) {
  CLI::Option_group* group = app_->add_option_group(name);
  group->require_option(1);
  return Command(group);
}

CommandOption Command::AddOption(const std::string& name, std::string& value, const std::string& text) {
  return CommandOption(app_->add_option(name, value, text));
}
CommandOption Command::AddOption(const std::string& name, int& value, const std::string& text) {
  return CommandOption(app_->add_option(name, value, text));
}
CommandOption Command::AddOption(const std::string& name, std::uint32_t& value, const std::string& text) {
  return CommandOption(app_->add_option(name, value, text));
}
CommandOption Command::AddOption(const std::string& name, std::uint64_t& value, const std::string& text) {
  return CommandOption(app_->add_option(name, value, text));
}
CommandOption Command::AddOption(const std::string& name, std::optional<std::uint64_t>& value,
                                 const std::string& text) {
  return CommandOption(app_->add_option(name, value, text));
}
CommandOption Command::AddOption(const std::string& name, std::chrono::seconds& value,
                                 const std::string& text) {
  return CommandOption(app_->add_option_function<unsigned>(
      name, [&value](const unsigned& s) { value = std::chrono::seconds(s); }, text));
}
CommandOption Command::AddOption(const std::string& name, std::vector<std::string>& value,
                                 const std::string& text) {
  return CommandOption(app_->add_option(name, value, text));
}
CommandOption Command::AddOption(const std::string& name,
                                 std::vector<std::pair<std::string, std::string>>& value,
                                 const std::string& text) {
  return CommandOption(app_->add_option(name, value, text));
}
CommandOption Command::AddFlag(const std::string& name, bool& value, const std::string& text) {
  return CommandOption(app_->add_flag(name, value, text));
}
CommandOption Command::Find(const std::string& name) const { return CommandOption(app_->get_option(name)); }

void Command::AddVersion(const std::string& version) { app_->set_version_flag("--version", version); }
void Command::RequireCommand() { app_->require_subcommand(1); }
void Command::TakeOptionsAnywhere() { app_->fallthrough(); }
void Command::OnParsed(std::function<void()> call) { app_->parse_complete_callback(std::move(call)); }
void Command::OnRun(std::function<void()> call) { app_->callback(std::move(call)); }

std::string Command::name() const { return app_->get_name(); }
std::string Command::text() const { return app_->get_description(); }
bool Command::requires_command() const { return app_->get_require_subcommand_min() > 0; }

std::vector<Command> Command::commands() const {
  std::vector<Command> named;
  for (CLI::App* sub : app_->get_subcommands([](CLI::App* app) { return !app->get_name().empty(); }))
    named.push_back(Command(sub));
  return named;
}

std::vector<OptionInfo> Command::options() const {
  std::vector<OptionInfo> all;
  AppendOptions(*app_, all);
  return all;
}

std::optional<Command> Command::parent() const {
  CLI::App* above = app_->get_parent();
  return above == nullptr ? std::nullopt : std::optional(Command(above));
}

std::string Command::Help(const std::string& parents) const { return app_->help(parents); }

CommandLine::CommandLine(const std::string& text, const std::string& name)
    : app_(std::make_unique<CLI::App>(text, name)) {}
CommandLine::~CommandLine() = default;

Command CommandLine::root() const { return Command(app_.get()); }

Result<std::string> CommandLine::Parse(std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the end
  try {
    app_->parse(std::move(words));
    return std::string();
  } catch (const CLI::ParseError& e) {  // CLI11 reports --help and --version by this exception too
    if (e.get_exit_code() != 0) return Fail(UsageError(e.what()));
    std::ostringstream text;
    app_->exit(e, text, text);
    return text.str();
  }
}

std::optional<int> CommandLine::ParseOrSay(int argc, const char* const* argv) {
  try {
    app_->parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& e) {
    return app_->exit(e);
  }
}

}  // namespace assay
