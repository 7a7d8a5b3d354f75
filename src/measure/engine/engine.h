// Engines: an engine notices that code is about to be loaded, and holds the loading task until the code is
// recorded.
//
//   #include "base/log.h"
//   // given: Engine& engine
//   log::Info("{}: {} files", engine.Name(), engine.Stats().measured);
//   engine.Stop();                      // no task is held any more when it returns
//
// Contract: a task is held for at most `deadline`. Then its hash is given up. By the choice of `expiry` the
// task is refused (always if an enforced appraise rule may apply to it), or the violation `unanswered` is
// recorded and extended, and the task goes on. If the recorder takes longer than `record_grace`, the task
// goes on before that record; this is counted, and Health() is an error until it is recorded. When this
// process dies, the kernel lets the tasks go, so no task hangs. The engine's own process is exempt. Stop()
// ends whatever a worker hangs in; a worker that does not come back is left behind and touches nothing any
// more (measure/engine/lanes.h).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "measure/engine/lanes.h"
#include "measure/policy/policy.h"
#include "measure/record/recorder.h"

namespace assay::measure {

enum class Expiry { kAllow, kRefuse };  // what happens to a task at the deadline

// What an appraise rule does to code whose digest is not in the manifest: nothing; it is listed and runs
// (learning); it is refused with EACCES, or EPERM from fanotify.
enum class Appraise { kOff, kLearn, kEnforce };

struct Refusal {
  std::string path;
  Digest digest;  // empty: the content can't be relied on (unreadable, or open for writing)
  Context context;
  bool enforced = false;
};

// What is measured and what may run.
struct RulesOptions {
  std::shared_ptr<const Policy> policy;  // null: the built-in "default"
  Appraise appraise = Appraise::kOff;
  std::function<bool(const Digest&)> known;     // in the manifest; empty: nothing is
  std::function<void(const Refusal&)> refused;  // called after the answer, by a thread that no task waits for
  // Extensions of files that are code without a magic number.
  std::vector<std::string> extensions{std::begin(kUsualExtensions), std::end(kUsualExtensions)};
  // The initramfs, if that is the root. All of it was measured with the boot, so what scripts read there is
  // not measured again. 0: none.
  dev_t initramfs_device = 0;
};

// How long a task is held, and what happens then.
struct HeldLimits {
  unsigned workers = 2;
  std::chrono::milliseconds deadline{30'000};
  Expiry expiry = Expiry::kAllow;
  std::chrono::milliseconds record_grace{5'000};  // for the recorder, once the deadline is over
  std::set<pid_t> exempt;                         // processes besides our own (the software TPM)
};

struct EngineStats {
  std::uint64_t events = 0, measured = 0, clean = 0, not_code = 0, violations = 0, expired = 0, errors = 0;
  std::uint64_t queue_depth = 0, stalls = 0;  // stalls: times the watchdog saw no progress
  std::uint64_t bytes_hashed = 0;
  std::uint64_t refused = 0;          // or would have been, while learning
  std::uint64_t unrecorded = 0;       // expired tasks that were answered before the list said so
  std::uint64_t unasked = 0;          // loads without a question: the kernel's side had no memory
  std::uint64_t lost = 0;             // events that were lost because the ring buffer was full
  std::uint64_t longest_wait_ms = 0;  // the longest time that a task was held
  std::uint64_t held = 0;             // tasks that wait at present
  std::uint64_t hanging = 0;          // further tasks, whose file the kernel is opening for the engine
  std::uint64_t untold = 0;           // notices for the callback or the audit system that were dropped
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string Name() const = 0;  // "fanotify"
  virtual EngineStats Stats() const = 0;
  virtual Result<> Health() const = 0;  // an error names what is wrong
  virtual void Stop() = 0;              // idempotent
  // For a handover (daemon/handover.h), where two attesters hold each task for a moment. The leaving one
  // stops, but measures what it holds to the end: what began before the other's marks is known to it alone.
  // The other one was started with EngineOptions::beside, and begins what only one may do.
  // Returns what of it in the kernel the other one's engine reads (LsmOptions::predecessor).
  virtual Result<std::vector<UniqueFd>> PrepareToLeave(pid_t /*successor*/) {
    return std::vector<UniqueFd>();
  }
  virtual void Stay() {}  // after PrepareToLeave(): there is no successor
  // A process that the successor is about to execute, and that is a part of it.
  virtual Result<> MarkHelper(pid_t) { return {}; }
  virtual void Leave() { Stop(); }
  virtual Result<> BeginAlone() { return {}; }
  // The file system that the attester serves is there only now (LsmOptions::own_device).
  virtual void ServesDevice(dev_t) {}
  // A process says that this hook measures what it loads (docs/formats/runassay.md, "hook:NAME").
  virtual void Announced(pid_t /*process*/, std::string_view /*hook*/) {}
  // Rules by another policy from now on, and judges anew what the former one judged. False: the engine can't
  // do that while it runs, so another one has to be started.
  virtual bool Follow(const std::shared_ptr<const Policy>&) { return false; }
  // Whether this process is one that the engine started, whose program is part of the attester.
  virtual bool IsOwn(pid_t) const { return false; }
};

}  // namespace assay::measure
