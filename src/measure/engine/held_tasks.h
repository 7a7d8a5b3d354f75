// Internal: the tasks that the kernel holds for an engine, from the moment that they are held to their one
// answer. Both engines use this; each engine reads its events, opens their files and gives the answers
// itself.
//
//   // given: const HeldLimits& limits, MeasurementSink& sink, const HeldTaskPtr& task, uid_t uid
//   HeldTasks tasks({.engine = "lsm", .limits = limits}, sink);
//   tasks.Start([] {});  // the watchdog calls it ten times a second
//   tasks.Take(task);
//   tasks.Push(WorkKind::kQuick, uid, task, [&tasks, task] {  // measures, and then:
//     if (tasks.Claim(*task)) task->Allow();
//   });
//   tasks.LetGoOfAll(std::chrono::seconds(2));  // no task is held any more when it returns
//   tasks.StopLanes();
//
// Contract: each task is answered once. A task that is held for longer than `deadline` is answered by the
// watchdog. It is refused (by the choice of `expiry`, or because an enforced appraise rule may apply to it),
// or the list names it as `unanswered` and it goes on (measure/engine/late.h). The watchdog never waits: it
// takes no lock that is held during a read, a record or a log line. Work goes to lanes
// (measure/engine/lanes.h): quick work, slow work (large files), and one lane for each file system that
// another program serves, so that a server that never answers holds up the tasks of its own file system only.
// If this process is killed while such a server does not answer, a child ends the server's connection
// (measure/engine/last_means.h). Thread-safe.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"
#include "measure/engine/engine.h"
#include "measure/engine/lanes.h"
#include "measure/engine/late.h"
#include "measure/engine/sink.h"

namespace assay::measure {

class HeldTask {
 public:
  virtual ~HeldTask() = default;

  // The answers at the deadline and at the stop. They are called after Claim() and must not wait.
  virtual void Allow() = 0;
  virtual void Refuse() = 0;
  virtual std::string Path() const = 0;       // the name for the list
  virtual Context Describe() const = 0;       // the task
  virtual bool MustBeNamed() const = 0;       // false: it is no regular file, and goes on without a record
  virtual dev_t Device() const { return 0; }  // the device of its file; 0: not known yet

  std::atomic<bool> late{false};           // its time is up: its digest is not waited for any more
  std::atomic<bool> must_be_known{false};  // an enforced appraise rule applies to it, or may apply

 private:
  friend class HeldTasks;
  std::chrono::steady_clock::time_point since_{};
  bool answered_ = false;  // guarded by HeldTasks::mutex_
};
using HeldTaskPtr = std::shared_ptr<HeldTask>;

struct HeldOptions {
  std::string engine;  // for messages
  HeldLimits limits;
  unsigned quick_share = 2;  // of one user, of the workers for quick work
};

enum class WorkKind { kQuick, kSlow };

class HeldTasks {
 public:
  HeldTasks(HeldOptions options, MeasurementSink& sink);
  ~HeldTasks();
  void Start(std::function<void()> tick);

  void Take(const HeldTaskPtr& task);
  // True once for each task: the caller gives its answer now.
  bool Claim(HeldTask& task);
  // Notes progress that is not about a held task, so that the engine does not count as stalled.
  void Progressed();

  // Queues work for a task. The work is left out if the task's time is up when its turn comes, or if the
  // engine stops.
  void Push(WorkKind kind, uid_t uid, const HeldTaskPtr& task, std::function<void()> work);
  // Queues it in the lane of a served file system. key: its device or its mount's number.
  void PushServed(std::uint64_t key, uid_t uid, const HeldTaskPtr& task, std::function<void()> work);
  bool QuickIsIdle() const { return quick_.Waiting() == 0; }
  // Adds a lane for other work of the engine, which is ticked and stopped with the rest.
  std::shared_ptr<Lane> AddLane(LaneOptions options);

  // Entered around each use of the recorder and of the callbacks in the engine's options.
  UseGate& uses() { return uses_; }

  template <typename Change>
  void Count(Change change) {
    const MutexLock lock(mutex_);
    change(stats_);
  }
  EngineStats Stats() const;
  Result<> Health() const;  // StateError "engine.stopped", "engine.stalled", "engine.unrecorded"
  // The stop, when the kernel holds no further tasks. The tasks that are held are measured for up to `drain`,
  // and the rest are let go as at the deadline. Threads that hang are freed by ending the connection of their
  // FUSE server; other threads that hang are left behind. There are two steps, because an engine may have to
  // close its own end in between: after LetGoOfAll() no task waits and nothing is recorded. Both are
  // idempotent.
  void LetGoOfAll(std::chrono::milliseconds drain);
  void StopLanes();

 private:
  using Clock = std::chrono::steady_clock;
  struct Working {
    HeldTaskPtr task;
    Clock::time_point since;
  };
  struct Served {
    std::shared_ptr<Lane> lane;
    Clock::time_point used;
  };

  void Watch();
  bool Prune(std::vector<HeldTaskPtr>* expired, std::chrono::milliseconds deadline) ASSAY_EXCLUDES(mutex_);
  void Expire();
  void LetGo(const HeldTaskPtr& task);
  void TickLanes();
  void NameLastMeans();
  std::shared_ptr<Lane> LaneOf(std::uint64_t key);
  std::vector<std::shared_ptr<Lane>> OtherLanes() const;
  std::set<dev_t> DevicesOfHanging() const;
  void Unblock() const;

  const HeldOptions options_;
  LateAnswers late_;
  UseGate uses_;
  std::function<void()> tick_;
  Thread watchdog_;

  mutable Mutex mutex_;
  CondVar stop_;
  std::list<std::weak_ptr<HeldTask>> held_ ASSAY_GUARDED_BY(mutex_);      // in order of arrival
  std::list<std::weak_ptr<HeldTask>> given_up_ ASSAY_GUARDED_BY(mutex_);  // a thread may still work on one
  std::list<Working> working_ ASSAY_GUARDED_BY(mutex_);                   // threads in served file systems
  bool stopping_ ASSAY_GUARDED_BY(mutex_) = false;
  bool let_go_ ASSAY_GUARDED_BY(mutex_) = false;
  bool stalled_ ASSAY_GUARDED_BY(mutex_) = false;
  Clock::time_point progress_ ASSAY_GUARDED_BY(mutex_) = Clock::now();
  EngineStats stats_ ASSAY_GUARDED_BY(mutex_);

  Lane quick_, slow_;
  mutable Mutex lanes_mutex_;
  std::map<std::uint64_t, Served> served_ ASSAY_GUARDED_BY(lanes_mutex_);
  std::vector<std::shared_ptr<Lane>> more_ ASSAY_GUARDED_BY(lanes_mutex_);
};

}  // namespace assay::measure
