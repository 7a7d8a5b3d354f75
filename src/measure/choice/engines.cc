#include "measure/choice/engines.h"

namespace assay::measure {
namespace {

Result<std::unique_ptr<Engine>> StartLsmOf(const EngineOptions& options, Recorder& recorder) {
  LsmOptions lsm = options.lsm;
  lsm.beside = options.beside;
  return StartLsm(lsm, options.rules, options.limits, recorder);
}

Result<std::unique_ptr<Engine>> StartFanotifyOf(const EngineOptions& options, Recorder& recorder) {
  FanotifyOptions fanotify = options.fanotify;
  fanotify.beside = options.beside;
  return StartFanotify(fanotify, options.rules, options.limits, recorder);
}

}  // namespace

bool NeedsLsm(const EngineOptions& options) { return options.lsm.guard || !options.lsm.instrumented.empty(); }

std::span<const EngineEntry> Engines() {
  static constexpr EngineEntry kEngines[] = {
      {"lsm", true, "the kernel's own hooks: each load is held until it is recorded", ProbeLsm, StartLsmOf},
      {"fanotify", false, "files are held when they are opened or executed", ProbeFanotify, StartFanotifyOf},
  };
  return kEngines;
}

Result<EngineChoice> StartEngine(const EngineOptions& options, Recorder& recorder) {
  EngineChoice choice;
  const bool needs_lsm = NeedsLsm(options);
  for (const EngineEntry& entry : Engines()) {
    const bool named = options.name == entry.name;
    if (!options.name.empty() && !named) continue;
    if (needs_lsm && !entry.guards) continue;
    // Another engine takes over from the programs that an lsm engine left in the kernel.
    if (entry.name != "lsm" && !options.beside) RemoveLsm(options.lsm.run_dir);
    Result<std::unique_ptr<Engine>> started = entry.start(options, recorder);
    if (started) {
      choice.engine = std::move(*started);
      return choice;
    }
    if (named || &entry == &Engines().back() || needs_lsm) return Fail(started.error());
    choice.passed_over.emplace_back(entry.name, started.error());
  }
  return Fail(UsageError("there is no engine '" + options.name + "' that does what is asked"));
}

}  // namespace assay::measure
