#include "measure/choice/engines.h"

#include "measure/fanotify/fanotify.h"
#include "measure/lsm/lsm.h"

namespace assay::measure {

std::span<const EngineEntry> Engines() {
  static constexpr EngineEntry kEngines[] = {
      {"lsm", true, "the kernel's own hooks: each load is held until it is recorded", ProbeLsm, StartLsm},
      {"fanotify", false, "files are held when they are opened or executed", ProbeFanotify, StartFanotify},
  };
  return kEngines;
}

Result<EngineChoice> StartEngine(const EngineOptions& options, Recorder& recorder) {
  EngineChoice choice;
  for (const EngineEntry& entry : Engines()) {
    const bool named = options.engine == entry.name;
    if (!options.engine.empty() && !named) continue;
    if (options.guard && !entry.guards) continue;
    // Another engine takes over from the programs that an lsm engine left in the kernel.
    if (entry.name != "lsm") RemoveLsm(options.run_dir);
    Result<std::unique_ptr<Engine>> started = entry.start(options, recorder);
    if (started) {
      choice.engine = std::move(*started);
      return choice;
    }
    if (named || &entry == &Engines().back() || options.guard) return Fail(started.error());
    choice.passed_over.emplace_back(entry.name, started.error());
  }
  return Fail(UsageError("there is no engine '" + options.engine + "' that does what is asked"));
}

}  // namespace assay::measure
