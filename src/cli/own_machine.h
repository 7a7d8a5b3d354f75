// Internal: what `assay attest` uses if no attester is named: the one of this machine, what this machine
// keeps for it, and a policy for it.
//
//   // given: Target& target
//   ASSAY_ASSIGN(const OwnMachine own, UseOwnMachine(target));
//   fmt::print("{}", own.Tell());
//
// Contract: only what the target leaves open is filled in; the attester's socket must be there
// ("status.not-running"). Of a file that is missing, Tell() says what makes it. As another user than root no
// state is kept, because the folder is root's.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/fd.h"
#include "cli/attest_round.h"

namespace assay::cli {

// The index that `assay reference update` and the hook of apt keep, and where its packages lie.
inline constexpr const char* kOwnIndex = "/var/lib/assay/reference.idx";
inline constexpr const char* kOwnPackages = "/var/cache/assay";
// Where the hook of apt puts what is still to be added; the folder is locked while somebody adds it.
inline constexpr const char* kOwnQueue = "/var/cache/assay/unpacked";

struct OwnMachine {
  std::string socket, policy, state;    // policy: empty: the built-in one; state: empty: none is kept
  std::vector<std::string> references;  // besides assay's own programs
  std::vector<std::string> next;        // what to do to learn more: commands, each with its reason
  std::string Tell() const;             // lines for people
  nlohmann::json ToJson() const;
};
Result<OwnMachine> UseOwnMachine(Target& target);

// One writer of an index at a time: who reads the former content and writes the next one has this lock, which
// is on the folder, because the index is replaced.
Result<UniqueFd> LockIndex(const std::string& index);
// Waits while somebody else has the lock on the folder; false: it took longer than that.
bool WaitForLock(const std::string& folder, std::chrono::milliseconds longest);

}  // namespace assay::cli
