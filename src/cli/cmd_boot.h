// Internal: the work of `assay boot` with expected states. cmd_boot.cc parses the options.
//
//   // given: const BootOptions& options
//   ASSAY_ASSIGN(const std::unique_ptr<LoadedLog> loaded, Load(options));
//   ASSAY_ASSIGN(const HashAlg bank, BankOf(options, loaded->log));
//
// Contract: results are exit codes of commands.h. An expected state is a file that `learn` or `predict`
// wrote: docs/formats/eventlog.md, "As JSON".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boot/expected.h"
#include "cli/commands.h"

namespace assay::cli {

struct BootOptions {
  std::string file;
  std::string bank;
  std::string registers = "auto";
  std::string format = "auto";
  bool events = false;
  bool all = false;
  bool strict = false;
  bool allow_missing_exit = false;
  std::vector<std::string> values;
  std::string pcrs;
  std::vector<std::string> boots;  // diff: the expected boots, and last the one to judge
  std::vector<std::pair<std::string, std::string>> files;  // predict: old and new
  std::vector<std::pair<std::string, std::string>> texts;
};

// The file's bytes must outlive the log.
struct LoadedLog {
  Bytes bytes;
  boot::EventLog log;
};
Result<std::unique_ptr<LoadedLog>> Load(const BootOptions& o);
Result<HashAlg> BankOf(const BootOptions& o, const boot::EventLog& log);
// nullopt: the file is a log and not an expected state.
Result<std::optional<boot::ExpectedBoot>> ExpectedIn(const std::string& file);

Result<int> LearnBoot(const BootOptions& o, const Session& session);
Result<int> PredictBoot(const BootOptions& o, const Session& session);
Result<int> DiffBoots(const BootOptions& o, const Session& session);

}  // namespace assay::cli
