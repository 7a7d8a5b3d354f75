// Internal: measures files for the callers of the `measure` node, on other threads than those that serve the
// file system.
//
//   // given: Recorder& recorder, const Caller& caller, std::vector<RequestLine> lines
//   MeasurePool pool(recorder, {.deadline = std::chrono::seconds(30), .own_device = 0});
//   pool.Submit(caller, std::move(lines), false,
//               [](std::size_t done, int error, const std::string&) { log::Info("{} {}", done, error); });
//
// Contract: each answer is given once, within `deadline` or a little more, whatever the file's file system
// does. A worker that hangs in a file system is abandoned and replaced, up to a bound. One user can occupy
// half of the workers, one worker is left for root, and who occupies fewer comes first. After Stop() no
// answer is given and nothing is recorded. A user other than root can't cause more records than its quota
// allows (EDQUOT; an `assay-limit` record tells how many were refused). A file of such a user is recorded
// with a name that tells so ("measure:UID:/path"), because no program has loaded it; and a file that is open
// for writing is refused (ETXTBSY), because a violation is only for loaded content. A buffer is recorded with
// the name of the program that shows it, as the kernel tells it ("buffer:UID:WHAT:/path").
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "measure/node/measure_quota.h"
#include "measure/node/measure_request.h"
#include "measure/node/node_judge.h"
#include "measure/record/recorder.h"

namespace assay::measure {

struct MeasurePoolOptions {
  std::chrono::milliseconds deadline{30'000};
  dev_t own_device = 0;  // the device of /run/assay, whose own files are refused
  QuotaOptions quota{};
  NodeJudge judge{};                                                        // empty: nothing is judged
  std::function<void(pid_t process, const std::string& hook)> announced{};  // of "hook:NAME"; empty: ignored
};

class MeasurePool {
 public:
  // done: the number of lines that were recorded before the first error. error: its errno, or 0. verdicts:
  // if the caller asked for them, one line of text for each of these lines.
  using Answer = std::function<void(std::size_t done, int error, const std::string& verdicts)>;
  MeasurePool(Recorder& recorder, const MeasurePoolOptions& options);
  ~MeasurePool();
  void Submit(const Caller& caller, std::vector<RequestLine> lines, bool judged, Answer answer);
  void Stop();  // waiting callers get ENODEV; idempotent

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace assay::measure
