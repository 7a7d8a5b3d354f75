// Internal: what `assay boot` does with expected states, apart from its options (cmd_boot.cc).
//
//   ASSAY_ASSIGN(const std::unique_ptr<LoadedLog> loaded, Load(o));
//   ASSAY_ASSIGN(const HashAlg bank, BankOf(o, loaded->log));
//
// Contract: results are exit codes, as commands.h says them. An expected state is what `learn` and `predict`
// write: docs/formats/eventlog.md, "As JSON".
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
  std::vector<std::string> boots;                          // diff: expected ones, and last the one to judge
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
// nullopt: the file is a log and no expected state.
Result<std::optional<boot::ExpectedBoot>> ExpectedIn(const std::string& file);

Result<int> LearnBoot(const BootOptions& o);
Result<int> PredictBoot(const BootOptions& o);
Result<int> DiffBoots(const BootOptions& o, bool as_json);

}  // namespace assay::cli
