// One round with one attester: challenge it, appraise its evidence, and keep what is known of the host.
//
//   // given: const Target& target
//   const auto say = [](const std::string& doing) { log::Info("{}", doing); };
//   ASSAY_ASSIGN(const RoundResult result, AttestOnce(target, say));
//   log::Info("{}", appraise::VerdictName(result.appraisal.verdict));
//
// Contract: safe from several threads for several hosts. The state file is written if the round was made, and
// stays as it was after an error.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "appraise/saved_round.h"
#include "cli/verifier.h"

namespace assay::cli {

struct Target {
  Address address;
  std::vector<std::string> references, boots;  // files
  std::vector<std::string> images;             // INDEX@CONTAINER
  std::string policy, state;                   // files; empty: the defaults, nothing is kept
  std::string trusted, trusted_key;            // the owner's list and a key that may sign it; may be empty
  std::string nonce;                           // of a tenant; empty: a random one
  std::string selection;                       // empty: PCR 0 to 14 in the bank of the list
  bool own_policy = false;                     // without a policy: the one for the own machine
  bool full = false;                           // ask for the whole list
  bool entries = false;                        // keep all judged entries
};

struct RoundResult {
  appraise::SavedRound round;  // round.before: what was known of the host
  appraise::Appraisal appraisal;
};
Result<RoundResult> AttestOnce(const Target& target, const std::function<void(const std::string&)>& say);

Result<std::vector<boot::ExpectedBoot>> LoadBoots(const std::vector<std::string>& paths);

}  // namespace assay::cli
