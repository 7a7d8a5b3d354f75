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

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/attest_round.h"

namespace assay::cli {

// The index that `assay reference update` and the hook of apt keep, and where its packages lie.
inline constexpr const char* kOwnIndex = "/var/lib/assay/reference.idx";
inline constexpr const char* kOwnPackages = "/var/cache/assay";

struct OwnMachine {
  std::string socket, policy, state;    // policy: empty: the built-in one; state: empty: none is kept
  std::vector<std::string> references;  // besides assay's own programs
  std::vector<std::string> next;        // what to do to learn more: commands, each with its reason
  std::string Tell() const;             // lines for people
  nlohmann::json ToJson() const;
};
Result<OwnMachine> UseOwnMachine(Target& target);

}  // namespace assay::cli
