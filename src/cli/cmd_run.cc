#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/errors.h"
#include "cli/status.h"
#include "cli/watchdog.h"
#include "measure/system/namespace.h"

namespace assay::cli {
namespace {

constexpr std::size_t kMaxStatus = 1 << 20;

struct RunOptions {
  std::string mount_point = "/run/assay";
  std::vector<std::string> command;
  std::string path;
  int fd = -1;
};

Result<JsonDoc> ReadStatus(const std::string& mount_point) {
  ASSAY_ASSIGN(Bytes bytes, ReadFile(mount_point + "/status", kMaxStatus));
  return JsonDoc::Parse(AsText(bytes), "status", kMaxStatus);
}

Result<int> Run(const RunOptions& o, const Session& session) {
  ASSAY_ASSIGN(JsonDoc status, ReadStatus(o.mount_point));
  ASSAY_ASSIGN(JsonValue engine, status.root().Object("engine"));
  ASSAY_ASSIGN(std::string scope, engine.Str("scope"));
  if (scope == "namespace") {
    ASSAY_ASSIGN(std::string ns, engine.Str("namespace"));
    ASSAY_TRY(measure::EnterNamespace(ns));
  } else if (scope != "host") {
    return Fail(
        StateError(CommandError::kNoEngine, "assayd runs without an engine: nothing would be measured"));
  }
  std::vector<char*> argv;
  argv.reserve(o.command.size() + 1);
  for (const std::string& word : o.command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  // The exit codes are those of the shell and of env(1).
  const int error = errno;
  Session failed = session;
  failed.Finish(Fail(OsError("execvp", o.command[0], error)));
  return error == ENOENT ? 127 : 126;
}

Result<int> Measure(const RunOptions& o, const Session& session) {
  std::string request = "fd:" + std::to_string(o.fd) + "\n";
  UniqueFd file;
  if (o.fd < 0) {
    // The file is passed as a descriptor, so that exactly the file opened here is measured.
    ASSAY_ASSIGN(file, Open(o.path, O_RDONLY));
    request = "fd:" + std::to_string(file.get()) + "\n";
  }
  ASSAY_ASSIGN(UniqueFd node, Open(o.mount_point + "/measure", O_WRONLY));
  ASSAY_TRY(WriteAll(node.get(), AsBytes(request)));
  if (session.json) session.Answer({{"measured", o.fd < 0 ? o.path : fmt::format("fd:{}", o.fd)}});
  return kExitOk;
}

}  // namespace

void AddRun(Command app, Session& session) {
  auto options = std::make_shared<RunOptions>();
  auto mount_option = [options](Command sub) {
    sub.AddOption("--mount-point", options->mount_point, "Mount point of assayd's file system").ShowDefault();
  };
  Command run = app.AddCommand("run", "Run a command in the namespace where assayd measures");
  mount_option(run);
  run.AddOption("command", options->command, "The command; everything after -- belongs to it").Required();
  run.OnRun([options, &session] { session.Finish(Run(*options, session)); });
  Command measure = app.AddCommand("measure", "Have a file measured before it is used");
  mount_option(measure);
  const CommandOption path = measure.AddOption("path", options->path, "The file");
  measure.AddOption("--fd", options->fd, "The number of an inherited descriptor, instead of a path")
      .Excludes(path)
      .NonNegative();
  AddTimeout(measure, session);
  measure.OnRun([options, &session] {
    const Watchdog watchdog(session);
    if (options->fd < 0 && options->path.empty())
      session.Finish(Fail(UsageError("measure: name a file")));
    else
      session.Finish(Measure(*options, session));
  });
  Command status =
      app.AddCommand("status", "Show the state of assayd (0 good, 1 bad or not running, 2 starting)");
  mount_option(status);
  AddTimeout(status, session);
  status.OnRun([options, &session] {
    const Watchdog watchdog(session);
    session.Finish(ShowStatus(options->mount_point, session));
  });
}

}  // namespace assay::cli
