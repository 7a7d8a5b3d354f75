// One round of a challenge, saved in a folder, so that it can be judged again without the attester.
//
//   // given: const SavedRound& round
//   ASSAY_TRY(SaveRound(round, "folder"));
//   ASSAY_ASSIGN(SavedRound again, LoadRound("folder"));
//
// Contract: docs/formats/round.md. Only the owner can read the folder and its files, because evidence tells
// much about a machine. A loaded round is as untrusted as evidence from the network.
#pragma once

#include <string>

#include "appraise/appraise.h"

namespace assay::appraise {

struct SavedRound {
  evidence::Evidence evidence;
  evidence::Binding binding;
  std::string peer;
  evidence::Nonce nonce;
  tpm::PcrSelection selection;
  std::uint64_t first_record = 0;
  std::uint64_t time_ms = 0;           // time of the challenge, since the epoch
  std::optional<Redaction> redaction;  // others' records are withheld
  HostState before;                    // what was known of the host at that time
  bool operator==(const SavedRound&) const = default;

  Request AsRequest() const {
    return {.evidence = evidence,
            .binding = binding,
            .nonce = nonce,
            .selection = selection,
            .first_record = first_record,
            .now_ms = time_ms,
            .redaction = redaction};
  }
};
// round.json, which holds all but the evidence and `before`. ParseRound() gives its version, too.
std::string EncodeRound(const SavedRound& round);
struct RoundHead {
  std::uint64_t version = 0;
  SavedRound round;
};
Result<RoundHead> ParseRound(std::string_view json);

Result<> SaveRound(const SavedRound& round, const std::string& folder);
Result<SavedRound> LoadRound(const std::string& folder);

}  // namespace assay::appraise
