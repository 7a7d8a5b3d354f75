// From a challenge to the bytes that answer it: evidence, or a refusal with its reason.
//
//   // given: Collector& collector, const evidence::Question& question, const Reply::Sink& send
//   Responder responder(collector);
//   const Reply reply = responder.Respond(question, {"unix", {}}, evidence::Level::kQuote);
//   ASSAY_TRY(reply.Send(send));                                // send gets reply.size() bytes in all
//
// Contract: the list is not held in memory but read from its file while it is sent. The memory of all replies
// together is bounded; beyond the bound the answer is "busy". Safe from several threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "attest/callers.h"
#include "attest/collector.h"
#include "base/mutex.h"
#include "evidence/errors.h"

namespace assay::attest {

class Reply {
 public:
  using Sink = std::function<Result<>(ByteView)>;
  static Reply Refuse(const evidence::Refusal& refusal);
  static Reply Of(Bytes message);  // a whole message
  std::uint64_t size() const { return size_; }
  // Why it is a refusal; nullopt: it is an answer.
  const std::optional<evidence::Refusal>& refused() const { return refused_; }
  // Whether it is what each verifier hears once after a reboot: that the list does not reach so far.
  bool after_reboot() const { return after_reboot_; }
  Result<> Send(const Sink& sink) const;

 private:
  friend class Responder;
  Bytes head_;                  // the header, or a whole refusal
  Collected collected_;         // the parts after the header
  std::shared_ptr<void> held_;  // returns the bytes to the responder's bound when it is destroyed
  std::uint64_t size_ = 0;
  std::optional<evidence::Refusal> refused_;
  bool after_reboot_ = false;
};

// How the quotes go: a failure is the attester's own (the TPM, the list), not that of the question.
struct QuoteState {
  std::uint64_t made = 0, failed = 0;   // since the start
  std::uint64_t failed_since_last = 0;  // since the last one that was made, but for those of a degraded list
  std::uint64_t last_ms = 0, failed_ms = 0;  // since the epoch; 0: never
  std::string error, code;                   // the last failure; kept when quotes are made again
};

class Responder {
 public:
  explicit Responder(Collector& collector) : collector_(collector) {}
  QuoteState Quotes() const;
  Callers& callers() { return callers_; }
  // level: how much of the evidence the peer may see. A peer that may challenge may also enrol.
  Reply Respond(const evidence::Question& question, const evidence::Binding& binding, evidence::Level level);

 private:
  Reply Challenged(const evidence::Challenge& challenge, const evidence::Binding& binding,
                   evidence::Level level);
  void NoteQuote(const Result<Collected>& collected);
  Collector& collector_;
  Callers callers_;
  mutable Mutex mutex_;
  QuoteState quotes_ ASSAY_GUARDED_BY(mutex_);
  std::shared_ptr<std::atomic<std::uint64_t>> held_ = std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace assay::attest
