// The lsm engine: BPF programs on the kernel's LSM hooks hold the task that loads code.
//
//   // given: const EngineOptions& options, Recorder& recorder
//   ASSAY_ASSIGN(std::unique_ptr<Engine> engine, StartLsm(options, recorder));
//
// Contract: measure/engine/engine.h; docs/notes/2026-11-24-lsm-engine.md.
#pragma once

#include <memory>
#include <string>

#include "measure/engine/engine.h"

namespace assay::measure {

// Whether the lsm engine can run here, by loading and attaching its programs: StateError "engine.lsm-..."
// says what is missing. When the process dies the programs stay, and what runs meanwhile is recorded as
// violation `unanswered` by the next one (or refused, by `expiry`); Stop() removes them.
Result<> ProbeLsm();
Result<std::unique_ptr<Engine>> StartLsm(const EngineOptions& options, Recorder& recorder);
// Removes the programs that an earlier attester with this run_dir left pinned. Nothing happens if there are
// none.
void RemoveLsm(const std::string& run_dir);

}  // namespace assay::measure
