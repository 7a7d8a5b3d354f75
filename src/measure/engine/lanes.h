// Internal: threads for jobs that may hang in a file system. The users take turns.
//
//   // given: uid_t uid
//   Lane lane({.workers = 2});
//   lane.Push(uid, [](bool dropped) { log::Info("{}", dropped ? "dropped" : "done"); });
//   lane.Tick();                                                    // ten times a second
//   const bool all_back = lane.Stop(std::chrono::seconds(2)); // what waits is called with dropped = true
//
// Contract: users take turns, and the jobs of one user are begun in order. A user other than root holds at
// most `share` workers, and all of these users together leave `for_root` of the `most` workers free. If jobs
// wait and none is begun between two ticks, another worker starts, up to `most`; it ends when nothing waits.
// Threads are detached, because a thread that hangs can't be joined; so a job keeps alive what it touches.
// Stop() returns false if some threads do not come back; LeftBehind() counts these. Thread-safe.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "base/thread.h"

namespace assay::measure {

struct LaneOptions {
  unsigned workers = 2;  // as long as none of them hangs
  unsigned most = 16;
  unsigned share = 2;     // the workers that one user may hold
  unsigned for_root = 2;  // the part of `most` that is left for root
  ThreadName name = "assay-lane";
};

class Lane {
 public:
  using Job = std::function<void(bool dropped)>;
  explicit Lane(LaneOptions options);
  ~Lane();
  void Push(uid_t uid, Job job);
  std::size_t Waiting() const;
  bool WaitIdle(std::chrono::milliseconds patience) const;  // false: a job still waits or runs
  void Tick();
  // Idempotent; a job that is pushed later is dropped at once. unblock is called once if some threads do not
  // come back in time; they then get the same time again.
  bool Stop(std::chrono::milliseconds patience, const std::function<void()>& unblock = {});
  // Stops several lanes at once, in the time of one.
  static bool StopAll(const std::vector<Lane*>& lanes, std::chrono::milliseconds patience,
                      const std::function<void()>& unblock = {});

  struct State;

 private:
  bool Close();  // drops the jobs that wait; false: it was closed before

  std::shared_ptr<State> state_;
};

// The number of threads that hang in a file system and were left behind. Static objects must outlive them, so
// the process then ends by _exit().
unsigned LeftBehind();
void CountLeftBehind(unsigned threads);

// A gate around each use of an object that its owner will destroy. The owner closes the gate and waits until
// all users have left. Copies are the same gate.
class UseGate {
 public:
  bool Enter();  // false: closed
  void Leave();
  void Close();
  const std::atomic<bool>& closed() const;  // lets a thread that is not inside end early

 private:
  struct State;
  std::shared_ptr<State> state_ = Make();
  static std::shared_ptr<State> Make();
};

}  // namespace assay::measure
