// The fanotify engine: permission events on mounts hold the task that opens a file.
//
//   // given: const FanotifyOptions& options, const RulesOptions& rules, const HeldLimits& limits,
//   // given: Recorder& recorder
//   ASSAY_ASSIGN(std::unique_ptr<Engine> engine, StartFanotify(options, rules, limits, recorder));
//
// Contract: that of measure/engine/engine.h. A mount whose files another program or machine serves (FUSE,
// network file systems, nbd) is watched by a process of its own, so that a server that never answers stalls
// its own mount only. Where that process can't be started the engine watches the mount itself, and Health()
// says so ("engine.mount"). ProbeFanotify() tries whether the engine can run here: StateError
// "engine.fanotify-..." says what is missing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "measure/engine/engine.h"

namespace assay::measure {

struct FanotifyOptions {
  std::vector<std::string> mounts;  // mount points to mark, as seen in the present mount namespace
  bool filesystems = false;         // mark their whole file systems: also as other mount namespaces see them
  std::string served_program;       // what watches a served mount; empty: assay-served beside this program
  // Nothing can be recorded until another attester has left: the programs that watch served mounts are
  // started before the mounts with programs are marked.
  bool beside = false;
};

Result<> ProbeFanotify();
Result<std::unique_ptr<Engine>> StartFanotify(const FanotifyOptions& options, const RulesOptions& rules,
                                              const HeldLimits& limits, Recorder& recorder);

// The program that watches served mounts, where the options name none.
std::string DefaultServedProgram();

}  // namespace assay::measure
