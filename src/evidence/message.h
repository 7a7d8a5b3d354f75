// The challenge's messages on the wire: a JSON header and binary attachments, framed.
//
//   Bytes wire = EncodeChallenge({.nonce = nonce, .first_record = 120});
//   ASSAY_ASSIGN(Message m, DecodeMessage(wire, kMaxEvidence));
//
// There are three questions, with an answer each, or a refusal: Challenge and Evidence, Identify and
// Identity, Activate and Activation.
//
// Contract: docs/formats/challenge.md (with schema docs/formats/challenge.schema.json). Bounded: header
// kMaxHeader bytes, attachments by a limit of each kind; unknown versions, members and attachments are
// errors.
#pragma once

#include <span>
#include <variant>

#include "evidence/enrol.h"
#include "evidence/evidence.h"
#include "tpm/attest_data.h"

namespace assay::evidence {

inline constexpr std::size_t kMaxHeader = 64 << 10;
inline constexpr std::size_t kMaxChallenge = 80 << 10;                  // bytes of a whole challenge
inline constexpr std::size_t kMaxListPart = std::size_t{256} << 20;     // of the list that goes along
inline constexpr std::size_t kMaxContextPart = std::size_t{256} << 20;  // and of the context
inline constexpr std::size_t kMaxEventLogPart = std::size_t{16} << 20;  // and of the event log
inline constexpr std::size_t kMaxEvidence = std::size_t{544} << 20;     // of a whole evidence message

struct Challenge {
  Nonce nonce;
  std::uint64_t first_record = 0;
  bool want_list = true, want_context = true, want_event_log = true;
  tpm::PcrSelection selection;  // empty: sha256:0-10
  bool operator==(const Challenge&) const = default;
};
struct Identify {
  bool operator==(const Identify&) const = default;
};
struct Activation {
  Bytes proof;  // 32 bytes, evidence/enrol.h
  bool operator==(const Activation&) const = default;
};
struct Refusal {
  // "forbidden", "degraded", "bad-request", "wrong-credential", "too-large", "busy", "internal"
  std::string code;
  std::string message;
  bool operator==(const Refusal&) const = default;
};
using Message = std::variant<Challenge, Evidence, Refusal, Identify, Identity, Activate, Activation>;
using Question = std::variant<Challenge, Identify, Activate>;

Bytes EncodeChallenge(const Challenge& challenge);
Bytes EncodeEvidence(const Evidence& evidence);
// The same in pieces, for a list that stays in its file: the header, then the attachments in this order. The
// list's size is list_bytes, whatever evidence.list holds.
Bytes EncodeEvidenceHeader(const Evidence& evidence, std::uint64_t list_bytes);
std::span<Bytes Evidence::* const> EvidenceParts();
Bytes EncodeRefusal(const Refusal& refusal);
Bytes EncodeIdentify();
Bytes EncodeIdentity(const Identity& identity);
Bytes EncodeActivate(const Activate& activate);
Bytes EncodeActivation(const Activation& activation);
Bytes EncodeQuestion(const Question& question);
// What an attester is asked. ParseError "parse.message" for any other message.
Result<Question> DecodeQuestion(ByteView frame);
// The whole frame: magic "ASY1" | u32be header length | header | attachments, in the header's order.
Result<Message> DecodeMessage(ByteView frame, std::size_t max);
// How long the frame will be, from its first bytes; nullopt: more bytes are needed. For readers of streams.
Result<std::optional<std::uint64_t>> FrameSize(ByteView prefix, std::size_t max);

}  // namespace assay::evidence
