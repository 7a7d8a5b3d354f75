// Internal: notices about the use of a file, besides the answer. They go to the audit system, and to the
// owner's callback for refusals. Other programs can stall both, so a separate thread passes them on.
//
//   // given: const std::function<void(const Refusal&)>& refused, const Refusal& refusal
//   Notices notices(refused);
//   notices.Audit("op=refuse", false);   // returns at once
//   notices.Refused(refusal);
//   notices.Stop(std::chrono::seconds(2));
//
// Contract: Audit() and Refused() only queue. At most kMaxNotices wait; further ones are dropped and counted
// in Dropped(). Stop() gives the thread that much time for the notices that wait; the rest are dropped and
// counted. The callback is not called after Stop() has returned. A thread that waits for the audit system is
// left behind. Thread-safe.
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
  bool WaitIdle(std::chrono::milliseconds patience) const;  // false: a notice waits or is being passed on
  void Stop(std::chrono::milliseconds patience);            // idempotent

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace assay::measure
