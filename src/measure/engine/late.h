// Internal: lets tasks go on whose file is not measured in time, after the list says so.
//
//   // given: MeasurementSink& sink, const LateTask& task
//   LateAnswers late(sink, std::chrono::seconds(5));
//   late.Push(task);
//   late.Tick();   // ten times a second
//
// Contract: `unanswered` is recorded and extended before `answer` is called; what came together shares a
// record. Only where the recorder itself takes longer than `grace` is the answer given first: that is
// counted, Pending() says how many of those are not recorded yet, and each is recorded when the recorder is
// back. `answer` is called once, from a thread of this class's or from Tick(). Where the recorder reports an
// error it has kept the path for later itself (Recorder::Recover()). Stop() answers what waits, by the same
// rule. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "measure/engine/sink.h"

namespace assay::measure {

struct LateTask {
  std::string path;
  std::function<Context()> context;
  std::function<void()> answer;
};

class LateAnswers {
 public:
  LateAnswers(MeasurementSink& sink, std::chrono::milliseconds grace);
  ~LateAnswers();
  void Push(LateTask task);
  void Tick();
  void Stop();                       // idempotent
  std::uint64_t Unrecorded() const;  // answered before they were recorded, ever
  std::uint64_t Pending() const;     // of those: not recorded yet

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// StateError "engine.unrecorded" while something has run that the list does not name yet.
Result<> HealthOf(const LateAnswers& late);

}  // namespace assay::measure
