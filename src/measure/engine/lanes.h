// Internal: threads that do jobs which may hang in a file system, each user's in turn.
//
//   // given: uid_t uid
//   Lane lane({.workers = 2});
//   lane.Push(uid, [](bool dropped) { log::Info("{}", dropped ? "dropped" : "done"); });
//   lane.Tick();                                                    // ten times a second
//   const bool all_back = lane.Stop(std::chrono::seconds(2)); // what waits is called with dropped = true
//
// Contract: users take turns, and each has its jobs done in order. A user other than root holds at most
// `share` workers, all of them together leave `for_root` of the most there may be. Where jobs wait and none
// is taken up between two ticks another worker comes, up to `most`; it goes when nothing waits. Threads are
// detached, since one that hangs can't be joined: a job holds what it touches. Stop() returns false where
// some do not come back; they are counted in LeftBehind(). Thread-safe.
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
  unsigned share = 2;     // of one user
  unsigned for_root = 2;  // of `most`
  ThreadName name = "assay-lane";
};

class Lane {
 public:
  using Job = std::function<void(bool dropped)>;
  explicit Lane(LaneOptions options);
  ~Lane();
  void Push(uid_t uid, Job job);
  std::size_t Waiting() const;
  bool WaitIdle(std::chrono::milliseconds patience) const;  // false: something waits or runs still
  void Tick();
  // Idempotent; a job pushed later is dropped there and then. unblock: called once where some do not come
  // back in time; they then have that time again.
  bool Stop(std::chrono::milliseconds patience, const std::function<void()>& unblock = {});
  // The same for several at once, in the time of one.
  static bool StopAll(const std::vector<Lane*>& lanes, std::chrono::milliseconds patience,
                      const std::function<void()>& unblock = {});

  struct State;

 private:
  bool Close();  // drops what waits; false: it was closed before

  std::shared_ptr<State> state_;
};

// Threads of this process that hang in a file system and were given up: static objects must outlive them, so
// the process ends by _exit().
unsigned LeftBehind();
void CountLeftBehind(unsigned threads);

// Entered around each use of what the owner will destroy. The owner closes it, and waits until all users have
// left. Copies are the same gate.
class UseGate {
 public:
  bool Enter();  // false: closed
  void Leave();
  void Close();
  const std::atomic<bool>& closed() const;  // for a thread that is not inside, to end early

 private:
  struct State;
  std::shared_ptr<State> state_ = Make();
  static std::shared_ptr<State> Make();
};

}  // namespace assay::measure
