// Engines: what notices code about to be loaded and holds the loading task until the recorder has answered.
//
//   #include "base/log.h"
//   // given: Engine& engine
//   log::Info("{}: {} files", engine.Name(), engine.Stats().measured);
//   engine.Stop();                      // marks go first: nothing hangs
//
// Contract: a task is held for at most `deadline`. Then its hash is given up, and by the policy's choice it
// is refused (also where an enforced appraise rule may apply to it), or the violation `unanswered` is
// recorded and extended and the task goes on; without its record only if the recorder takes longer than
// `record_grace`, which is counted, and an error of Health() until it is recorded. When the process dies the
// kernel answers for it: no task hangs. The thread that reads requests only queues. The engine's own process
// is exempt. Stop() ends whatever a worker hangs in; one that does not come back is left behind and touches
// nothing any more (measure/engine/lanes.h).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "measure/engine/lanes.h"
#include "measure/policy/policy.h"
#include "measure/record/recorder.h"

namespace assay::measure {

enum class Expiry { kAllow, kRefuse };  // of the answer time

// What an appraise rule does to code whose digest is not in the manifest: nothing; it is told, and runs
// (learning); EACCES, or EPERM from fanotify.
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
  // Code without a magic.
  std::vector<std::string> extensions{std::begin(kUsualExtensions), std::end(kUsualExtensions)};
  // The initramfs, if that is the root: all of it was measured with the boot, what scripts read there is not
  // measured again. 0: none.
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
  std::uint64_t refused = 0;     // or would have been, while learning
  std::uint64_t unrecorded = 0;  // of those expired: answered before the list said so
  std::uint64_t unasked = 0;  // went on (or was refused) without a question: the kernel's side had no memory
  std::uint64_t lost = 0;     // told without waiting, and lost: the ring buffer was full
  std::uint64_t longest_wait_ms = 0;  // that a task was held, ever
  std::uint64_t held = 0;             // tasks that wait at present
  std::uint64_t hanging = 0;          // tasks besides, whose file the kernel opens for the engine at present
  std::uint64_t untold = 0;           // refusals that neither the callback nor the audit system was told of
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string Name() const = 0;  // "fanotify"
  virtual EngineStats Stats() const = 0;
  virtual Result<> Health() const = 0;  // an error names what is wrong
  virtual void Stop() = 0;              // idempotent
  // Rules by another policy from now on; what was judged by the former one is asked again. False: it can't
  // while it runs, another engine has to be started.
  virtual bool Follow(const std::shared_ptr<const Policy>&) { return false; }
  // Whether this is a process of the engine's own, whose program is a part of the attester's.
  virtual bool IsOwn(pid_t) const { return false; }
};

}  // namespace assay::measure
