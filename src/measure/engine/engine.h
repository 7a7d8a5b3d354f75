// Engines: what notices code about to be loaded and holds the loading task until the recorder has answered.
//
//   // given: const EngineOptions& options, Recorder& recorder
//   #include "measure/fanotify/fanotify.h"
//   ASSAY_ASSIGN(std::unique_ptr<Engine> engine, StartFanotify(options, recorder));
//   log::Info("{}: {} files", engine->Name(), engine->Stats().measured);
//   engine->Stop();                      // marks go first: nothing hangs
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

struct EngineOptions {
  std::string engine;               // "lsm" or "fanotify"; empty: the best that starts
  std::vector<std::string> mounts;  // mount points to mark, as seen in the present mount namespace
  bool filesystems = false;         // mark their whole file systems: also as other mount namespaces see them
  std::shared_ptr<const Policy> policy;  // what is measured and appraised; null: the built-in "default"
  Appraise appraise = Appraise::kOff;
  std::function<bool(const Digest&)> known;     // in the manifest; empty: nothing is
  std::function<void(const Refusal&)> refused;  // called in the way of whoever waits: must be quick
  // Code without a magic.
  std::vector<std::string> extensions{std::begin(kUsualExtensions), std::end(kUsualExtensions)};
  unsigned workers = 2;
  std::chrono::milliseconds deadline{30'000};
  Expiry expiry = Expiry::kAllow;
  std::chrono::milliseconds record_grace{5'000};  // for the recorder, once the deadline is over
  std::set<pid_t> exempt;                         // processes besides our own (the software TPM)
  // The initramfs, if that is the root: all of it was measured with the boot, what scripts read there is not
  // measured again. 0: none.
  dev_t initramfs_device = 0;
  // Of the lsm engine:
  std::string run_dir = "/run/assayd/engine";  // its mounts: pinned programs, the gate
  bool guard = false;                          // self-protection: nobody else reaches us or our programs
  // The file system that the attester serves itself: nobody is asked about what is read there. Answering
  // would mean to ask ourselves, and killed meanwhile we would never end.
  dev_t own_device = 0;
  std::uint64_t cgroup = 0;                     // only tasks of this cgroup (its inode number); 0: all
  std::chrono::milliseconds gate_limit{5'000};  // without a sign of life from us, tasks are let go
};

struct EngineStats {
  std::uint64_t events = 0, measured = 0, clean = 0, not_code = 0, violations = 0, expired = 0, errors = 0;
  std::uint64_t queue_depth = 0, stalls = 0;  // stalls: times the watchdog saw no progress
  std::uint64_t bytes_hashed = 0;
  std::uint64_t refused = 0;     // or would have been, while learning
  std::uint64_t unrecorded = 0;  // of those expired: answered before the list said so
  std::uint64_t unasked = 0;  // went on (or was refused) without a question: the kernel's side had no memory
  std::uint64_t lost = 0;     // told without waiting, and lost: the ring buffer was full
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
