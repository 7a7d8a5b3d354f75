// The challenge's messages on the wire: a JSON header and binary attachments, framed.
//
//   // given: const Nonce& nonce, ByteView frame
//   const Bytes wire = EncodeChallenge({.nonce = nonce, .first_record = 120, .selection = {}});
//   ASSAY_ASSIGN(Message answer, DecodeMessage(frame, kMaxEvidence));
//   if (const auto* evidence = std::get_if<Evidence>(&answer)) log::Info("{} bytes", evidence->list.size());
//
// There are three questions, each with its answer: Challenge and Evidence, Identify and Identity, Activate
// and Activation. Any question may be answered by a Refusal.
//
// Contract: docs/formats/challenge.md (with schema docs/formats/challenge.schema.json). The header is bounded
// by kMaxHeader bytes, and each kind of attachment has its own bound. Unknown versions, members and
// attachments are errors.
#pragma once

#include <span>
#include <variant>

#include "evidence/enrol.h"
#include "evidence/errors.h"
#include "evidence/evidence.h"
#include "tpm/attest_data.h"

namespace assay::evidence {

inline constexpr std::size_t kMaxHeader = 64 << 10;
inline constexpr std::size_t kMaxChallenge = 80 << 10;                  // bytes of a whole challenge
inline constexpr std::size_t kMaxListPart = std::size_t{256} << 20;     // of the list in one message
inline constexpr std::size_t kMaxContextPart = std::size_t{256} << 20;  // and of the context
inline constexpr std::size_t kMaxEventLogPart = std::size_t{16} << 20;  // and of the event log
inline constexpr std::size_t kMaxEvidence = std::size_t{544} << 20;     // of a whole evidence message

// The last PCR of the boot. Without a selection PCR 0 to this one are quoted, or to the list's PCR if that is
// higher.
inline constexpr std::uint32_t kLastUsualPcr = 14;

struct Challenge {
  Nonce nonce;
  std::uint64_t first_record = 0;
  bool want_list = true, want_context = true, want_event_log = true;
  tpm::PcrSelection selection;  // empty: PCR 0 to kLastUsualPcr in the bank of the list
  bool operator==(const Challenge&) const = default;
};
struct Identify {
  bool device = false;  // the certificates of IAK and IDevID too
  bool operator==(const Identify&) const = default;
};
struct Refusal {
  RefusalCode code = RefusalCode::kInternal;
  std::string message;
  bool operator==(const Refusal&) const = default;
};
using Message = std::variant<Challenge, Evidence, Refusal, Identify, Identity, Activate, Activation>;
using Question = std::variant<Challenge, Identify, Activate>;

Bytes EncodeChallenge(const Challenge& challenge);
Bytes EncodeEvidence(const Evidence& evidence);
// For a list that stays in its file, the message is written in pieces: this header, then the attachments in
// the order of EvidenceParts(). The header says that the list has list_bytes bytes, whatever evidence.list
// holds.
Bytes EncodeEvidenceHeader(const Evidence& evidence, std::uint64_t list_bytes);
std::span<Bytes Evidence::* const> EvidenceParts();
Bytes EncodeRefusal(const Refusal& refusal);
Bytes EncodeIdentify(const Identify& identify = {});
Bytes EncodeIdentity(const Identity& identity);
Bytes EncodeActivate(const Activate& activate);
Bytes EncodeActivation(const Activation& activation);
Bytes EncodeQuestion(const Question& question);
// Decodes a question to an attester. Any other message is a ParseError "parse.message".
Result<Question> DecodeQuestion(ByteView frame);
// The whole frame: magic "ASY1" | u32be header length | header | attachments, in the header's order.
Result<Message> DecodeMessage(ByteView frame, std::size_t max);
// The size of the whole frame, told by its first bytes, for readers of streams. nullopt: more bytes are
// needed.
Result<std::optional<std::uint64_t>> FrameSize(ByteView prefix, std::size_t max);

}  // namespace assay::evidence
