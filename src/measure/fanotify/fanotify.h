// The fanotify engine: permission events of the kernel's fanotify hold the task that loads code.
//
//   // given: const EngineOptions& options, Recorder& recorder
//   ASSAY_ASSIGN(std::unique_ptr<Engine> engine, StartFanotify(options, recorder));
//
// Contract: measure/engine/engine.h.
#pragma once

#include <memory>

#include "measure/engine/engine.h"

namespace assay::measure {

// Whether the fanotify engine can run here, by trying: StateError "engine.fanotify-..." says what is missing.
Result<> ProbeFanotify();
Result<std::unique_ptr<Engine>> StartFanotify(const EngineOptions& options, Recorder& recorder);

}  // namespace assay::measure
