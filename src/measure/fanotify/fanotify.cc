// The fanotify engine. Permission events on mounts hold whoever opens a file; what was measured gets an inode
// mark with an ignore mask, which the kernel itself drops on the next modification, so that a clean file
// costs nothing.
#include "measure/fanotify/fanotify.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include "base/fd.h"
#include "base/log.h"
#include "measure/engine/engine.h"
#include "measure/engine/engine_handle.h"
#include "measure/engine/lanes.h"
#include "measure/engine/late.h"
#include "measure/engine/rules.h"
#include "measure/fanotify/fanotify_marks.h"
#include "measure/system/file.h"
#include "measure/system/file_id.h"
#include "measure/system/mount_watch.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kEventBuffer = 64 << 10;
constexpr std::uint64_t kLarge = std::uint64_t{32} << 20;  // bytes: such files have workers of their own
constexpr std::size_t kMaxChanging = 4096;
constexpr auto kWatchdog = std::chrono::milliseconds(100);
constexpr auto kStalled = std::chrono::seconds(5);
constexpr auto kDrain = std::chrono::seconds(2);         // at the end, for what is held already
constexpr auto kStopPatience = std::chrono::seconds(1);  // with each lane's threads

// One held task, or a notice that a measured file was changed.
struct Request {
  UniqueFd file;
  dev_t device = 0;
  std::uint64_t size = 0;
  Use use;  // once a worker has looked at it
  pid_t tid = 0;
  std::uint64_t mask = 0;
  Clock::time_point since;
  bool answered = false;                   // under Fanotify::mutex_
  std::atomic<bool> late{false};           // its time is up: nobody waits for its digest any more
  std::atomic<bool> must_be_known{false};  // an appraise rule is enforced for it, or may be
  std::atomic<bool> served{true};          // closing it may take for ever; so it is until that is known

  bool held() const { return (mask & kOpenEvents) != 0; }
  const char* hook() const { return (mask & FAN_OPEN_EXEC_PERM) != 0 ? "exec" : "open"; }
};

bool IsUnder(const std::string& point, const std::string& root) {
  return root == "/" || point == root || point.starts_with(root + "/");
}

class Fanotify : public Engine, public std::enable_shared_from_this<Fanotify> {
 public:
  Fanotify(EngineOptions options, Recorder& recorder)
      : options_(std::move(options)),
        recorder_(recorder),
        rules_(options_),
        late_(recorder, options_.record_grace),
        small_({.workers = options_.workers}),
        large_({.workers = options_.workers}) {}
  ~Fanotify() override { Stop(); }
  Result<> Start();

  std::string Name() const override { return "fanotify"; }
  EngineStats Stats() const override;
  Result<> Health() const override;
  void Stop() override;

 private:
  using RequestPtr = std::shared_ptr<Request>;

  Result<> MarkMount(const std::string& point);
  void OnMount(const Mount& mount);
  void ReadLoop();
  void TakeEvents(ByteView events);
  RequestPtr MakeRequest(UniqueFd file) const;
  bool Exempt(pid_t tid) const;
  void Push(Lane& lane, uid_t uid, void (Fanotify::*handle)(const RequestPtr&), const RequestPtr& request);
  void PushSlow(void (Fanotify::*handle)(const RequestPtr&), const RequestPtr& request);
  void WatchLoop();
  bool Prune(std::vector<RequestPtr>* expired, std::chrono::milliseconds deadline);
  void Expire(std::chrono::milliseconds deadline);
  std::set<dev_t> DevicesOfHanging() const;
  void LetGo(const RequestPtr& request);
  void Handle(const RequestPtr& request);
  void HandleFile(const RequestPtr& request);
  void HandleCode(const RequestPtr& request);
  void HandleData(const RequestPtr& request);
  void HandleChange(const RequestPtr& request);
  void LookForUse(const RequestPtr& request);
  void RecordChange(const Request& request);
  bool Measure(Request& request);  // false: must not be allowed
  bool Settle(Request& request, const Result<Digest>& digest, FileState state, bool writers);
  void Look(Request& request, std::string path) const;
  void Answer(Request& request, bool allow);
  void Respond(int fd, bool allow);

  EngineOptions options_;
  Recorder& recorder_;
  Rules rules_;
  UseGate uses_;  // of the recorder, and of what options_ calls
  ServedFiles served_;
  LateAnswers late_;
  UniqueFd group_, stop_event_, drain_event_;
  std::unique_ptr<MountWatch> watch_;
  std::thread reader_, watchdog_;

  mutable std::mutex mutex_;
  std::set<FileId> changing_;                   // in changed_
  std::list<std::weak_ptr<Request>> held_;      // in order of arrival, for the deadline
  std::list<std::weak_ptr<Request>> given_up_;  // late ones; who is at work on one now may hang
  bool stopping_ = false, stopped_ = false;
  bool stalled_ = false;
  Clock::time_point progress_ = Clock::now();
  std::string failure_;  // of the reader or of a mark: reported by Health()
  EngineStats stats_;
  Lane small_, large_;
  Lane changed_{{.workers = 1}};
  std::shared_ptr<Lane> closing_ =
      std::make_shared<Lane>(LaneOptions{.workers = 1});  // of files that are served
};

Result<> Fanotify::Start() {
  // Each held task costs one descriptor.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
      log::Warn("{}", OsError("setrlimit", "NOFILE", errno).Message());
  }
  ASSAY_ASSIGN(group_, OpenGroup());
  stop_event_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  drain_event_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!stop_event_ || !drain_event_) return Fail(OsError("eventfd", "", errno));
  reader_ = std::thread([this] { ReadLoop(); });
  watchdog_ = std::thread([this] { WatchLoop(); });
  // The watch is there before the marks are: no mount falls in between.
  ASSAY_ASSIGN(watch_, MountWatch::Start([this](const Mount& m) { OnMount(m); }));
  ASSAY_ASSIGN(const Bytes info, ReadFile("/proc/thread-self/mountinfo", std::size_t{16} << 20));
  ASSAY_ASSIGN(const std::vector<Mount> mounts, ParseMountInfo(AsText(info)));
  for (const std::string& root : options_.mounts) {
    ASSAY_TRY(MarkMount(root));
    for (const Mount& m : mounts) {
      if (m.point == root || !IsUnder(m.point, root) || !HoldsFiles(m)) continue;
      // One that another mount hides can't be reached, and needs no mark.
      if (const Result<> r = MarkMount(m.point); !r) log::Warn("not marked: {}", r.error().Message());
    }
  }
  return {};
}

void Fanotify::OnMount(const Mount& m) {
  served_.Forget();
  const bool ours = std::any_of(options_.mounts.begin(), options_.mounts.end(),
                                [&](const std::string& root) { return IsUnder(m.point, root); });
  if (!ours) return;
  const Result<> r = MarkMount(m.point);
  if (r) return;
  log::Error("a new mount is not measured: {}", r.error().Message());
  const std::lock_guard lock(mutex_);
  failure_ = "the mount " + m.point + " is not measured: " + r.error().Message();
}

Result<> Fanotify::MarkMount(const std::string& point) {
  const unsigned kind = options_.filesystems ? FAN_MARK_FILESYSTEM : FAN_MARK_MOUNT;
  if (fanotify_mark(group_.get(), FAN_MARK_ADD | kind, kOpenEvents, AT_FDCWD, point.c_str()) != 0)
    return Fail(OsError("fanotify_mark", point, errno));
  return {};
}

bool Fanotify::Exempt(pid_t tid) const {
  if (syscall(SYS_tgkill, getpid(), tid, 0) == 0) return true;
  return std::any_of(options_.exempt.begin(), options_.exempt.end(),
                     [tid](pid_t pid) { return syscall(SYS_tgkill, pid, tid, 0) == 0; });
}

void Fanotify::ReadLoop() {
  alignas(fanotify_event_metadata) std::array<std::uint8_t, kEventBuffer> buffer;
  while (true) {
    std::array<pollfd, 2> wait{pollfd{group_.get(), POLLIN, 0}, pollfd{drain_event_.get(), POLLIN, 0}};
    if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) return;
    // At the end, when there are no marks any more, what is there already is still taken.
    if (wait[0].revents == 0 && wait[1].revents != 0) return;
    const ssize_t n = read(group_.get(), buffer.data(), buffer.size());
    if (n > 0) {
      TakeEvents(ByteView(buffer).first(static_cast<std::size_t>(n)));
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
      // The kernel has refused the open that it could not hand over.
      log::Error("fanotify: {}", OsError("read", "", errno).Message());
      const std::lock_guard lock(mutex_);
      ++stats_.errors;
    }
  }
}

// Whoever lets go of it last must not wait for a server's answer to its close().
std::shared_ptr<Request> Fanotify::MakeRequest(UniqueFd file) const {
  std::shared_ptr<Request> request(new Request, [closing = closing_](Request* r) {
    if (!r->served) {
      delete r;
      return;
    }
    closing->Push(0, [r](bool dropped) {
      if (!dropped) delete r;  // else it stays open: better than to wait here
    });
  });
  request->file = std::move(file);
  return request;
}

void Fanotify::TakeEvents(ByteView events) {
  auto* event = reinterpret_cast<const fanotify_event_metadata*>(events.data());
  auto left = static_cast<long>(events.size());
  const auto now = Clock::now();
  for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
    if (event->vers != FANOTIFY_METADATA_VERSION || event->fd < 0) continue;
    RequestPtr request = MakeRequest(UniqueFd(event->fd));
    if ((event->mask & (kOpenEvents | kChangeEvents)) == 0)
      continue;  // the event that keeps a data file's mark
    const bool held = (event->mask & kOpenEvents) != 0;
    if (held && Exempt(event->pid)) {
      Respond(request->file.get(), true);
      continue;
    }
    request->tid = event->pid;
    request->mask = event->mask;
    request->since = now;
    const std::lock_guard lock(mutex_);
    ++stats_.events;
    if (held_.empty()) progress_ = now;
    if (held) held_.push_back(request);
    Push(small_, 0, &Fanotify::Handle, request);
  }
}

void Fanotify::Respond(int fd, bool allow) {
  const fanotify_response response{.fd = fd,
                                   .response = allow ? std::uint32_t{FAN_ALLOW} : std::uint32_t{FAN_DENY}};
  // ENOENT: the task was killed while it waited.
  if (write(group_.get(), &response, sizeof(response)) < 0 && errno != ENOENT)
    log::Error("fanotify: {}", OsError("write", "response", errno).Message());
}

void Fanotify::Answer(Request& request, bool allow) {
  {
    const std::lock_guard lock(mutex_);
    progress_ = Clock::now();
    if (request.answered || (request.mask & kOpenEvents) == 0) return;
    request.answered = true;
  }
  Respond(request.file.get(), allow);
}

// Dropped: the engine stops, and whoever waited has an answer.
void Fanotify::Push(Lane& lane, uid_t uid, void (Fanotify::*handle)(const RequestPtr&),
                    const RequestPtr& request) {
  lane.Push(uid, [self = shared_from_this(), handle, request](bool dropped) {
    if (!dropped && !request->late) ((*self).*handle)(request);
  });
}

// By the real user: the effective one is root's for a program that root made so.
void Fanotify::PushSlow(void (Fanotify::*handle)(const RequestPtr&), const RequestPtr& request) {
  Push(large_, ContextOf(request->tid, "").uid, handle, request);
}

void Fanotify::Handle(const RequestPtr& request) {
  if (!request->held()) {
    HandleChange(request);
    return;
  }
  if (const std::optional<struct statx> st = StatOf(request->file.get())) {
    if (!S_ISREG(st->stx_mode)) {
      Answer(*request, true);
      return;
    }
    request->device = DeviceOf(*st);
    request->size = st->stx_size;
  }
  request->must_be_known = options_.appraise == Appraise::kEnforce && rules_.policy().Appraises();
  request->served = served_.Has(request->file.get(), request->device, request->tid);
  if (request->served)
    PushSlow(&Fanotify::HandleFile, request);
  else
    HandleFile(request);
}

void Fanotify::HandleFile(const RequestPtr& request) {
  Look(*request, NameOf(request->file.get()));
  request->must_be_known = options_.appraise == Appraise::kEnforce && request->use.ruling.appraise;
  if (!request->use.ruling.any()) {
    HandleData(request);
  } else if (request->size >= kLarge) {
    PushSlow(&Fanotify::HandleCode, request);
  } else {
    HandleCode(request);
  }
}

void Fanotify::HandleCode(const RequestPtr& request) { Answer(*request, Measure(*request)); }

// An open does not say what it is for: of what can be mapped or loaded, it is taken for that too.
void Fanotify::Look(Request& request, std::string path) const {
  const int fd = request.file.get();
  const ElfKind elf = ElfKindOf(fd);
  std::vector<Hook> hooks;
  if ((request.mask & FAN_OPEN_EXEC_PERM) != 0) {
    hooks = {{Func::kBprmCheck, kMayExec}, {Func::kMmapCheck, kMayExec}};
  } else {
    hooks = {{Func::kFileCheck, kMayRead}};
    switch (elf) {
      case ElfKind::kNone:
      case ElfKind::kObject:
        break;
      case ElfKind::kModule:
        hooks.push_back({Func::kModuleCheck, kMayRead});
        break;
      case ElfKind::kLoadable:
        hooks.push_back({Func::kMmapCheck, kMayExec});
        break;
    }
  }
  // The command line is not asked for: reading it can wait for the task's own memory, for ever.
  Opener opener{.marks_only = true, .path_holds = true};
  const bool exec = (request.mask & FAN_OPEN_EXEC_PERM) != 0;
  if (!exec && rules_.NeedsOpener()) opener.program = InterpreterOfTask(request.tid);
  request.use =
      rules_.Look(fd, std::move(path), request.tid, std::move(hooks), elf, exec ? nullptr : &opener);
}

void Fanotify::HandleData(const RequestPtr& request) {
  const int fd = request->file.get();
  // Only while nobody writes to it: what a writer with a mapping makes of it would be seen by nobody.
  if (Hold(fd) == FileState::kHeld) {
    Look(*request, request->use.path);
    const bool became_code = request->use.ruling.any();
    // To be executed is another question, which this answer is not for.
    const bool lasting =
        !became_code && rules_.Lasting(request->use) && (request->mask & FAN_OPEN_EXEC_PERM) == 0;
    const Result<> marked = lasting ? IgnoreUntilModified(group_.get(), fd, false) : Result<>{};
    if (!marked || !StillHeld(fd)) Forget(group_.get(), fd);
    Release(fd);
    if (became_code) {
      HandleCode(request);
      return;
    }
  }
  Answer(*request, true);
  const std::lock_guard lock(mutex_);
  ++stats_.not_code;
}

bool Fanotify::Measure(Request& request) {
  const int fd = request.file.get();
  const bool exec = (request.mask & FAN_OPEN_EXEC_PERM) != 0;
  const FileState state = Hold(fd);
  // Its own opener may be the writer, who sees nothing of what is there: a compiler's output, not a load.
  const std::optional<int> how =
      state == FileState::kWriters && !exec ? OpenFlagsOf(request.tid) : std::nullopt;
  const bool both = how && (*how & O_ACCMODE) == O_RDWR;
  if (how && ((*how & O_ACCMODE) == O_WRONLY || (both && ((*how & O_TRUNC) != 0 || request.size == 0)))) {
    const std::lock_guard lock(mutex_);
    ++stats_.not_code;
    return true;
  }
  // Where no lease tells of a writer, its writes do.
  if (state == FileState::kNoLeases) {
    if (const Result<> r = TellChanges(group_.get(), fd); !r) log::Debug("{}", r.error().Message());
  }
  std::uint64_t bytes = 0;
  const Result<Digest> digest = HashFd(fd, recorder_.options().list_bank, &bytes, &request.late);
  const bool writers = state == FileState::kWriters || (state == FileState::kHeld && !StillHeld(fd));
  {
    const std::lock_guard lock(mutex_);
    stats_.bytes_hashed += bytes;
  }
  bool allowed = true;
  // Given up: that it is unanswered is said elsewhere.
  if ((digest || !request.late) && uses_.Enter()) {
    allowed = Settle(request, digest, state, writers);
    uses_.Leave();
  }
  if (state == FileState::kHeld) Release(fd);
  return allowed;
}

// What was found is recorded, and the file becomes clean if nobody can have altered it.
bool Fanotify::Settle(Request& request, const Result<Digest>& digest, FileState state, bool writers) {
  Use& use = request.use;
  const std::string& path = use.path;
  const int fd = request.file.get();
  const Context context = ContextOf(request.tid, request.hook());
  const bool allowed = rules_.Settle(use, digest && !writers ? &*digest : nullptr, context);
  Result<Recorded> recorded = Recorded{};
  const auto record_writers = [&] {
    recorded = recorder_.RecordViolation(Violation::kOpenWriters, path, context);
  };
  if (!use.ruling.measure) {
    // Looked at for another reason.
  } else if (!digest) {
    log::Warn("measuring {}: {}", path, digest.error().Message());
    recorded = recorder_.RecordViolation(Violation::kUnmeasurable, path, context);
  } else {
    if (writers) record_writers();
    if (recorded) recorded = recorder_.Record({*digest, path, context, use.ruling.record, use.facts.known});
  }
  if (recorded && digest && state == FileState::kHeld) {
    const bool lasting = !writers && rules_.Lasting(use);
    const Result<> marked =
        lasting ? IgnoreUntilModified(group_.get(), fd, true) : TellChanges(group_.get(), fd);
    if (!marked) log::Warn("{}: {}", path, marked.error().Message());
    // A writer who came since has waited until now; one who comes later meets the mark.
    const bool broken = !StillHeld(fd);
    if (!marked || broken) AskAgain(group_.get(), fd);
    if (broken && !writers && use.ruling.measure) {
      writers = true;
      record_writers();
    }
  }
  {
    const std::lock_guard lock(mutex_);
    if (!recorded)
      ++stats_.errors;
    else if (!use.ruling.measure)
      ++stats_.not_code;
    else if (!digest || writers)
      ++stats_.violations;
    else
      ++(recorded->is_new ? stats_.measured : stats_.clean);
  }
  if (recorded) return allowed;
  log::Error("{} is not recorded: {}", path, recorded.error().Message());
  return options_.expiry == Expiry::kAllow && allowed;
}

// A measured file was written to. It is measured again at its next use; where it is in use right now, what
// runs is not what was measured.
void Fanotify::HandleChange(const RequestPtr& request) {
  Forget(group_.get(), request->file.get());
  const std::optional<FileId> id = IdOf(request->file.get());
  if (!id) return;
  request->served = served_.Has(request->file.get(), id->first, request->tid);
  bool full = false;
  {
    const std::lock_guard lock(mutex_);
    progress_ = Clock::now();
    full = changing_.size() >= kMaxChanging;
    if (!full && changing_.insert(*id).second) Push(changed_, 0, &Fanotify::LookForUse, request);
  }
  if (full) RecordChange(*request);  // not looked into: as if it were in use
}

// In a thread of its own: it reads all of /proc, and nobody waits for it.
void Fanotify::LookForUse(const RequestPtr& request) {
  const std::optional<FileId> id = IdOf(request->file.get());
  if (!id) return;
  {
    const std::lock_guard lock(mutex_);
    changing_.erase(*id);
  }
  if (IsMappedExecutable(id->first, id->second)) RecordChange(*request);
}

void Fanotify::RecordChange(const Request& request) {
  if (!uses_.Enter()) return;
  const Result<std::string> path = NameOfFd(request.file.get());
  const auto recorded =
      recorder_.RecordViolation(Violation::kToMToU, path ? *path : "", ContextOf(request.tid, "write"));
  uses_.Leave();
  if (!recorded) log::Error("{}", recorded.error().Message());
  const std::lock_guard lock(mutex_);
  ++stats_.violations;
}

// Takes out those that have an answer, and those that waited for longer than `deadline`. False: none is left.
bool Fanotify::Prune(std::vector<RequestPtr>* expired, std::chrono::milliseconds deadline) {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  held_.remove_if([&](const std::weak_ptr<Request>& weak) {
    const RequestPtr request = weak.lock();
    if (!request || request->answered) return true;
    if (expired == nullptr || now - request->since < deadline) return false;
    request->answered = true;
    request->late = true;
    ++stats_.expired;
    given_up_.push_back(request);
    expired->push_back(request);
    return true;
  });
  given_up_.remove_if([](const std::weak_ptr<Request>& weak) { return weak.expired(); });
  return !held_.empty();
}

std::set<dev_t> Fanotify::DevicesOfHanging() const {
  std::set<dev_t> devices;
  const std::lock_guard lock(mutex_);
  for (const std::weak_ptr<Request>& weak : given_up_)
    if (const RequestPtr request = weak.lock()) devices.insert(request->device);
  return devices;
}

// Its hash ends at the next block. Allowed only after the list says that it was not measured.
void Fanotify::LetGo(const RequestPtr& request) {
  const int fd = request->file.get();
  const std::optional<struct statx> st = StatOf(fd);
  if (st && !S_ISREG(st->stx_mode)) {
    Respond(fd, true);
    return;
  }
  std::string path = NameOf(fd);
  if (options_.expiry == Expiry::kRefuse || request->must_be_known) {
    Respond(fd, false);
    log::Error("fanotify: refused, since it could not be measured in time: {}", path);
    return;
  }
  log::Error("fanotify: not measured in time: {}", path);
  late_.Push({.path = std::move(path),
              .context = [request] { return ContextOf(request->tid, request->hook()); },
              .answer = [this, request] { Respond(request->file.get(), true); }});
}

void Fanotify::Expire(std::chrono::milliseconds deadline) {
  std::vector<RequestPtr> late;
  const bool waiting = Prune(&late, deadline);
  {
    const std::lock_guard lock(mutex_);
    const bool stalled = waiting && Clock::now() - progress_ > kStalled;
    if (stalled && !stalled_) ++stats_.stalls;
    stalled_ = stalled;
  }
  for (const RequestPtr& request : late) LetGo(request);
}

void Fanotify::WatchLoop() {
  while (true) {
    pollfd wait{stop_event_.get(), POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(kWatchdog.count())) > 0) return;
    Expire(options_.deadline);
    late_.Tick();
    for (Lane* lane : {&small_, &large_, &changed_, closing_.get()}) lane->Tick();
  }
}

EngineStats Fanotify::Stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.refused = rules_.refused();
  stats.queue_depth = small_.Waiting() + large_.Waiting() + changed_.Waiting();
  stats.unrecorded = late_.Unrecorded();
  return stats;
}

Result<> Fanotify::Health() const {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) return Fail(StateError("engine.mount", failure_));
  if (stopping_) return Fail(StateError("engine.stopped", "the engine is stopped"));
  if (stalled_) return Fail(StateError("engine.stalled", "no held task was answered for some seconds"));
  return HealthOf(late_);
}

// Nothing new is held, what is held is measured for a while, then let go. A thread that hangs in a file
// system is given up at last.
void Fanotify::Stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    stopping_ = true;
  }
  watch_.reset();
  if (group_) {
    for (const unsigned kind : {0U, unsigned{FAN_MARK_MOUNT}, unsigned{FAN_MARK_FILESYSTEM}})
      static_cast<void>(fanotify_mark(group_.get(), FAN_MARK_FLUSH | kind, 0, AT_FDCWD, nullptr));
  }
  const auto signal = [](const UniqueFd& event) {
    const std::uint64_t one = 1;
    if (event && write(event.get(), &one, sizeof(one)) != sizeof(one))
      log::Error("{}", OsError("write", "eventfd", errno).Message());
  };
  signal(drain_event_);
  if (reader_.joinable()) reader_.join();
  const auto until = Clock::now() + kDrain;
  while (Prune(nullptr, {}) && Clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  signal(stop_event_);
  if (watchdog_.joinable()) watchdog_.join();
  std::vector<RequestPtr> left;
  Prune(&left, std::chrono::milliseconds(0));
  for (const RequestPtr& request : left) LetGo(request);
  left.clear();
  late_.Stop();
  uses_.Close();
  const auto unblock = [this] {
    for (const dev_t device : DevicesOfHanging()) {
      if (const Result<> r = AbortFuse(device); r)
        log::Error("a file system's server did not answer: its connection is ended, so that we can end");
      else
        log::Error("a file system does not answer: {}", r.error().Message());
    }
  };
  for (Lane* lane : {&small_, &large_, &changed_, closing_.get()}) {
    if (!lane->Stop(kStopPatience, unblock))
      log::Error("fanotify: threads hang in file systems and are left behind");
  }
  group_.Reset();  // the kernel allows what is still waiting
}

}  // namespace

Result<> ProbeFanotify() {
  Result<UniqueFd> group = OpenGroup();
  if (!group)
    return Fail(StateError("engine.fanotify-permission",
                           "fanotify permission events can't be had: " + group.error().Message()));
  char name[] = "/tmp/assay-probe.XXXXXX";
  const UniqueFd file(mkostemp(name, O_CLOEXEC));
  if (!file) return Fail(OsError("mkostemp", name, errno));
  unlink(name);
  if (const Result<> r = IgnoreUntilModified(group->get(), file.get(), true); !r)
    return Fail(
        StateError("engine.fanotify-evictable", "evictable marks need Linux 5.19: " + r.error().Message()));
  return {};
}

Result<std::unique_ptr<Engine>> StartFanotify(const EngineOptions& options, Recorder& recorder) {
  ASSAY_TRY(ProbeFanotify());
  auto engine = std::make_shared<Fanotify>(options, recorder);
  auto handle = std::make_unique<EngineHandle>(engine);
  ASSAY_TRY(engine->Start());
  return std::unique_ptr<Engine>(std::move(handle));
}

}  // namespace assay::measure
