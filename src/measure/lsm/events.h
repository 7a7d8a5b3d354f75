// Internal: makes records of the events that the lsm engine's hooks send without waiting, and of what ran
// while no attester answered.
//
//   // given: const LsmPrograms& programs, Cgroups& cgroups, Recorder& recorder
//   ASSAY_ASSIGN(std::unique_ptr<LsmEvents> events, LsmEvents::Start(programs, cgroups, recorder));
//
// Contract: one thread handles the events and makes no request to a file system. Files that have to be read
// are read by other threads, the users in turn, so that a server that never answers holds up no event. No
// task waits for these threads. Events that were lost because the ring buffer was full are themselves a
// violation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/digest.h"
#include "base/result.h"
#include "measure/lsm/programs.h"
#include "measure/record/recorder.h"
#include "measure/system/cgroup.h"

namespace assay::measure {

// Gets the events that are no violations: what the kernel took from memory, whether or not it refuses it
// afterwards (ASSAY_BUFFER_TAKEN), and starts of programs with a hook (ASSAY_STARTED).
using OnTaken = std::function<void(const assay_event&, const Context&)>;

// The measured digest of the program that did it, if the kernel's side knew it.
std::optional<Digest> ProgramOfEvent(const assay_event& event);

class LsmEvents {
 public:
  static Result<std::unique_ptr<LsmEvents>> Start(const LsmPrograms& programs, Cgroups& cgroups,
                                                  Recorder& recorder, OnTaken on_taken = {});
  ~LsmEvents();
  void TakeMissed();  // soon, on its thread
  std::uint64_t violations() const;

 private:
  struct Impl;
  explicit LsmEvents(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
