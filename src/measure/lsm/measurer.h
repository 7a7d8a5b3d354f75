// Internal: what the lsm engine does with one task that waits: opens its file, asks the policy, measures,
// records and answers.
//
//   // given: const LsmPrograms& programs, LsmStorage& storage, HeldTasks& tasks, const HeldLimits& limits,
//   // given: Recorder& recorder, std::shared_ptr<Rules> rules, const LsmTaskPtr& task,
//   // given: Instrumented& instrumented
//   LsmMeasurer measurer(programs, storage, tasks, limits, recorder, rules, false,
//                        instrumented);
//   measurer.Handle(task);
//
// Contract: Handle() may hang in the file system of the task's file, and in no other. Follow() swaps the
// policy. An answer by the former policy leaves no state in the kernel, because its epoch is an earlier one.
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "measure/engine/held_tasks.h"
#include "measure/engine/rules.h"
#include "measure/lsm/file.h"
#include "measure/lsm/programs.h"
#include "measure/lsm/storage.h"
#include "measure/lsm/task.h"
#include "measure/policy/instrumented.h"
#include "measure/policy/interpreters.h"
#include "measure/record/recorder.h"

namespace assay::measure {

class LsmMeasurer {
 public:
  LsmMeasurer(const LsmPrograms& programs, LsmStorage& storage, HeldTasks& tasks, const HeldLimits& limits,
              Recorder& recorder, std::shared_ptr<Rules> rules, bool enforced, Instrumented& instrumented);

  void Handle(const LsmTaskPtr& task);
  // What the kernel took from memory, whether or not it refuses it afterwards.
  void RecordTaken(const assay_event& event, const Context& context);
  void Follow(std::shared_ptr<Rules> rules);
  std::shared_ptr<Rules> CurrentRules() const;
  std::uint64_t Refused() const;  // by all policies so far
  bool MayHaveToBeKnown() const;  // an appraise rule is enforced for something

 private:
  // Whether the content may change after it was hashed.
  struct Doubts {
    bool writers = false;  // a task has it open for writing
    bool shared = false;   // it was mapped shared and writable
    bool pinned = false;   // ... and its pages may be held still
  };

  void MeasureFile(LsmTask& task, const RequestedFile& file);
  void MeasureDigest(LsmTask& task);
  Opener OpenerOf(LsmTask& task) const;
  static Context ContextOf(const LsmTask& task);
  static Doubts DoubtsOf(const LsmTask& task, int fd);
  Result<Digest> HashFile(LsmTask& task, const RequestedFile& file);
  void NoteProgram(LsmTask& task, const RequestedFile& file, const Digest* digest);
  void SettleFile(LsmTask& task, const RequestedFile& file, Use& use, Rules& rules);
  Result<Recorded> RecordFile(const Measurement& file, const Doubts& doubts, const MemoryHeaders& headers,
                              bool exec);
  void Finish(LsmTask& task, const Result<Recorded>& recorded, std::uint32_t flags, const Digest* digest,
              const std::string& path);
  void Answer(LsmTask& task, std::uint32_t flags, const Digest* digest);
  void AnswerUnmeasured(LsmTask& task, std::uint32_t flags);

  const LsmPrograms& programs_;
  LsmStorage& storage_;
  HeldTasks& tasks_;
  const HeldLimits& limits_;
  Recorder& recorder_;
  const bool enforced_;  // appraise rules
  Programs interpreters_;
  Instrumented& instrumented_;
  mutable Mutex mutex_;
  std::shared_ptr<Rules> rules_ ASSAY_GUARDED_BY(mutex_);
  std::uint64_t refused_before_ ASSAY_GUARDED_BY(mutex_) = 0;  // by former policies
};

}  // namespace assay::measure
