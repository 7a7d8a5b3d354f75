// Joins the starts of interpreters with the announcements of their hooks: which start was announced by none?
//
//   // given: Recorder& recorder, const Start& start
//   Starts starts(std::chrono::seconds(30));
//   starts.Started(start);                                     // an event of the kernel's side
//   starts.Announced(start.process, "python", MonotonicNs());  // the `measure` node
//   for (const Unannounced& u : starts.Due(MonotonicNs())) RecordUnannounced(u, recorder);
//
// Contract: a start is judged when `patience` is over. It was announced if its process named the expected
// hook between this start and its next one; the two may become known in any order. Each program and way is
// told once. Thread-safe, bounded: beyond the bound the oldest start is judged before its time, and counted.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/mutex.h"
#include "measure/record/recorder.h"

namespace assay::measure {

struct Start {
  std::uint64_t at_ns = 0;  // CLOCK_MONOTONIC
  pid_t process = 0;
  std::string hook;  // that is expected
  std::string path;  // of the program
  std::optional<Digest> digest{};
  Context context{};
};

struct Unannounced {
  Start start;
  std::string said;  // another hook that announced itself instead; empty: none did
};

// Whether this is the name of a hook: 1 to 32 of a to z, 0 to 9 and '-'.
bool IsHookName(std::string_view name);
std::uint64_t MonotonicNs();
// The record `assay-uninstrumented` (docs/formats/own-records.md).
void RecordUnannounced(const Unannounced& u, Recorder& recorder);

class Starts {
 public:
  explicit Starts(std::chrono::nanoseconds patience, std::size_t bound = 65536)
      : patience_(static_cast<std::uint64_t>(patience.count())), bound_(bound) {}
  void Started(Start start);
  void Announced(pid_t process, std::string_view hook, std::uint64_t now_ns);
  std::vector<Unannounced> Due(std::uint64_t now_ns);
  // At the end: those whose process has ended without an announcement. The others are forgotten.
  std::vector<Unannounced> Rest();
  std::uint64_t early() const;  // starts that were judged before their time

 private:
  struct Announcement {
    std::uint64_t at_ns = 0;
    std::string hook;
  };
  void Judge(const Start& start, std::vector<Unannounced>& into) ASSAY_REQUIRES(mutex_);
  void JudgeOldest(std::vector<Unannounced>& into) ASSAY_REQUIRES(mutex_);
  void Forget(std::uint64_t before_ns) ASSAY_REQUIRES(mutex_);

  const std::uint64_t patience_;
  const std::size_t bound_;
  mutable Mutex mutex_;
  std::deque<Start> waiting_ ASSAY_GUARDED_BY(mutex_);  // in the order of the events, so that of their times
  std::set<std::pair<pid_t, std::uint64_t>> begun_ ASSAY_GUARDED_BY(mutex_);  // the same, by process
  std::vector<Unannounced> over_ ASSAY_GUARDED_BY(mutex_);
  std::map<pid_t, std::deque<Announcement>> said_ ASSAY_GUARDED_BY(mutex_);
  std::deque<std::pair<std::uint64_t, pid_t>> order_ ASSAY_GUARDED_BY(mutex_);  // of the announcements
  std::set<std::string> told_ ASSAY_GUARDED_BY(mutex_);
  std::uint64_t early_ ASSAY_GUARDED_BY(mutex_) = 0;
};

}  // namespace assay::measure
