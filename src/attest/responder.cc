#include "attest/responder.h"

#include <algorithm>

#include "attest/errors.h"
#include "base/clock.h"
#include "base/log.h"
#include "evidence/errors.h"

namespace assay::attest {
namespace {

// Bytes in memory of all replies that are being sent.
constexpr std::uint64_t kMaxHeld = std::uint64_t{512} << 20;
constexpr std::size_t kPiece = 256 << 10;

// What the other side is told; none: that the attester failed, and no more.
std::optional<evidence::RefusalCode> RefusalFor(const Error& error) {
  using evidence::RefusalCode;
  if (error.As<UsageError>() != nullptr) return RefusalCode::kBadRequest;
  const std::optional<AttestError> why = error.Code<AttestError>();
  if (!why) return std::nullopt;
  switch (*why) {
    case AttestError::kDegraded:
      return RefusalCode::kDegraded;
    case AttestError::kBusy:
      return RefusalCode::kBusy;
    case AttestError::kTooLarge:
      return RefusalCode::kTooLarge;
    case AttestError::kNoSuchBank:
    case AttestError::kNoSuchRecord:
      return RefusalCode::kBadRequest;
    case AttestError::kWrongCredential:
      return RefusalCode::kWrongCredential;
  }
  return std::nullopt;
}

Reply Refused(const char* question, const Error& error) {
  if (const auto code = RefusalFor(error)) return Reply::Refuse({*code, error.Message()});
  log::Error("{}: {} ({})", question, error.Message(), error.code());
  return Reply::Refuse({evidence::RefusalCode::kInternal, "the attester's log says more"});
}

}  // namespace

Reply Reply::Of(Bytes message) {
  Reply reply;
  reply.head_ = std::move(message);
  reply.size_ = reply.head_.size();
  return reply;
}

Reply Reply::Refuse(const evidence::Refusal& refusal) {
  Reply reply = Of(evidence::EncodeRefusal(refusal));
  reply.refused_ = refusal;
  return reply;
}

QuoteState Responder::Quotes() const {
  const MutexLock lock(mutex_);
  return quotes_;
}

void Responder::NoteQuote(const Result<Collected>& collected) {
  const std::optional<evidence::RefusalCode> why = collected ? std::nullopt : RefusalFor(collected.error());
  if (why && *why != evidence::RefusalCode::kDegraded) return;  // of the question, or of the moment
  const MutexLock lock(mutex_);
  if (collected) {
    ++quotes_.made;
    quotes_.last_ms = NowMs();
    quotes_.failed_since_last = 0;
    return;
  }
  ++quotes_.failed;
  if (!why) ++quotes_.failed_since_last;  // a degraded list is told by itself, for as long as it lasts
  quotes_.failed_ms = NowMs();
  quotes_.error = collected.error().Message();
  quotes_.code = collected.error().code();
}

Result<> Reply::Send(const Sink& sink) const {
  ASSAY_TRY(sink(head_));
  for (const auto part : evidence::EvidenceParts()) {
    if (part != &evidence::Evidence::list) {
      const Bytes& bytes = collected_.evidence.*part;
      if (!bytes.empty()) ASSAY_TRY(sink(bytes));
      continue;
    }
    Bytes piece;
    for (std::uint64_t done = 0; done < collected_.list_bytes; done += piece.size()) {
      piece.resize(std::min<std::uint64_t>(kPiece, collected_.list_bytes - done));
      ASSAY_TRY(PReadExact(collected_.list.get(), piece.data(), piece.size(),
                           static_cast<off_t>(collected_.list_at + done)));
      ASSAY_TRY(sink(piece));
    }
  }
  return {};
}

Reply Responder::Respond(const evidence::Question& question, const evidence::Binding& binding,
                         evidence::Level level) {
  if (const auto* challenge = std::get_if<evidence::Challenge>(&question))
    return Challenged(*challenge, binding, level);
  if (const auto* identify = std::get_if<evidence::Identify>(&question))
    return Reply::Of(evidence::EncodeIdentity(collector_.Identify(identify->device)));
  const Result<evidence::Activation> proof =
      collector_.Activate(std::get<evidence::Activate>(question), binding);
  if (proof) return Reply::Of(evidence::EncodeActivation(*proof));
  return Refused("enrolment", proof.error());
}

Reply Responder::Challenged(const evidence::Challenge& challenge, const evidence::Binding& binding,
                            evidence::Level level) {
  Result<Collected> collected = collector_.Prepare(challenge, binding, level);
  NoteQuote(collected);
  if (!collected) {
    Reply refused = Refused("challenge", collected.error());
    refused.after_reboot_ = collected.error().Is(AttestError::kNoSuchRecord);
    return refused;
  }
  std::uint64_t bytes = 0;
  for (const auto part : evidence::EvidenceParts()) bytes += (collected->evidence.*part).size();
  if (held_->fetch_add(bytes) + bytes > kMaxHeld) {
    held_->fetch_sub(bytes);
    return Reply::Refuse({evidence::RefusalCode::kBusy, "too many large answers are being sent"});
  }
  Reply reply;
  reply.held_ = std::shared_ptr<void>(nullptr, [held = held_, bytes](void*) { held->fetch_sub(bytes); });
  reply.head_ = evidence::EncodeEvidenceHeader(collected->evidence, collected->list_bytes);
  reply.size_ = reply.head_.size() + bytes + collected->list_bytes;
  reply.collected_ = std::move(*collected);
  return reply;
}

}  // namespace assay::attest
