// The tree of commands, and how a wrong command line is answered. man/assay.1
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/fleet_commands.h"
#include "cli/service_commands.h"
#include "cli/spelling.h"

namespace assay::cli {
namespace {

// Whether --json stands on the command line before a "--". The parser may have stopped before it.
bool WantsJson(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--json") return true;
  }
  return false;
}

int WrongUsage(Command app, const Error& error, const std::vector<std::string>& words) {
  std::string message = error.Message();
  if (const std::string meant = Suggestion(app, words); !meant.empty())
    message += fmt::format("; did you mean '{}'?", meant);
  Session session;
  session.json = WantsJson(words);
  session.Finish(Fail(UsageError(message)));
  fmt::print(stderr, "'assay help{}' says more\n", PathOf(app, words));
  return session.exit_code;
}

}  // namespace

void AddAll(Command app, Session& session) {
  app.AddVersion(ASSAY_VERSION);
  app.RequireCommand();
  app.TakeOptionsAnywhere();  // an option of assay's may stand behind the command
  app.AddFlag("--json", session.json, "Print one JSON document");
  app.AddFlag("-v,--verbose", session.verbose, "Say more on stderr");
  AddAttest(app, session);
  AddEnrol(app, session);
  AddTrust(app, session);
  AddExplain(app, session);
  AddLog(app, session);
  AddBoot(app, session);
  AddReference(app, session);
  AddWhoRan(app, session);
  AddRun(app, session);
  AddKeys(app, session);
  AddPolicy(app, session);
  AddConfig(app, session);
  AddSupportBundle(app, session);
  AddDoctor(app, session);
  AddCompletion(app, session);
  AddHelp(app, session);
}

void AddHelp(Command app, Session& session) {
  auto words = std::make_shared<std::vector<std::string>>();
  Command help = app.AddCommand("help", "Print the help of a command");
  help.AddOption("command", *words, "The command, for example: log show");
  help.OnRun([app, words, &session] {
    Command at = app;
    std::string parents;
    for (const std::string& word : *words) {
      const std::optional<Command> next = CommandOf(at, word);
      if (!next) {
        const std::string meant = Suggestion(app, *words);
        session.Finish(Fail(UsageError(fmt::format("help: there is no command '{}'{}", word,
                                                   meant.empty() ? "" : "; did you mean '" + meant + "'?"))));
        return;
      }
      parents += (parents.empty() ? "" : " ") + at.name();
      at = *next;
    }
    const std::string text = at.Help(parents);
    if (session.json)
      session.Answer({{"help", text}});
    else
      fmt::print("{}", text);
    session.exit_code = kExitOk;
  });
}

int RunAssay(int argc, char** argv, Session& session) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  CommandLine line("assay: which code has this machine loaded, proven by its TPM", "assay");
  Command app = line.root();
  AddAll(app, session);
  app.OnParsed([&session] {
    static_cast<void>(  // fails only for a file
        log::Init(
            {.level = session.verbose ? log::Level::kDebug : log::Level::kWarn, .json = false, .file = ""}));
  });
  const Result<std::string> help = line.Parse(words);
  if (!help) return WrongUsage(app, help.error(), words);
  if (help->empty()) return session.exit_code;
  if (WantsJson(words))
    session.Answer({{"help", *help}});
  else
    fmt::print("{}", *help);
  return kExitOk;
}

}  // namespace assay::cli
