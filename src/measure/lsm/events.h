// Internal: what the lsm engine's hooks tell without waiting, made into records; and what ran while nobody
// answered.
//
//   // given: const LsmPrograms& programs, Cgroups& cgroups, Recorder& recorder
//   ASSAY_ASSIGN(std::unique_ptr<LsmEvents> events, LsmEvents::Start(programs, cgroups, recorder));
//
// Contract: one thread of its own, which asks no file system; what has to be read is read by others, each
// user's in turn, so that a server that never answers silences nothing. Nobody waits for them, so they may
// take their time. Events that were lost in a full ring buffer are themselves a violation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "measure/lsm/programs.h"
#include "measure/record/recorder.h"
#include "measure/system/cgroup.h"

namespace assay::measure {

// What the kernel took from memory, whether or not it refuses it afterwards.
using OnBuffer = std::function<void(const assay_event&, const Context&)>;

class LsmEvents {
 public:
  static Result<std::unique_ptr<LsmEvents>> Start(const LsmPrograms& programs, Cgroups& cgroups,
                                                  Recorder& recorder, OnBuffer on_buffer = {});
  ~LsmEvents();
  void TakeMissed();  // soon, on its thread
  std::uint64_t violations() const;

 private:
  struct Impl;
  explicit LsmEvents(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
