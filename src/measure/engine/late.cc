#include "measure/engine/late.h"

#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "measure/engine/errors.h"

namespace assay::measure {
namespace {

using Clock = std::chrono::steady_clock;

struct Entry {
  LateTask task;
  Clock::time_point due;
  bool answered = false;  // under the mutex
};

}  // namespace

struct LateAnswers::Impl {
  MeasurementSink* sink = nullptr;
  std::chrono::milliseconds grace{};
  mutable Mutex mutex;
  CondVar changed;
  std::deque<std::shared_ptr<Entry>> waiting ASSAY_GUARDED_BY(mutex);     // not taken up yet
  std::vector<std::shared_ptr<Entry>> recording ASSAY_GUARDED_BY(mutex);  // at the recorder
  std::uint64_t unrecorded ASSAY_GUARDED_BY(mutex) = 0, pending ASSAY_GUARDED_BY(mutex) = 0;
  bool stopping ASSAY_GUARDED_BY(mutex) = false;
  Thread thread;

  void Loop();
  void Record(const std::vector<std::shared_ptr<Entry>>& batch) const;
  void AnswerOverdue(Clock::time_point now);
};

// Tasks that came together share a record, which is extended before this returns.
void LateAnswers::Impl::Record(const std::vector<std::shared_ptr<Entry>>& batch) const {
  for (const std::shared_ptr<Entry>& entry : batch) {
    Context context = entry->task.context();
    context.late = batch.size() > 1;
    const Result<Recorded> r = sink->RecordViolation(Violation::kUnanswered, entry->task.path, context);
    if (!r) log::Error("{}: unanswered, and not recorded: {}", entry->task.path, r.error().Message());
  }
  // Flushes even for one task, because its entry may be in a group that is still open.
  if (const Result<> r = sink->Flush(); !r) log::Error("{}", r.error().Message());
}

void LateAnswers::Impl::Loop() {
  MutexLock lock(mutex);
  while (true) {
    changed.Wait(mutex, [this]() ASSAY_REQUIRES(mutex) { return stopping || !waiting.empty(); });
    if (waiting.empty()) return;
    recording.assign(waiting.begin(), waiting.end());
    waiting.clear();
    const std::vector<std::shared_ptr<Entry>> batch = recording;
    lock.Unlock();
    Record(batch);
    lock.Lock();
    recording.clear();
    std::vector<std::shared_ptr<Entry>> to_answer;
    for (const std::shared_ptr<Entry>& entry : batch) {
      if (std::exchange(entry->answered, true))
        --pending;
      else
        to_answer.push_back(entry);
    }
    lock.Unlock();
    for (const std::shared_ptr<Entry>& entry : to_answer) entry->task.answer();
    lock.Lock();
  }
}

void LateAnswers::Impl::AnswerOverdue(Clock::time_point now) {
  std::vector<std::shared_ptr<Entry>> overdue;
  {
    const MutexLock lock(mutex);
    const auto take = [&](const std::shared_ptr<Entry>& entry) ASSAY_REQUIRES(mutex) {
      if (entry->answered || now < entry->due) return;
      entry->answered = true;
      ++unrecorded;
      ++pending;
      overdue.push_back(entry);
    };
    for (const auto& entry : recording) take(entry);
    for (const auto& entry : waiting) take(entry);
  }
  for (const std::shared_ptr<Entry>& entry : overdue) entry->task.answer();
  if (!overdue.empty())
    log::Error("{} task(s) go on although the recorder has not said so yet: it takes longer than {} ms",
               overdue.size(), grace.count());
}

LateAnswers::LateAnswers(MeasurementSink& sink, std::chrono::milliseconds grace)
    : impl_(std::make_unique<Impl>()) {
  impl_->sink = &sink;
  impl_->grace = grace;
  impl_->thread = Thread("assay-late", [d = impl_.get()] { d->Loop(); });
}

LateAnswers::~LateAnswers() { Stop(); }

void LateAnswers::Push(LateTask task) {
  Impl& d = *impl_;
  auto entry = std::make_shared<Entry>();
  entry->task = std::move(task);
  entry->due = Clock::now() + d.grace;
  {
    const MutexLock lock(d.mutex);
    if (!d.stopping) {
      d.waiting.push_back(std::move(entry));
      d.changed.NotifyAll();
      return;
    }
  }
  d.Record({entry});
  entry->task.answer();
}

void LateAnswers::Tick() { impl_->AnswerOverdue(Clock::now()); }

// No tick comes any more. So each task is let go when its time is up, and then this waits for the recorder.
void LateAnswers::Stop() {
  Impl& d = *impl_;
  {
    const MutexLock lock(d.mutex);
    if (d.stopping) return;
    d.stopping = true;
    d.changed.NotifyAll();
  }
  constexpr auto kPause = std::chrono::milliseconds(20);
  for (bool open = true; open; std::this_thread::sleep_for(kPause)) {
    d.AnswerOverdue(Clock::now());
    const MutexLock lock(d.mutex);
    open = false;
    for (const auto& entry : d.recording) open |= !entry->answered;
    for (const auto& entry : d.waiting) open |= !entry->answered;
    if (!open) break;
  }
  d.thread.Join();
}

std::uint64_t LateAnswers::Unrecorded() const {
  const MutexLock lock(impl_->mutex);
  return impl_->unrecorded;
}

std::uint64_t LateAnswers::Pending() const {
  const MutexLock lock(impl_->mutex);
  return impl_->pending;
}

Result<> HealthOf(const LateAnswers& late) {
  if (late.Pending() == 0) return {};
  return Fail(StateError(EngineError::kUnrecorded, "tasks go on that the recorder could not name in time"));
}

}  // namespace assay::measure
