// The table of engines, best first, and the choice among them.
//
//   // given: const EngineOptions& options, Recorder& recorder
//   for (const EngineEntry& e : Engines()) log::Info("{}: {}", e.name, e.probe() ? "works" : "fails");
//   ASSAY_ASSIGN(EngineChoice choice, StartEngine(options, recorder));
//
// Contract: this table is the only place where an engine is added. docs/how-to-add.md.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "measure/engine/engine.h"
#include "measure/fanotify/fanotify.h"
#include "measure/lsm/lsm.h"
#include "measure/record/recorder.h"

namespace assay::measure {

struct EngineOptions {
  std::string name;     // of the engine; empty: the best that starts
  bool beside = false;  // of another attester's engine, until BeginAlone()
  RulesOptions rules;
  HeldLimits limits;
  FanotifyOptions fanotify;
  LsmOptions lsm;
};

struct EngineEntry {
  std::string_view name;    // as engine/engine of the configuration names it
  bool guards;              // it can protect the attester, and tells how interpreters are started
  std::string_view effect;  // what it does, for people
  Result<> (*probe)();
  Result<std::unique_ptr<Engine>> (*start)(const EngineOptions& options, Recorder& recorder);
};
std::span<const EngineEntry> Engines();

struct EngineChoice {
  std::unique_ptr<Engine> engine;
  std::vector<std::pair<std::string_view, Error>>
      passed_over;  // a better one's name, and why it did not start
};
// Whether the options ask for what only an engine that guards can do.
bool NeedsLsm(const EngineOptions& options);
// The engine that the options name, or else the best that starts. If NeedsLsm(), only those that guard.
Result<EngineChoice> StartEngine(const EngineOptions& options, Recorder& recorder);

}  // namespace assay::measure
