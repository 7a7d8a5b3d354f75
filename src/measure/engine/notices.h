// Internal: what an engine tells others about a use of a file, beside the answer: the audit system, and the
// owner's callback for refusals. Both can be stalled by others, so a thread of their own does it.
//
//   // given: const std::function<void(const Refusal&)>& refused, const Refusal& refusal
//   Notices notices(refused);
//   notices.Audit("op=refuse", false);   // returns at once
//   notices.Refused(refusal);
//   notices.Stop(std::chrono::seconds(2));
//
// Contract: Audit() and Refused() only queue. At most kMaxNotices wait; further ones are dropped and counted
// in Dropped(). Stop() gives the thread that time for what waits; what is left then is dropped and counted.
// The callback is not called after Stop() has returned. A thread that waits for the audit system is left
// behind. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "measure/engine/engine.h"

namespace assay::measure {

inline constexpr std::size_t kMaxNotices = 4096;

class Notices {
 public:
  explicit Notices(std::function<void(const Refusal&)> refused);
  ~Notices();
  void Audit(std::string text, bool success);
  void Refused(Refusal refusal);
  std::uint64_t Dropped() const;
  bool WaitIdle(std::chrono::milliseconds patience) const;  // false: something waits or is being told
  void Stop(std::chrono::milliseconds patience);            // idempotent

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace assay::measure
