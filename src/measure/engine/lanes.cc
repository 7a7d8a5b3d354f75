#include "measure/engine/lanes.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>

#include "base/mutex.h"

namespace assay::measure {
namespace {

std::atomic<unsigned> left_behind{0};

}  // namespace

unsigned LeftBehind() { return left_behind; }
void CountLeftBehind(unsigned threads) { left_behind += threads; }

struct Lane::State {
  explicit State(const LaneOptions& given) : options(given) {}

  struct User {
    std::deque<Job> jobs;
    unsigned running = 0;
  };

  const LaneOptions options;
  mutable Mutex mutex;
  CondVar work;
  mutable CondVar quiet;
  std::map<uid_t, User> users ASSAY_GUARDED_BY(mutex);  // users with jobs that wait or run
  std::deque<uid_t> turns ASSAY_GUARDED_BY(mutex);      // users with jobs that wait, in turn
  std::size_t waiting ASSAY_GUARDED_BY(mutex) = 0;
  unsigned workers ASSAY_GUARDED_BY(mutex) = 0, running_of_users ASSAY_GUARDED_BY(mutex) = 0;
  std::uint64_t taken ASSAY_GUARDED_BY(mutex) = 0, taken_at_tick ASSAY_GUARDED_BY(mutex) = 0;
  bool stopping ASSAY_GUARDED_BY(mutex) = false;

  bool MayRun(uid_t uid, const User& user) const ASSAY_REQUIRES(mutex);
  bool Takeable() const ASSAY_REQUIRES(mutex);
  bool Take(uid_t& uid, Job& job) ASSAY_REQUIRES(mutex);
  void Done(uid_t uid) ASSAY_REQUIRES(mutex);
  void Work();
  bool IsIdleAfter(std::chrono::milliseconds patience) const;
  bool AllBack(std::chrono::steady_clock::time_point until) const;
};

bool Lane::State::MayRun(uid_t uid, const User& user) const {
  return uid == 0 || (user.running < options.share && running_of_users + options.for_root < options.most);
}

bool Lane::State::Takeable() const {
  return std::any_of(turns.begin(), turns.end(),
                     [this](uid_t uid) ASSAY_REQUIRES(mutex) { return MayRun(uid, users.at(uid)); });
}

bool Lane::State::Take(uid_t& uid, Job& job) {
  for (auto at = turns.begin(); at != turns.end(); ++at) {
    User& user = users.at(*at);
    if (!MayRun(*at, user)) continue;
    uid = *at;
    turns.erase(at);
    job = std::move(user.jobs.front());
    user.jobs.pop_front();
    --waiting;
    ++user.running;
    if (uid != 0) ++running_of_users;
    if (!user.jobs.empty()) turns.push_back(uid);
    ++taken;
    return true;
  }
  return false;
}

void Lane::State::Done(uid_t uid) {
  const auto at = users.find(uid);
  --at->second.running;
  if (uid != 0) --running_of_users;
  if (at->second.running == 0 && at->second.jobs.empty()) users.erase(at);
  if (users.empty()) quiet.NotifyAll();
  if (waiting > 0) work.NotifyOne();  // a waiting job may now fit into its user's share
}

void Lane::State::Work() {
  MutexLock lock(mutex);
  while (!stopping) {
    uid_t uid = 0;
    Job job;
    if (Take(uid, job)) {
      lock.Unlock();
      job(false);
      job = nullptr;
      lock.Lock();
      Done(uid);
    } else if (workers > options.workers) {
      break;  // the workers that hung have come back, so this one is not needed
    } else {
      work.Wait(mutex);
    }
  }
  --workers;
  quiet.NotifyAll();
}

bool Lane::State::IsIdleAfter(std::chrono::milliseconds patience) const {
  const MutexLock lock(mutex);
  return quiet.WaitFor(mutex, patience, [this]() ASSAY_REQUIRES(mutex) { return users.empty(); });
}

bool Lane::State::AllBack(std::chrono::steady_clock::time_point until) const {
  const MutexLock lock(mutex);
  return quiet.WaitUntil(mutex, until, [this]() ASSAY_REQUIRES(mutex) { return workers == 0; });
}

namespace {

LaneOptions Sensible(LaneOptions options) {
  options.workers = std::max(1U, options.workers);
  options.most = std::max(options.most, options.workers + options.for_root);
  return options;
}

// The caller has already counted the worker.
void StartWorker(const std::shared_ptr<Lane::State>& state) {
  Thread(state->options.name, [state] { state->Work(); }).Detach();
}

}  // namespace

Lane::Lane(LaneOptions options) : state_(std::make_shared<State>(Sensible(options))) {
  {
    const MutexLock lock(state_->mutex);
    state_->workers = state_->options.workers;
  }
  for (unsigned i = 0; i < state_->options.workers; ++i) StartWorker(state_);
}

Lane::~Lane() { Stop(std::chrono::milliseconds(0)); }

void Lane::Push(uid_t uid, Job job) {
  State& s = *state_;
  {
    const MutexLock lock(s.mutex);
    if (!s.stopping) {
      State::User& user = s.users[uid];
      if (user.jobs.empty()) s.turns.push_back(uid);
      user.jobs.push_back(std::move(job));
      ++s.waiting;
      s.work.NotifyOne();
      return;
    }
  }
  job(true);
}

std::size_t Lane::Waiting() const {
  const MutexLock lock(state_->mutex);
  return state_->waiting;
}

bool Lane::WaitIdle(std::chrono::milliseconds patience) const { return state_->IsIdleAfter(patience); }

void Lane::Tick() {
  State& s = *state_;
  const MutexLock lock(s.mutex);
  const bool stuck = s.waiting > 0 && s.taken == s.taken_at_tick;
  if (stuck && !s.stopping && s.workers < s.options.most && s.Takeable()) {
    ++s.workers;
    StartWorker(state_);
  }
  s.taken_at_tick = s.taken;
}

bool Lane::Close() {
  State& s = *state_;
  std::deque<Job> dropped;
  {
    const MutexLock lock(s.mutex);
    if (s.stopping) return false;
    s.stopping = true;
    for (auto& [uid, user] : s.users) {
      std::move(user.jobs.begin(), user.jobs.end(), std::back_inserter(dropped));
      user.jobs.clear();
    }
    s.turns.clear();
    s.waiting = 0;
  }
  s.work.NotifyAll();
  for (const Job& job : dropped) job(true);
  return true;
}

bool Lane::StopAll(const std::vector<Lane*>& lanes, std::chrono::milliseconds patience,
                   const std::function<void()>& unblock) {
  std::vector<Lane*> open;
  for (Lane* lane : lanes)
    if (lane->Close()) open.push_back(lane);
  const auto all_back = [&] {
    const auto until = std::chrono::steady_clock::now() + patience;
    return std::all_of(open.begin(), open.end(),
                       [&](const Lane* lane) { return lane->state_->AllBack(until); });
  };
  if (all_back()) return true;
  if (unblock) {
    unblock();
    if (all_back()) return true;
  }
  for (const Lane* lane : open) {
    const MutexLock lock(lane->state_->mutex);
    CountLeftBehind(lane->state_->workers);
  }
  return false;
}

bool Lane::Stop(std::chrono::milliseconds patience, const std::function<void()>& unblock) {
  return StopAll({this}, patience, unblock);
}

struct UseGate::State {
  Mutex mutex;
  CondVar empty;
  unsigned inside ASSAY_GUARDED_BY(mutex) = 0;
  std::atomic<bool> closed{false};
};

std::shared_ptr<UseGate::State> UseGate::Make() { return std::make_shared<State>(); }

bool UseGate::Enter() {
  const MutexLock lock(state_->mutex);
  if (state_->closed) return false;
  ++state_->inside;
  return true;
}

void UseGate::Leave() {
  const MutexLock lock(state_->mutex);
  if (--state_->inside == 0) state_->empty.NotifyAll();
}

const std::atomic<bool>& UseGate::closed() const { return state_->closed; }

void UseGate::Close() {
  State& s = *state_;
  const MutexLock lock(s.mutex);
  s.closed = true;
  s.empty.Wait(s.mutex, [&s]() ASSAY_REQUIRES(s.mutex) { return s.inside == 0; });
}

}  // namespace assay::measure
