// Internal: the work of `assay log`. cmd_log.cc parses the options.
//
//   // given: const VerifyOptions& options, Session& session
//   session.Finish(VerifyLog(options, session));
//
// Contract: results are exit codes of commands.h. Record numbers begin with 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/list_file.h"
#include "list/list.h"

namespace assay::cli {

struct ShowOptions {
  std::string file;       // empty: the list of this machine
  std::string context;    // what loaded the entries; empty: the journal, for this machine's list
  std::string path;       // glob
  std::string since, by;  // as the man page says
  std::string container;  // evidence::ContainerPattern
  bool unknown = false;   // only what is not in the references
  std::vector<std::string> references;
  std::string bank;  // of the file's columns; empty: told by the file
  bool full = false;
};
Result<int> ShowLog(const ShowOptions& o, const Session& session);

struct VerifyOptions {
  std::string file;
  std::string list_bank;
  std::vector<std::string> banks;        // to replay in, besides those of pcr_values
  std::vector<std::string> pcr_values;   // ALG:INDEX:HEX or ALG:HEX
  std::vector<std::string> padded_sha1;  // banks whose hash the kernel did not have
  bool padded_violations = false;        // the same for violations, as before Linux 5.8
  std::vector<std::string> prefix;       // the same, before first_record
  std::uint64_t first_record = 0;
  std::uint32_t pcr = ima::kPcr;
};
Result<int> VerifyLog(const VerifyOptions& o, const Session& session);

struct ConvertOptions {
  std::string file, out;
  std::string to = "binary";
  std::string bank;  // of the columns to write; empty: unchanged
  std::string list_bank;
};
Result<int> ConvertLog(const ConvertOptions& o, const Session& session);

struct RedactOptions {
  std::string folder, out;  // saved rounds
  std::string container;    // evidence::ContainerPattern
};
Result<int> RedactRound(const RedactOptions& o, const Session& session);

struct EditOptions {
  std::string file, out;
  std::string bank;
  std::optional<std::uint64_t> remove, alter, truncate;
  std::string swap;  // "A,B"
};
Result<int> EditLog(const EditOptions& o, const Session& session);

}  // namespace assay::cli
