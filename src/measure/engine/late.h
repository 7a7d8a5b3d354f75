// Internal: lets tasks go on if their files are not measured in time, after the list says so.
//
//   // given: MeasurementSink& sink, const LateTask& task
//   LateAnswers late(sink, std::chrono::seconds(5));
//   late.Push(task);
//   late.Tick();   // ten times a second
//
// Contract: `unanswered` is recorded and extended before `answer` is called; tasks that came together share a
// record. Only if the recorder takes longer than `grace` is the answer given first. These tasks are counted;
// Pending() says how many of them are not recorded yet, and each is recorded when the recorder is back.
// `answer` is called once, from a thread of this class or from Tick(). If the recorder reports an error, it
// has kept the path for later itself (Recorder::Recover()). Stop() answers the tasks that wait, by the same
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
  std::uint64_t Unrecorded() const;  // how many were answered before they were recorded
  std::uint64_t Pending() const;     // how many of those are not recorded yet

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// StateError "engine.unrecorded" while a file has run that the list does not name yet.
Result<> HealthOf(const LateAnswers& late);

}  // namespace assay::measure
