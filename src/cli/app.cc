// The tree of commands, and how a wrong command line is answered. man/assay.1
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/spelling.h"

namespace assay::cli {
namespace {

// Whether --json stands on the command line before a "--". CLI11 may have stopped before it.
bool WantsJson(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") return false;
    if (word == "--json") return true;
  }
  return false;
}

int WrongUsage(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  std::string message = error.what();
  if (const std::string meant = Suggestion(app, words); !meant.empty())
    message += fmt::format("; did you mean '{}'?", meant);
  Session session;
  session.json = WantsJson(argc, argv);
  session.Finish(Fail(UsageError(message)));
  fmt::print(stderr, "'assay help{}' says more\n", PathOf(app, words));
  return session.exit_code;
}

}  // namespace

void AddAll(CLI::App& app, Session& session) {
  app.set_version_flag("--version", ASSAY_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // an option of assay's may stand behind the command
  app.add_flag("--json", session.json, "Print one JSON document");
  app.add_flag("-v,--verbose", session.verbose, "Say more on stderr");
  AddAttest(app, session);
  AddEnrol(app, session);
  AddTrust(app, session);
  AddExplain(app, session);
  AddLog(app, session);
  AddBoot(app, session);
  AddReference(app, session);
  AddRun(app, session);
  AddKeys(app, session);
  AddPolicy(app, session);
  AddDoctor(app, session);
  AddCompletion(app, session);
  AddHelp(app, session);
}

void AddHelp(CLI::App& app, Session& session) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* help = app.add_subcommand("help", "Print the help of a command");
  help->add_option("command", *words, "The command, for example: log show");
  help->callback([&app, words, &session] {
    const CLI::App* at = &app;
    std::string parents;
    for (const std::string& word : *words) {
      const CLI::App* next = CommandOf(*at, word);
      if (next == nullptr) {
        const std::string meant = Suggestion(app, *words);
        session.Finish(Fail(UsageError(fmt::format("help: there is no command '{}'{}", word,
                                                   meant.empty() ? "" : "; did you mean '" + meant + "'?"))));
        return;
      }
      parents += (parents.empty() ? "" : " ") + at->get_name();
      at = next;
    }
    const std::string text = at->help(parents);
    if (session.json)
      session.Answer({{"help", text}});
    else
      fmt::print("{}", text);
    session.exit_code = kExitOk;
  });
}

int RunAssay(int argc, char** argv, Session& session) {
  CLI::App app{"assay: which code has this machine loaded, proven by its TPM", "assay"};
  AddAll(app, session);
  app.parse_complete_callback([&] {
    static_cast<void>(  // fails only for a file
        log::Init(
            {.level = session.verbose ? log::Level::kDebug : log::Level::kWarn, .json = false, .file = ""}));
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {  // CLI11 reports errors, --help and --version by this exception
    if (e.get_exit_code() != 0) return WrongUsage(app, e, argc, argv);
    std::ostringstream text;
    app.exit(e, text, text);
    if (WantsJson(argc, argv))
      session.Answer({{"help", text.str()}});
    else
      fmt::print("{}", text.str());
    return kExitOk;
  }
  return session.exit_code;
}

}  // namespace assay::cli
