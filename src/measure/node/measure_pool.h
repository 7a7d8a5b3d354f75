// Internal: measures for the callers of the `measure` node, apart from the threads that serve the file
// system.
//
//   MeasurePool pool(recorder, {.deadline = 30s, .own_device = dev});
//   pool.Submit({.tid = tid, .uid = uid}, lines, [](std::size_t done, int error) { reply(done, error); });
//
// Contract: each answer is given once, in `deadline` or little more, whatever the file system with the file
// does: a worker that hangs there is left alone and another one takes its place, up to a bound, and no user
// can hold more than a part of them. After Stop() no answer is given any more and nothing is recorded. Users
// other than root cause no more records than their quota lets them (EDQUOT; an `assay-limit` record says how
// many were refused); what they show is recorded under a name that says so ("measure:UID:/path"), since
// nothing loaded it, and only what nobody can write to meanwhile (ETXTBSY), since a violation is for what was
// loaded.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "measure/node/measure_quota.h"
#include "measure/node/measure_request.h"
#include "measure/record/recorder.h"

namespace assay::measure {

struct MeasurePoolOptions {
  std::chrono::milliseconds deadline{30'000};
  dev_t own_device = 0;  // files of /run/assay itself are refused
  QuotaOptions quota{};
};

class MeasurePool {
 public:
  // done: lines that were recorded before the first error; error: errno, 0 when there was none.
  using Answer = std::function<void(std::size_t done, int error)>;
  MeasurePool(Recorder& recorder, const MeasurePoolOptions& options);
  ~MeasurePool();
  void Submit(const Caller& caller, std::vector<RequestLine> lines, Answer answer);
  void Stop();  // whoever waits gets ENODEV; idempotent

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace assay::measure
