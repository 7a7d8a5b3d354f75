// The commands of `assay`. Each function adds a subcommand with its options; its callback sets
// Session::exit_code.
//
//   Session session;
//   CommandLine line("", "assay");
//   AddLog(line.root(), session);
//   ASSAY_ASSIGN(const std::string help, line.Parse({"log", "show"}));
//   log::Info("exit code {}", session.exit_code);
//
// Contract: exit codes: 0 trusted or done, 1 not trusted, 2 could not tell, 3 done in part, 64 wrong usage,
// 70 an error (printed to stderr). `run` ends with the exit code of its command, or with 126 or 127. Results
// go to stdout, everything else to stderr. With --json stdout holds exactly one
// JSON document, also after an error (docs/formats/json.md).
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/command_line.h"
#include "base/result.h"

namespace assay::cli {

inline constexpr int kExitOk = 0, kExitNotTrusted = 1, kExitUnknown = 2, kExitUsage = 64, kExitError = 70;
inline constexpr int kExitIncomplete = 3;  // reference values were written, and some packages' are missing

struct Session {
  bool json = false;                // --json
  bool colour = false;              // stdout is a terminal and NO_COLOR is unset
  bool progress = false;            // stderr is a terminal
  bool verbose = false;             // --verbose
  std::chrono::seconds timeout{0};  // --timeout; 0: none was given
  int exit_code = kExitOk;
  // Prints the command's JSON document with the time. For a command that judges, code is its exit
  // code, which the document's verdict follows from.
  void Answer(nlohmann::json document, std::optional<int> code = std::nullopt) const;
  void AnswerText(const std::string& json_object, std::optional<int> code = std::nullopt) const;
  // Takes a command's outcome: an error is printed (to stderr, or as JSON to stdout) and becomes the exit
  // code.
  void Finish(const Result<int>& exit_code_or_error);
};

// An error as a document has it: "code", "message", and "remedy" where there is one.
nlohmann::json ErrorJson(const Error& error);

// The whole tree of commands, and what main() does with it.
void AddAll(Command app, Session& session);
int RunAssay(int argc, char** argv, Session& session);

void AddLog(Command app, Session& session);         // log show|verify|convert|edit
void AddBoot(Command app, Session& session);        // boot show|verify|learn|predict|diff
void AddAttest(Command app, Session& session);      // attest, appraise
void AddEnrol(Command app, Session& session);       // enrol
void AddTrust(Command app, Session& session);       // trust, untrust: the owner's signed list
void AddExplain(Command app, Session& session);     // explain: what is known of a digest, path or finding
void AddReference(Command app, Session& session);   // reference build|show|sign|verify
void AddRun(Command app, Session& session);         // run, measure, status
void AddKeys(Command app, Session& session);        // keys: certificates for both sides
void AddPolicy(Command app, Session& session);      // policy check|show|load
void AddDoctor(Command app, Session& session);      // doctor: what works on this machine, and what is missing
void AddCompletion(Command app, Session& session);  // completion bash|zsh|fish
void AddHelp(Command app, Session& session);        // help [COMMAND]

}  // namespace assay::cli
