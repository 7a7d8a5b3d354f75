#include "measure/engine/held_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/log_event.h"
#include "measure/engine/errors.h"
#include "measure/engine/last_means.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

constexpr auto kWatchdog = std::chrono::milliseconds(100);
constexpr auto kStalled = std::chrono::seconds(5);
constexpr auto kStopPatience = std::chrono::seconds(1);  // for the threads of all lanes
constexpr auto kHangs = std::chrono::milliseconds(500);  // a request that takes longer may never end
constexpr auto kServedIdle = std::chrono::minutes(1);    // until an unused lane is removed
constexpr std::size_t kMaxServed = 64;                   // lanes; further file systems share these

}  // namespace

HeldTasks::HeldTasks(HeldOptions options, MeasurementSink& sink)
    : options_(std::move(options)),
      late_(sink, options_.limits.record_grace),
      quick_({.workers = options_.limits.workers, .share = options_.quick_share, .name = "assay-quick"}),
      slow_({.workers = options_.limits.workers, .name = "assay-slow"}) {}

HeldTasks::~HeldTasks() {
  LetGoOfAll(std::chrono::milliseconds(0));
  StopLanes();
}

void HeldTasks::Start(std::function<void()> tick) {
  tick_ = std::move(tick);
  watchdog_ = Thread("assay-watchdog", [this] { Watch(); });
}

void HeldTasks::Take(const HeldTaskPtr& task) {
  const MutexLock lock(mutex_);
  task->since_ = Clock::now();
  if (held_.empty()) progress_ = task->since_;
  held_.push_back(task);
}

bool HeldTasks::Claim(HeldTask& task) {
  const MutexLock lock(mutex_);
  progress_ = Clock::now();
  if (std::exchange(task.answered_, true)) return false;
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(progress_ - task.since_);
  stats_.longest_wait_ms = std::max(stats_.longest_wait_ms, static_cast<std::uint64_t>(waited.count()));
  return true;
}

void HeldTasks::Progressed() {
  const MutexLock lock(mutex_);
  progress_ = Clock::now();
}

namespace {

// A job is dropped when the engine stops, and its task then has its answer.
Lane::Job JobOf(const HeldTaskPtr& task, std::function<void()> work) {
  return [task, work = std::move(work)](bool dropped) {
    if (!dropped && !task->late) work();
  };
}

}  // namespace

void HeldTasks::Push(WorkKind kind, uid_t uid, const HeldTaskPtr& task, std::function<void()> work) {
  (kind == WorkKind::kQuick ? quick_ : slow_).Push(uid, JobOf(task, std::move(work)));
}

void HeldTasks::PushServed(std::uint64_t key, uid_t uid, const HeldTaskPtr& task,
                           std::function<void()> work) {
  LaneOf(key)->Push(uid, JobOf(task, [this, task, work = std::move(work)] {
                      std::list<Working>::iterator at;
                      {
                        const MutexLock lock(mutex_);
                        at = working_.insert(working_.end(), {task, Clock::now()});
                      }
                      work();
                      const MutexLock lock(mutex_);
                      working_.erase(at);
                    }));
}

std::shared_ptr<Lane> HeldTasks::AddLane(LaneOptions options) {
  auto lane = std::make_shared<Lane>(options);
  const MutexLock lock(lanes_mutex_);
  more_.push_back(lane);
  return lane;
}

std::shared_ptr<Lane> HeldTasks::LaneOf(std::uint64_t key) {
  const MutexLock lock(lanes_mutex_);
  auto at = served_.find(key);
  if (at == served_.end() && served_.size() >= kMaxServed)
    at = std::next(served_.begin(), static_cast<std::ptrdiff_t>(key % served_.size()));
  if (at == served_.end())
    at =
        served_
            .emplace(key,
                     Served{std::make_shared<Lane>(LaneOptions{.workers = 1, .name = "assay-served-fs"}), {}})
            .first;
  at->second.used = Clock::now();
  return at->second.lane;
}

std::vector<std::shared_ptr<Lane>> HeldTasks::OtherLanes() const {
  const MutexLock lock(lanes_mutex_);
  std::vector<std::shared_ptr<Lane>> lanes = more_;
  for (const auto& [key, served] : served_) lanes.push_back(served.lane);
  return lanes;
}

void HeldTasks::TickLanes() {
  quick_.Tick();
  slow_.Tick();
  for (const std::shared_ptr<Lane>& lane : OtherLanes()) lane->Tick();
  // Removes lanes that no other thread holds, so that none is about to push to them.
  std::vector<std::shared_ptr<Lane>> unused;
  {
    const MutexLock lock(lanes_mutex_);
    std::erase_if(served_, [&](const auto& entry) {
      const Served& served = entry.second;
      const bool idle = served.lane.use_count() == 1 && Clock::now() - served.used > kServedIdle &&
                        served.lane->WaitIdle(std::chrono::milliseconds(0));
      if (idle) unused.push_back(served.lane);
      return idle;
    });
  }
  for (const std::shared_ptr<Lane>& lane : unused) lane->Stop(kStopPatience);
}

void HeldTasks::NameLastMeans() {
  std::vector<HeldTaskPtr> hanging;
  {
    const MutexLock lock(mutex_);
    for (const Working& working : working_)
      if (Clock::now() - working.since > kHangs) hanging.push_back(working.task);
  }
  std::set<dev_t> devices;
  for (const HeldTaskPtr& task : hanging)
    if (const dev_t device = task->Device(); device != 0) devices.insert(device);
  EndAtDeath(this, std::move(devices));
}

// Removes the tasks that have an answer, and moves those that waited for longer than `deadline` to `expired`.
// False: no task is left.
bool HeldTasks::Prune(std::vector<HeldTaskPtr>* expired, std::chrono::milliseconds deadline) {
  const auto now = Clock::now();
  const MutexLock lock(mutex_);
  for (auto at = held_.begin(); at != held_.end();) {
    HeldTaskPtr task = at->lock();
    const bool done = !task || task->answered_;
    const bool is_late = !done && expired != nullptr && now - task->since_ >= deadline;
    if (is_late) {
      task->answered_ = true;
      task->late = true;
      ++stats_.expired;
      given_up_.push_back(task);
      expired->push_back(std::move(task));
    }
    at = done || is_late ? held_.erase(at) : std::next(at);
  }
  given_up_.remove_if([](const std::weak_ptr<HeldTask>& weak) { return weak.expired(); });
  return !held_.empty();
}

// The task's hash ends at the next block. The task is allowed only after the list says that its file was not
// measured.
void HeldTasks::LetGo(const HeldTaskPtr& task) {
  if (!task->MustBeNamed()) {
    task->Allow();
    return;
  }
  if (options_.limits.expiry == Expiry::kRefuse || task->must_be_known) {
    task->Refuse();
    const std::string path = task->Path();
    log::WriteEvent(
        log::Level::kError, "refused", {{"path", path}, {"engine", options_.engine}},
        fmt::format("{}: refused, since it could not be measured in time: {}", options_.engine, path));
    return;
  }
  std::string path = task->Path();
  late_.Push(
      {.path = path, .context = [task] { return task->Describe(); }, .answer = [task] { task->Allow(); }});
  log::WriteEvent(log::Level::kError, "unanswered", {{"path", path}, {"engine", options_.engine}},
                  fmt::format("{}: not measured in time: {}", options_.engine, path));
}

void HeldTasks::Expire() {
  std::vector<HeldTaskPtr> late;
  const bool waiting = Prune(&late, options_.limits.deadline);
  {
    const MutexLock lock(mutex_);
    const bool stalled = waiting && Clock::now() - progress_ > kStalled;
    if (stalled && !stalled_) ++stats_.stalls;
    stalled_ = stalled;
  }
  for (const HeldTaskPtr& task : late) LetGo(task);
}

void HeldTasks::Watch() {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (stop_.WaitFor(mutex_, kWatchdog, [this]() ASSAY_REQUIRES(mutex_) { return stopping_; })) return;
    }
    Expire();
    late_.Tick();
    TickLanes();
    NameLastMeans();
    if (tick_) tick_();
  }
}

EngineStats HeldTasks::Stats() const {
  std::size_t waiting = quick_.Waiting() + slow_.Waiting();
  for (const std::shared_ptr<Lane>& lane : OtherLanes()) waiting += lane->Waiting();
  const std::uint64_t unrecorded = late_.Unrecorded();
  const MutexLock lock(mutex_);
  EngineStats stats = stats_;
  stats.queue_depth = waiting;
  stats.unrecorded = unrecorded;
  for (const std::weak_ptr<HeldTask>& weak : held_) {
    const HeldTaskPtr task = weak.lock();
    if (task && !task->answered_) ++stats.held;
  }
  return stats;
}

Result<> HeldTasks::Health() const {
  {
    const MutexLock lock(mutex_);
    if (stopping_) return Fail(StateError(EngineError::kStopped, "the engine is stopped"));
    if (stalled_)
      return Fail(StateError(EngineError::kStalled, "no held task was answered for some seconds"));
  }
  return HealthOf(late_);
}

std::set<dev_t> HeldTasks::DevicesOfHanging() const {
  std::set<dev_t> devices;
  const MutexLock lock(mutex_);
  for (const std::weak_ptr<HeldTask>& weak : given_up_) {
    const HeldTaskPtr task = weak.lock();
    if (const dev_t device = task ? task->Device() : 0; device != 0) devices.insert(device);
  }
  return devices;
}

void HeldTasks::Unblock() const {
  for (const dev_t device : DevicesOfHanging()) {
    if (const Result<> r = AbortFuse(device); r)
      log::Error("{}: a file system's server does not answer: its connection is ended", options_.engine);
    else
      log::Error("{}: a file system does not answer: {}", options_.engine, r.error().Message());
  }
}

void HeldTasks::LetGoOfAll(std::chrono::milliseconds drain) {
  {
    const MutexLock lock(mutex_);
    if (std::exchange(let_go_, true)) return;
  }
  const auto until = Clock::now() + drain;
  while (Prune(nullptr, {}) && Clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    stop_.NotifyAll();
  }
  watchdog_.Join();
  std::vector<HeldTaskPtr> left;
  Prune(&left, std::chrono::milliseconds(0));
  for (const HeldTaskPtr& task : left) LetGo(task);
  left.clear();
  late_.Stop();
  uses_.Close();
}

void HeldTasks::StopLanes() {
  const std::vector<std::shared_ptr<Lane>> others = OtherLanes();
  std::vector<Lane*> lanes{&quick_, &slow_};
  for (const std::shared_ptr<Lane>& lane : others) lanes.push_back(lane.get());
  if (Lane::StopAll(lanes, kStopPatience, [this] { Unblock(); }))
    EndAtDeath(this, {});
  else
    log::Error("{}: threads hang in file systems and are left behind", options_.engine);
}

}  // namespace assay::measure
