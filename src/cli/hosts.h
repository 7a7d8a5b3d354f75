// The hosts file of `assay attest --all`: docs/formats/hosts.md.
//
//   // given: std::string_view text, const Session& session
//   ASSAY_ASSIGN(const std::vector<Host> hosts, ParseHosts(text, "/etc/assay"));
//   for (const Host& h : hosts) log::Info("{} at {}", h.name, h.target.address.text());
//   ASSAY_ASSIGN(const int code, AttestAll({.file = "/etc/assay/hosts.json"}, session));
//
// Contract: names and state files are unique. Relative paths are relative to the file's folder, but for
// `unix`, which is absolute. AttestAll() gives the exit code of the worst verdict; a host that can't be asked
// is 'could not tell'.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/attest_round.h"
#include "cli/commands.h"

namespace assay::cli {

inline constexpr std::size_t kMaxHostsFile = std::size_t{1} << 20, kMaxHosts = 1000;

struct Host {
  std::string name;
  Target target;
};
Result<std::vector<Host>> ParseHosts(std::string_view text, const std::string& folder);

struct AllOptions {
  std::string file;
  std::string selection{};  // empty: PCR 0 to 14 in the bank of the list
  std::string findings{};   // as appraise::Shown
  bool all_findings = false, full = false;
};
Result<int> AttestAll(const AllOptions& o, const Session& session);

}  // namespace assay::cli
