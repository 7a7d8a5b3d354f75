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

#include "attest/collector.h"

namespace assay::attest {

class Reply {
 public:
  using Sink = std::function<Result<>(ByteView)>;
  static Reply Refuse(const evidence::Refusal& refusal);
  static Reply Of(Bytes message);  // a whole message
  std::uint64_t size() const { return size_; }
  Result<> Send(const Sink& sink) const;

 private:
  friend class Responder;
  Bytes head_;                  // the header, or a whole refusal
  Collected collected_;         // the parts after the header
  std::shared_ptr<void> held_;  // returns the bytes to the responder's bound when it is destroyed
  std::uint64_t size_ = 0;
};

class Responder {
 public:
  explicit Responder(Collector& collector) : collector_(collector) {}
  // level: how much of the evidence the peer may see. A peer that may challenge may also enrol.
  Reply Respond(const evidence::Question& question, const evidence::Binding& binding, evidence::Level level);

 private:
  Reply Challenged(const evidence::Challenge& challenge, const evidence::Binding& binding,
                   evidence::Level level);
  Collector& collector_;
  std::shared_ptr<std::atomic<std::uint64_t>> held_ = std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace assay::attest
