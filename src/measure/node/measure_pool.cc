#include "measure/node/measure_pool.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <tuple>

#include "base/clock.h"
#include "base/hash_fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/name_table.h"
#include "base/thread.h"
#include "measure/engine/lanes.h"
#include "measure/engine/last_means.h"
#include "measure/node/errors.h"
#include "measure/system/buffer_name.h"
#include "measure/system/errors.h"
#include "measure/system/file.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kWorkers = 4;      // as long as none of them hangs
constexpr unsigned kMaxWorkers = 32;  // when some hang
constexpr unsigned kMaxPerUser = 8;   // users other than root
constexpr std::size_t kMaxWaiting = 8192, kMaxWaitingPerUser = 2048;
constexpr auto kHangs = std::chrono::milliseconds(500);  // what takes longer may never end
constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kStopPatience = std::chrono::seconds(2);

struct Job {
  Caller caller;
  std::vector<RequestLine> lines;
  bool judged = false;   // the caller asks for verdicts
  std::string verdicts;  // of the lines that are done; under the mutex
  MeasurePool::Answer answer;
  Clock::time_point due, began;
  std::size_t done = 0;
  bool answered = false;
  std::atomic<dev_t> device{0};  // the device of the file that is being opened or read
};
using JobPtr = std::shared_ptr<Job>;

int ToErrno(const Error& e) {
  if (const auto* os = e.As<OsError>()) return os->err;
  // The request is all that is parsed.
  if (e.As<ParseError>() != nullptr || e.Is(FileError::kNotAFile)) return EINVAL;
  if (e.Is(NodeError::kNoRight)) return EACCES;
  if (e.Is(FileError::kLate)) return ETIMEDOUT;
  if (e.Is(NodeError::kQuota)) return EDQUOT;
  return EIO;  // the recorder does not record at present
}

// No path begins like this, so the name tells that a user had the file measured and no program loaded it.
std::string ShownName(uid_t uid, const std::string& path) {
  return "measure:" + std::to_string(uid) + ":" + path;
}

// The name of a buffer has the caller's own program, as the kernel tells it.
Result<std::string> NameOfBuffer(const Caller& caller, const std::string& what) {
  ASSAY_ASSIGN(const UniqueFd program, Open("/proc/" + std::to_string(caller.tid) + "/exe", O_PATH));
  ASSAY_ASSIGN(const std::string path, NameOfFd(program.get()));
  return BufferName(caller.uid, what, path);
}

Error Late() { return StateError(FileError::kLate, "the caller has its answer already"); }

}  // namespace

std::string_view NodeVerdictName(NodeVerdict verdict) {
  static constexpr auto kNames = Names<NodeVerdict>({{NodeVerdict::kUnjudged, "unjudged"},
                                                     {NodeVerdict::kKnown, "known"},
                                                     {NodeVerdict::kUnknown, "unknown"},
                                                     {NodeVerdict::kRefused, "refused"}});
  return kNames.Of(verdict);
}

struct MeasurePool::State {
  Recorder* recorder = nullptr;
  MeasurePoolOptions options;
  Mutex mutex;
  CondVar work, quiet;
  std::deque<JobPtr> waiting ASSAY_GUARDED_BY(mutex);
  std::deque<JobPtr> running ASSAY_GUARDED_BY(mutex);  // a job's `answered` is under the mutex, too
  // Without zeros.
  std::map<uid_t, unsigned> running_of ASSAY_GUARDED_BY(mutex), waiting_of ASSAY_GUARDED_BY(mutex);
  std::optional<MeasureQuota> quota ASSAY_GUARDED_BY(mutex);
  unsigned workers ASSAY_GUARDED_BY(mutex) = 0, recording ASSAY_GUARDED_BY(mutex) = 0;
  std::uint64_t finished ASSAY_GUARDED_BY(mutex) = 0, finished_at_tick ASSAY_GUARDED_BY(mutex) = 0;
  bool stopping ASSAY_GUARDED_BY(mutex) = false, ticking ASSAY_GUARDED_BY(mutex) = true;

  void Answer(Job& job, int error) ASSAY_REQUIRES(mutex);
  JobPtr TakeWaiting() ASSAY_REQUIRES(mutex);
  void Tick() ASSAY_REQUIRES(mutex);
  std::set<dev_t> Hanging() const ASSAY_REQUIRES(mutex);
  void TellLimits(bool end) ASSAY_REQUIRES(mutex);  // lets go of the mutex while it records
  void Work() ASSAY_EXCLUDES(mutex);
  Result<NodeVerdict> Measure(Job& job, const RequestLine& line);
  Result<NodeVerdict> MeasureBuffer(Job& job, const MeasureRequest& request, int fd, const Context& context);
  Result<NodeVerdict> MeasureFile(Job& job, int fd, const Context& context);
  Result<> BeginRecording(const Job& job);
  void EndRecording();
  NodeVerdict Judge(const Job& job, int fd, std::string_view path, const Digest* digest) const;
  Result<Digest> Hash(Job& job, int fd, bool& held);
  Result<> Record(const Job& job, const Digest& digest, const std::string& name, const Context& context);
};

namespace {

void Count(std::map<uid_t, unsigned>& of, uid_t uid, int by) {
  const auto at = of.try_emplace(uid, 0U).first;
  at->second += static_cast<unsigned>(by);
  if (at->second == 0) of.erase(at);
}

void AddWorker(const std::shared_ptr<MeasurePool::State>& state) ASSAY_REQUIRES(state->mutex) {
  ++state->workers;
  // The thread is detached, because a thread that hangs in a file system can't be joined. It holds a
  // reference to everything that it uses.
  Thread("assay-measure", [state] { state->Work(); }).Detach();
}

}  // namespace

void MeasurePool::State::Answer(Job& job, int error) {
  if (std::exchange(job.answered, true)) return;
  job.answer(job.done, error, job.verdicts);
}

// The first job of the user that occupies the fewest workers. No user has more than a half of them, and one
// is left for root: a job may take as long as the deadline, and the next one waits for it.
JobPtr MeasurePool::State::TakeWaiting() {
  unsigned of_users = 0;
  for (const auto& [uid, jobs] : running_of) of_users += uid != 0 ? jobs : 0;
  unsigned fewest = std::min(kMaxPerUser, std::max(workers / 2, 1U));
  auto next = waiting.end();
  for (auto at = waiting.begin(); at != waiting.end() && fewest > 0; ++at) {
    const uid_t uid = (*at)->caller.uid;
    if (uid != 0 && of_users + 1 >= workers) continue;
    const auto held = running_of.find(uid);
    const unsigned jobs = uid == 0 || held == running_of.end() ? 0 : held->second;
    if (jobs >= fewest) continue;
    fewest = jobs;
    next = at;
  }
  if (next == waiting.end()) return nullptr;
  JobPtr job = std::move(*next);
  waiting.erase(next);
  const uid_t uid = job->caller.uid;
  Count(waiting_of, uid, -1);
  Count(running_of, uid, +1);
  job->began = Clock::now();
  running.push_back(job);
  return job;
}

// Before each block this checks whether the caller still waits, and whether a writer waits. A waiting writer
// is let in, and the content then counts as modified.
Result<Digest> MeasurePool::State::Hash(Job& job, int fd, bool& held) {
  const auto look = [&]() -> Result<> {
    {
      const MutexLock lock(mutex);
      if (job.answered) return Fail(Late());
    }
    if (held && !StillHeld(fd)) {
      Release(fd);
      held = false;
    }
    return {};
  };
  return assay::HashFd(fd, kFileHash, {.before_block = look});
}

// The quota is taken before the record is made, so that many workers of one user can't exceed it. What is in
// the list needs none.
Result<> MeasurePool::State::Record(const Job& job, const Digest& digest, const std::string& name,
                                    const Context& context) {
  const uid_t uid = job.caller.uid;
  const Measurement content{digest, name, context};
  const bool there = recorder->Has(content);
  if (!there) {
    const MutexLock lock(mutex);
    if (!quota->Take(uid, Clock::now()))
      return Fail(
          StateError(NodeError::kQuota, "this user, or all users together, have used up their quota"));
  }
  const Result<Recorded> recorded = recorder->Record(content);
  const bool is_new = recorded && recorded->is_new;
  if (is_new == there) {
    const MutexLock lock(mutex);
    if (there)  // another request's content came to the path in between
      std::ignore = quota->Take(uid, Clock::now());
    else
      quota->GiveBack(uid);
  }
  ASSAY_TRY(recorded);
  return {};
}

// Makes one record for each user and period, however many requests were refused.
void MeasurePool::State::TellLimits(bool end) {
  const std::vector<LimitRecord> due = quota->Due(Clock::now(), end);
  if (due.empty()) return;
  ++recording;
  const std::chrono::milliseconds period = quota->options().period;
  mutex.Unlock();
  const Context context{.time_ms = NowMs(), .pid = getpid(), .uid = 0, .comm = "assayd", .hook = "limit"};
  for (const LimitRecord& limit : due) {
    const std::string text = EncodeLimit(limit, period);
    log::Warn("measure: the limit is exceeded: {}", text);
    if (const auto r = recorder->RecordBuffer("assay-limit", AsBytes(text), context); !r)
      log::Error("measure: {}", r.error().Message());
  }
  mutex.Lock();
  if (--recording == 0) quiet.NotifyAll();
}

Result<> MeasurePool::State::BeginRecording(const Job& job) {
  const MutexLock lock(mutex);
  if (stopping || job.answered) return Fail(Late());
  ++recording;
  return {};
}

void MeasurePool::State::EndRecording() {
  const MutexLock lock(mutex);
  if (--recording == 0) quiet.NotifyAll();
}

NodeVerdict MeasurePool::State::Judge(const Job& job, int fd, std::string_view path,
                                      const Digest* digest) const {
  if (!job.judged || !options.judge) return NodeVerdict::kUnjudged;
  return options.judge({.fd = fd, .path = path, .digest = digest, .tid = job.caller.tid});
}

// Its seals say that nothing changes it, so it needs no lease.
Result<NodeVerdict> MeasurePool::State::MeasureBuffer(Job& job, const MeasureRequest& request, int fd,
                                                      const Context& context) {
  ASSAY_ASSIGN(const std::string name, NameOfBuffer(job.caller, request.what));
  bool held = false;
  ASSAY_ASSIGN(const Digest digest, Hash(job, fd, held));
  ASSAY_TRY(BeginRecording(job));
  const Result<> recorded = Record(job, digest, name, context);
  EndRecording();
  ASSAY_TRY(recorded);
  return Judge(job, -1, name, &digest);
}

Result<NodeVerdict> MeasurePool::State::MeasureFile(Job& job, int fd, const Context& context) {
  ASSAY_ASSIGN(const std::string name, NameOfFd(fd));
  const FileState before = Hold(fd);
  bool held = before == FileState::kHeld;
  const Result<Digest> digest = Hash(job, fd, held);
  const bool written = before == FileState::kWriters || (before == FileState::kHeld && !held);
  const auto record = [&]() -> Result<> {
    ASSAY_TRY(digest);
    if (job.caller.uid != 0) {
      if (written) return Fail(OsError("measure", "the file is open for writing", ETXTBSY));
      return Record(job, *digest, ShownName(job.caller.uid, name), context);
    }
    if (written) ASSAY_TRY(recorder->RecordViolation(Violation::kOpenWriters, name, context));
    return Record(job, *digest, name, context);
  };
  Result<> done = BeginRecording(job);
  if (done) {
    done = record();
    EndRecording();
  }
  if (held) Release(fd);
  ASSAY_TRY(done);
  return Judge(job, fd, name, written ? nullptr : &*digest);
}

Result<NodeVerdict> MeasurePool::State::Measure(Job& job, const RequestLine& line) {
  ASSAY_ASSIGN(const MeasureRequest request, ParseMeasureRequest(line.text));
  const Context context = ContextOf(job.caller.tid, "measure");
  if (!request.hook.empty()) {
    if (job.caller.tid == 0)
      return Fail(StateError(NodeError::kNoRight, "the caller is in a PID namespace that is not visible"));
    if (options.announced) options.announced(context.pid, request.hook);
    return NodeVerdict::kUnjudged;
  }
  ASSAY_ASSIGN(const UniqueFd fd, OpenForCaller(request, job.caller, &job.device));
  if (!request.what.empty()) return MeasureBuffer(job, request, fd.get(), context);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return Fail(OsError("fstat", "", errno));
  if (st.st_dev == options.own_device)
    return Fail(StateError(FileError::kNotAFile, "the attester's own file"));
  return MeasureFile(job, fd.get(), context);
}

void MeasurePool::State::Work() {
  MutexLock lock(mutex);
  while (!stopping) {
    const JobPtr job = TakeWaiting();
    if (!job) {
      if (workers > kWorkers) break;  // the workers that hung have returned
      work.Wait(mutex);
      continue;
    }
    for (const RequestLine& line : job->lines) {
      if (job->answered) break;
      lock.Unlock();
      const Result<NodeVerdict> measured = Measure(*job, line);
      lock.Lock();
      if (!measured) {
        log::Debug("measure: {}: {}", line.text, measured.error().Message());
        Answer(*job, ToErrno(measured.error()));
        break;
      }
      if (job->judged) job->verdicts.append(NodeVerdictName(*measured)).append(1, '\n');
      ++job->done;
      ++finished;
    }
    Answer(*job, 0);
    std::erase(running, job);
    Count(running_of, job->caller.uid, -1);
  }
  --workers;
  quiet.NotifyAll();
}

// Answers jobs that have waited too long.
void MeasurePool::State::Tick() {
  const auto now = Clock::now();
  for (const JobPtr& job : running)
    if (now >= job->due) Answer(*job, ETIMEDOUT);
  while (!waiting.empty() && now >= waiting.front()->due) {
    Count(waiting_of, waiting.front()->caller.uid, -1);
    Answer(*waiting.front(), ETIMEDOUT);
    waiting.pop_front();
  }
}

std::set<dev_t> MeasurePool::State::Hanging() const {
  std::set<dev_t> devices;
  for (const JobPtr& job : running)
    if (job->device != 0 && Clock::now() - job->began > kHangs) devices.insert(job->device);
  return devices;
}

MeasurePool::MeasurePool(Recorder& recorder, const MeasurePoolOptions& options)
    : state_(std::make_shared<State>()) {
  state_->recorder = &recorder;
  state_->options = options;
  state_->quota.emplace(options.quota);
  const MutexLock lock(state_->mutex);
  for (unsigned i = 0; i < kWorkers; ++i) AddWorker(state_);
  Thread("assay-tick", [state = state_] {
    const MutexLock ticking(state->mutex);
    while (!state->stopping) {
      state->quiet.WaitFor(state->mutex, kTick,
                           [&]() ASSAY_REQUIRES(state->mutex) { return state->stopping; });
      state->Tick();
      state->TellLimits(false);
      std::set<dev_t> hanging = state->Hanging();
      state->mutex.Unlock();
      EndAtDeath(state.get(), std::move(hanging));
      state->mutex.Lock();
      const bool stuck = !state->waiting.empty() && state->finished == state->finished_at_tick;
      if (stuck && state->workers < kMaxWorkers && !state->stopping) AddWorker(state);
      state->finished_at_tick = state->finished;
    }
    state->ticking = false;
    state->quiet.NotifyAll();
  }).Detach();
}

MeasurePool::~MeasurePool() { Stop(); }

void MeasurePool::Submit(const Caller& caller, std::vector<RequestLine> lines, bool judged, Answer answer) {
  State& s = *state_;
  auto job = std::make_shared<Job>();
  job->caller = caller;
  job->lines = std::move(lines);
  job->judged = judged;
  job->answer = std::move(answer);
  job->due = Clock::now() + s.options.deadline;
  const MutexLock lock(s.mutex);
  if (s.stopping) return s.Answer(*job, ENODEV);
  const auto of = s.waiting_of.find(caller.uid);
  const std::size_t waiting = of == s.waiting_of.end() ? 0 : of->second;
  // What users have waiting keeps nothing of root's out.
  const bool full = caller.uid == 0 ? waiting >= kMaxWaiting
                                    : s.waiting.size() >= kMaxWaiting || waiting >= kMaxWaitingPerUser;
  if (full) return s.Answer(*job, EBUSY);
  s.waiting.push_back(std::move(job));
  Count(s.waiting_of, caller.uid, +1);
  s.work.NotifyOne();
}

void MeasurePool::Stop() {
  State& s = *state_;
  const MutexLock lock(s.mutex);
  if (s.stopping) return;
  s.stopping = true;
  for (const std::deque<JobPtr>* jobs : {&s.waiting, &s.running})
    for (const JobPtr& job : *jobs) s.Answer(*job, ENODEV);
  s.waiting.clear();
  s.work.NotifyAll();
  s.quiet.NotifyAll();
  s.TellLimits(true);
  while (s.recording != 0) s.quiet.Wait(s.mutex);
  const auto back = [&]() ASSAY_REQUIRES(s.mutex) {
    return s.quiet.WaitFor(s.mutex, kStopPatience,
                           [&]() ASSAY_REQUIRES(s.mutex) { return s.workers == 0 && !s.ticking; });
  };
  if (back()) return;
  // The last resort: tasks that wait for such a server get an error, and so do our workers.
  for (const JobPtr& job : s.running)
    if (AbortFuse(job->device)) log::Error("measure: a FUSE server did not answer; its connection is ended");
  if (back()) return;
  log::Warn("measure: {} threads hang in file systems and are abandoned", s.workers);
  CountLeftBehind(s.workers);
}

}  // namespace assay::measure
