// The lsm engine: BPF programs at the kernel's own hooks hold the task that loads code.
//
//   // given: const LsmOptions& options, const RulesOptions& rules, const HeldLimits& limits,
//   // given: Recorder& recorder
//   ASSAY_ASSIGN(std::unique_ptr<Engine> engine, StartLsm(options, rules, limits, recorder));
//
// Contract: that of measure/engine/engine.h. ProbeLsm() tries whether it can run here, by loading and
// attaching its programs: StateError "engine.lsm-..." says what is missing. When the process dies the
// programs stay, and what runs meanwhile is recorded as violation `unanswered` by the next one (or refused,
// by `expiry`); Stop() removes them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "measure/engine/engine.h"

namespace assay::measure {

struct LsmOptions {
  std::string run_dir = "/run/assayd/engine";  // its mounts: pinned programs, the gate
  bool guard = false;                          // self-protection: no other process reaches us or our programs
  // Programs that shall be started with a hook, by their paths: a start that the hook does not announce
  // (Engine::Announced) is recorded.
  std::map<std::string, std::string> instrumented = {};
  // The file system that the attester serves itself. The hooks ask nothing about files there: to answer, the
  // attester would have to wait for itself, and if it were killed meanwhile it would never end.
  dev_t own_device = 0;
  // Another attester's engine still answers: until BeginAlone(), what only one process may do is left to it.
  bool beside = false;
  // With `beside`: called before a process of the engine's own is executed, so that the other one knows it.
  std::function<Result<>(pid_t)> helper = {};
  // With `beside`: what the other one's PrepareToLeave() returned; empty: it has no programs in the kernel.
  std::shared_ptr<const std::vector<UniqueFd>> predecessor = {};
  std::uint64_t cgroup = 0;                     // only tasks of this cgroup (its inode number); 0: all
  std::chrono::milliseconds gate_limit{5'000};  // without a sign of life from us, tasks are let go
};

Result<> ProbeLsm();
Result<std::unique_ptr<Engine>> StartLsm(const LsmOptions& options, const RulesOptions& rules,
                                         const HeldLimits& limits, Recorder& recorder);
// Removes the programs that an earlier attester with this run_dir left pinned. Nothing happens if there are
// none.
void RemoveLsm(const std::string& run_dir);

}  // namespace assay::measure
