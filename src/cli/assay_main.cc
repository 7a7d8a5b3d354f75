// assay: the command for people and scripts. man/assay.1
#include <unistd.h>

#include <cstdlib>

#include "base/log.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace assay;
  using namespace assay::cli;
  Session session;
  session.colour = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  session.progress = isatty(STDERR_FILENO) != 0;
  CLI::App app{"assay: which code has this machine loaded, proven by its TPM"};
  app.set_version_flag("--version", ASSAY_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_flag("--json", session.json, "Print one JSON document");
  bool verbose = false;
  app.add_flag("-v,--verbose", verbose, "Say more on stderr");
  app.parse_complete_callback([&] {
    static_cast<void>(  // fails only for a file
        log::Init({.level = verbose ? log::Level::kDebug : log::Level::kWarn, .json = false, .file = ""}));
  });
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {  // CLI11 reports errors, --help and --version by this exception
    return app.exit(e) == 0 ? kExitOk : kExitUsage;
  }
  return session.exit_code;
}
