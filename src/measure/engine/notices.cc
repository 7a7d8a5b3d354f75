#include "measure/engine/notices.h"

#include <deque>
#include <utility>

#include "base/mutex.h"
#include "base/thread.h"
#include "measure/engine/audit.h"
#include "measure/engine/lanes.h"

namespace assay::measure {

struct Notices::State {
  std::function<void(const Refusal&)> refused;
  measure::Audit audit;
  UseGate callback;  // closed before the callback's owner is destroyed
  mutable Mutex mutex;
  mutable CondVar changed;
  std::deque<std::function<void()>> waiting ASSAY_GUARDED_BY(mutex);
  std::uint64_t dropped ASSAY_GUARDED_BY(mutex) = 0;
  bool telling ASSAY_GUARDED_BY(mutex) = false;
  bool stopping ASSAY_GUARDED_BY(mutex) = false;

  void Push(std::function<void()> notice) {
    const MutexLock lock(mutex);
    if (stopping || waiting.size() >= kMaxNotices) {
      ++dropped;
      return;
    }
    waiting.push_back(std::move(notice));
    changed.NotifyAll();
  }

  void Loop() {
    MutexLock lock(mutex);
    while (true) {
      changed.Wait(mutex, [this]() ASSAY_REQUIRES(mutex) { return stopping || !waiting.empty(); });
      if (waiting.empty()) return;
      const std::function<void()> notice = std::move(waiting.front());
      waiting.pop_front();
      telling = true;
      lock.Unlock();
      notice();
      lock.Lock();
      telling = false;
      changed.NotifyAll();
    }
  }
};

Notices::Notices(std::function<void(const Refusal&)> refused) : state_(std::make_shared<State>()) {
  state_->refused = std::move(refused);
  // The thread is detached, because the kernel may keep it waiting for the audit system. It keeps alive what
  // it touches.
  Thread("assay-notices", [state = state_] { state->Loop(); }).Detach();
}

Notices::~Notices() { Stop(std::chrono::milliseconds(0)); }

void Notices::Audit(std::string text, bool success) {
  State* s = state_.get();  // the thread that calls it holds the state
  s->Push([s, text = std::move(text), success] { s->audit.Send(text, success); });
}

void Notices::Refused(Refusal refusal) {
  State* s = state_.get();
  if (!s->refused) return;
  s->Push([s, refusal = std::move(refusal)] {
    if (!s->callback.Enter()) return;
    s->refused(refusal);
    s->callback.Leave();
  });
}

std::uint64_t Notices::Dropped() const {
  const MutexLock lock(state_->mutex);
  return state_->dropped;
}

bool Notices::WaitIdle(std::chrono::milliseconds patience) const {
  State& s = *state_;
  const MutexLock lock(s.mutex);
  return s.changed.WaitFor(s.mutex, patience,
                           [&s]() ASSAY_REQUIRES(s.mutex) { return s.waiting.empty() && !s.telling; });
}

void Notices::Stop(std::chrono::milliseconds patience) {
  WaitIdle(patience);
  State& s = *state_;
  {
    const MutexLock lock(s.mutex);
    s.dropped += s.waiting.size();
    s.waiting.clear();
    if (!std::exchange(s.stopping, true) && s.telling) CountLeftBehind(1);
    s.changed.NotifyAll();
  }
  s.callback.Close();
}

}  // namespace assay::measure
