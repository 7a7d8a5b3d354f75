#include "measure/engine/lanes.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

namespace assay::measure {
namespace {

std::atomic<unsigned> left_behind{0};

}  // namespace

unsigned LeftBehind() { return left_behind; }
void CountLeftBehind(unsigned threads) { left_behind += threads; }

struct Lane::State {
  struct User {
    std::deque<Job> jobs;
    unsigned running = 0;
  };

  LaneOptions options;
  mutable std::mutex mutex;
  std::condition_variable work, quiet;
  std::map<uid_t, User> users;  // with jobs, waiting or running
  std::deque<uid_t> turns;      // of those with jobs that wait
  std::size_t waiting = 0;
  unsigned workers = 0, running_of_users = 0;
  std::uint64_t taken = 0, taken_at_tick = 0;
  bool stopping = false;

  bool MayRun(uid_t uid, const User& user) const;
  bool Takeable() const;
  bool Take(uid_t& uid, Job& job);
  void Done(uid_t uid);
  void Work();
};

bool Lane::State::MayRun(uid_t uid, const User& user) const {
  return uid == 0 || (user.running < options.share && running_of_users + options.for_root < options.most);
}

bool Lane::State::Takeable() const {
  return std::any_of(turns.begin(), turns.end(), [this](uid_t uid) { return MayRun(uid, users.at(uid)); });
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
  if (users.empty()) quiet.notify_all();
  if (waiting > 0) work.notify_one();  // it may have waited for this user's share
}

void Lane::State::Work() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    uid_t uid = 0;
    Job job;
    if (Take(uid, job)) {
      lock.unlock();
      job(false);
      job = nullptr;
      lock.lock();
      Done(uid);
    } else if (workers > options.workers) {
      break;  // the hanging ones have come back
    } else {
      work.wait(lock);
    }
  }
  --workers;
  quiet.notify_all();
}

namespace {

void AddWorker(const std::shared_ptr<Lane::State>& state) {
  ++state->workers;
  std::thread([state] { state->Work(); }).detach();
}

}  // namespace

Lane::Lane(LaneOptions options) : state_(std::make_shared<State>()) {
  options.workers = std::max(1U, options.workers);
  options.most = std::max(options.most, options.workers + options.for_root);
  state_->options = options;
  const std::lock_guard lock(state_->mutex);
  for (unsigned i = 0; i < options.workers; ++i) AddWorker(state_);
}

Lane::~Lane() { Stop(std::chrono::milliseconds(0)); }

void Lane::Push(uid_t uid, Job job) {
  State& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    if (!s.stopping) {
      State::User& user = s.users[uid];
      if (user.jobs.empty()) s.turns.push_back(uid);
      user.jobs.push_back(std::move(job));
      ++s.waiting;
      s.work.notify_one();
      return;
    }
  }
  job(true);
}

std::size_t Lane::Waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waiting;
}

bool Lane::WaitIdle(std::chrono::milliseconds patience) const {
  std::unique_lock lock(state_->mutex);
  return state_->quiet.wait_for(lock, patience, [this] { return state_->users.empty(); });
}

void Lane::Tick() {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  const bool stuck = s.waiting > 0 && s.taken == s.taken_at_tick;
  if (stuck && !s.stopping && s.workers < s.options.most && s.Takeable()) AddWorker(state_);
  s.taken_at_tick = s.taken;
}

bool Lane::Close() {
  State& s = *state_;
  std::deque<Job> dropped;
  {
    const std::lock_guard lock(s.mutex);
    if (s.stopping) return false;
    s.stopping = true;
    for (auto& [uid, user] : s.users) {
      std::move(user.jobs.begin(), user.jobs.end(), std::back_inserter(dropped));
      user.jobs.clear();
    }
    s.turns.clear();
    s.waiting = 0;
  }
  s.work.notify_all();
  for (const Job& job : dropped) job(true);
  return true;
}

bool Lane::AllBack(std::chrono::steady_clock::time_point until) const {
  std::unique_lock lock(state_->mutex);
  return state_->quiet.wait_until(lock, until, [this] { return state_->workers == 0; });
}

bool Lane::StopAll(const std::vector<Lane*>& lanes, std::chrono::milliseconds patience,
                   const std::function<void()>& unblock) {
  std::vector<Lane*> open;
  for (Lane* lane : lanes)
    if (lane->Close()) open.push_back(lane);
  const auto all_back = [&] {
    const auto until = std::chrono::steady_clock::now() + patience;
    return std::all_of(open.begin(), open.end(), [&](const Lane* lane) { return lane->AllBack(until); });
  };
  if (all_back()) return true;
  if (unblock) {
    unblock();
    if (all_back()) return true;
  }
  for (const Lane* lane : open) {
    const std::lock_guard lock(lane->state_->mutex);
    CountLeftBehind(lane->state_->workers);
  }
  return false;
}

bool Lane::Stop(std::chrono::milliseconds patience, const std::function<void()>& unblock) {
  return StopAll({this}, patience, unblock);
}

struct UseGate::State {
  std::mutex mutex;
  std::condition_variable empty;
  unsigned inside = 0;
  std::atomic<bool> closed{false};
};

std::shared_ptr<UseGate::State> UseGate::Make() { return std::make_shared<State>(); }

bool UseGate::Enter() {
  const std::lock_guard lock(state_->mutex);
  if (state_->closed) return false;
  ++state_->inside;
  return true;
}

void UseGate::Leave() {
  const std::lock_guard lock(state_->mutex);
  if (--state_->inside == 0) state_->empty.notify_all();
}

const std::atomic<bool>& UseGate::closed() const { return state_->closed; }

void UseGate::Close() {
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  state_->empty.wait(lock, [this] { return state_->inside == 0; });
}

}  // namespace assay::measure
