// The fanotify engine: permission events on mounts hold the task that opens a file.
//
//   FanotifyOptions options{.mounts = {"/"}, .filesystems = true};
//   ASSAY_ASSIGN(std::unique_ptr<Engine> engine, StartFanotify(options, rules, limits, recorder));
//
// Contract: that of engine.h. ProbeFanotify() tries whether it can run here: StateError "engine.fanotify-..."
// says what is missing.
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
};

Result<> ProbeFanotify();
Result<std::unique_ptr<Engine>> StartFanotify(const FanotifyOptions& options, const RulesOptions& rules,
                                              const HeldLimits& limits, Recorder& recorder);

}  // namespace assay::measure
