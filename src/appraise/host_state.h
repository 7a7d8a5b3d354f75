// What a verifier knows of one host from rounds before.
//
//   // given: std::string_view text
//   ASSAY_ASSIGN(HostState state, ParseHostState(text));
//   const std::string written = EncodeHostState(state);
//
// Contract: docs/formats/hoststate.md. The caller keeps the state. All members are written and read. Of a
// state of an earlier version only the members are used that are still valid.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "appraise/finding.h"
#include "base/digest.h"

namespace assay::appraise {

inline constexpr std::size_t kMaxHostState = std::size_t{16} << 20;  // bytes of its JSON
inline constexpr std::size_t kMaxStanding =
    5000;  // findings that are kept; one more says that there are others

// Which machine it is, as its maker's certificate of the IAK says.
struct DeviceName {
  std::string subject, model, serial;
  bool operator==(const DeviceName&) const = default;
};

// The newest version of a package that a path was seen with. Kept only where an older one is known.
struct NewestVersion {
  std::string package, version;
  bool operator==(const NewestVersion&) const = default;
};
using NewestVersions = std::map<std::string, NewestVersion>;  // by path
inline constexpr std::size_t kMaxNewest = 20'000;             // paths; what is seen after them is not kept

// What is known of one host from earlier rounds. The caller keeps it.
struct HostState {
  std::string ak_name, ek_name;  // hex; empty: none seen yet
  std::string identity;  // how they were verified: "certificate", "listed", "named", "first-use"; or empty
  bool tpm_software = false;  // as enrolment found it
  DeviceName device;          // as enrolment proved it; empty: it did not
  std::uint64_t clock = 0;    // milliseconds, of the last quote
  std::uint32_t reset_count = 0, restart_count = 0;
  std::uint64_t records = 0;         // judged so far in this boot
  std::map<HashAlg, Digest> prefix;  // PCR value after `records`, per quoted bank
  std::string boot_id;
  std::string reset_in;           // the boot in which the TPM was reset without a reboot; empty: none
  std::vector<Finding> standing;  // findings of this boot that still weigh
  std::uint64_t rounds = 0;
  std::string judged_with;  // what the records were judged with: SHA-256 in hex; empty: not known
  std::map<std::string, std::string>
      own;                // what the list's own records proved so far: "start", "engine", "policy", ...
  NewestVersions newest;  // that are known
  NewestVersions newest_before;  // of those, what was known when this boot began and it has not shown yet
  bool operator==(const HostState&) const = default;
};
Result<HostState> ParseHostState(std::string_view json);
std::string EncodeHostState(const HostState& state);

}  // namespace assay::appraise
