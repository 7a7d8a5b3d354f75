// The fanotify engine. Permission events on mounts hold the task that opens a file; what was measured gets an
// inode mark with an ignore mask, which the kernel itself drops on the next modification, so that a clean
// file costs nothing.
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
#include <set>

#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "measure/engine/engine_handle.h"
#include "measure/engine/held_tasks.h"
#include "measure/engine/rules.h"
#include "measure/fanotify/fanotify_marks.h"
#include "measure/fanotify/fanotify_request.h"
#include "measure/system/file.h"
#include "measure/system/file_id.h"
#include "measure/system/mount_watch.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

constexpr std::size_t kEventBuffer = 64 << 10;
constexpr std::uint64_t kLarge = std::uint64_t{32} << 20;  // bytes: such files have workers of their own
constexpr std::size_t kMaxChanging = 4096;
constexpr unsigned kMostReaders = 128;                   // when the kernel's own opens hang
constexpr auto kDrain = std::chrono::seconds(2);         // at the end, for what is held already
constexpr auto kReadPatience = std::chrono::seconds(1);  // with opens of the kernel's that hang
constexpr auto kTellPatience = std::chrono::seconds(2);

bool IsUnder(const std::string& point, const std::string& root) {
  return root == "/" || point == root || point.starts_with(root + "/");
}

class Fanotify : public Engine, public std::enable_shared_from_this<Fanotify> {
 public:
  Fanotify(const FanotifyOptions& options, const RulesOptions& rules, HeldLimits limits, Recorder& recorder)
      : options_(options),
        limits_(std::move(limits)),
        recorder_(recorder),
        enforced_(rules.appraise == Appraise::kEnforce),
        notices_(std::make_shared<Notices>(rules.refused)),
        rules_(rules, notices_),
        tasks_({.engine = "fanotify", .limits = limits_}, recorder),
        readers_(tasks_.AddLane({.workers = 1, .most = kMostReaders})),
        changed_(tasks_.AddLane({.workers = 1})),
        closing_(tasks_.AddLane({.workers = 1})) {}
  ~Fanotify() override { Stop(); }
  Result<> Start();

  std::string Name() const override { return "fanotify"; }
  EngineStats Stats() const override;
  Result<> Health() const override;
  void Stop() override;

 private:
  using RequestPtr = std::shared_ptr<FanotifyRequest>;

  Result<> MarkMount(const std::string& point);
  void OnMount(const Mount& mount);
  void PushRead();
  void ReadEvents();
  void TakeEvents(ByteView events);
  RequestPtr MakeRequest(const fanotify_event_metadata& event) const;
  bool Exempt(pid_t tid) const;
  void Handle(const RequestPtr& request);
  void HandleFile(const RequestPtr& request);
  void HandleCode(const RequestPtr& request);
  void HandleData(const RequestPtr& request);
  void HandleChange(const RequestPtr& request);
  void LookForUse(const RequestPtr& request);
  void RecordChange(const FanotifyRequest& request);
  bool IsOwnOutput(const FanotifyRequest& request, FileState state) const;
  bool Measure(FanotifyRequest& request);  // false: must not be allowed
  bool Settle(FanotifyRequest& request, const Result<Digest>& digest, FileState state, bool writers);
  Result<Recorded> Record(const FanotifyRequest& request, const Result<Digest>& digest, bool writers,
                          const Context& context);
  bool MarkClean(const FanotifyRequest& request, bool lasting);
  void Look(FanotifyRequest& request, std::string path) const;
  void Answer(FanotifyRequest& request, bool allow);

  const FanotifyOptions options_;
  const HeldLimits limits_;
  Recorder& recorder_;
  const bool enforced_;  // appraise rules
  std::shared_ptr<Notices> notices_;
  Rules rules_;
  ServedFiles served_;
  UniqueFd group_, drain_event_;
  std::unique_ptr<MountWatch> watch_;

  mutable Mutex mutex_;
  std::set<FileId> changing_ ASSAY_GUARDED_BY(mutex_);  // in changed_
  std::string failure_ ASSAY_GUARDED_BY(mutex_);        // of a mark: reported by Health()
  bool stopped_ ASSAY_GUARDED_BY(mutex_) = false;

  HeldTasks tasks_;
  std::shared_ptr<Lane> readers_, changed_;
  std::shared_ptr<Lane> closing_;  // of files that are served
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
  drain_event_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!drain_event_) return Fail(OsError("eventfd", "", errno));
  PushRead();
  tasks_.Start({});
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
  {
    const MutexLock lock(mutex_);
    failure_ = "the mount " + m.point + " is not measured: " + r.error().Message();
  }
  log::Error("a new mount is not measured: {}", r.error().Message());
}

Result<> Fanotify::MarkMount(const std::string& point) {
  const unsigned kind = options_.filesystems ? FAN_MARK_FILESYSTEM : FAN_MARK_MOUNT;
  if (fanotify_mark(group_.get(), FAN_MARK_ADD | kind, kOpenEvents, AT_FDCWD, point.c_str()) != 0)
    return Fail(OsError("fanotify_mark", point, errno));
  return {};
}

bool Fanotify::Exempt(pid_t tid) const {
  if (syscall(SYS_tgkill, getpid(), tid, 0) == 0) return true;
  return std::any_of(limits_.exempt.begin(), limits_.exempt.end(),
                     [tid](pid_t pid) { return syscall(SYS_tgkill, pid, tid, 0) == 0; });
}

// The kernel opens the file of an event inside read(), which hangs where the file's server does not answer.
// So the next read waits in the lane while this one is done: where this one hangs, another thread takes it.
void Fanotify::PushRead() {
  readers_->Push(0, [self = shared_from_this()](bool dropped) {
    if (!dropped) self->ReadEvents();
  });
}

void Fanotify::ReadEvents() {
  alignas(fanotify_event_metadata) std::array<std::uint8_t, kEventBuffer> buffer;
  std::array<pollfd, 2> wait{pollfd{group_.get(), POLLIN, 0}, pollfd{drain_event_.get(), POLLIN, 0}};
  const int ready = poll(wait.data(), wait.size(), -1);
  // At the end, when there are no marks any more, what is there already is still taken.
  if (ready < 0 ? errno != EINTR : wait[0].revents == 0 && wait[1].revents != 0) return;
  PushRead();
  const ssize_t n = read(group_.get(), buffer.data(), buffer.size());
  if (n > 0) {
    TakeEvents(ByteView(buffer).first(static_cast<std::size_t>(n)));
  } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
    // The kernel has refused the open that it could not hand over.
    tasks_.Count([](EngineStats& stats) { ++stats.errors; });
    log::Error("fanotify: {}", OsError("read", "", errno).Message());
  }
}

// The last one to let go of a request must not wait for a server's answer to its close().
std::shared_ptr<FanotifyRequest> Fanotify::MakeRequest(const fanotify_event_metadata& event) const {
  return {new FanotifyRequest(group_.get(), UniqueFd(event.fd), event),
          [closing = closing_](FanotifyRequest* r) {
            if (!r->served) {
              delete r;
              return;
            }
            closing->Push(0, [r](bool dropped) {
              if (!dropped) delete r;  // else it stays open: better than to wait here
            });
          }};
}

void Fanotify::TakeEvents(ByteView events) {
  auto* event = reinterpret_cast<const fanotify_event_metadata*>(events.data());
  auto left = static_cast<long>(events.size());
  for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
    if (event->vers != FANOTIFY_METADATA_VERSION || event->fd < 0) continue;
    const RequestPtr request = MakeRequest(*event);
    // The event that keeps a data file's mark needs nothing.
    if ((event->mask & (kOpenEvents | kChangeEvents)) == 0) continue;
    if (request->held() && Exempt(event->pid)) {
      request->Allow();
      continue;
    }
    tasks_.Count([](EngineStats& stats) { ++stats.events; });
    if (request->held()) tasks_.Take(request);
    tasks_.Push(WorkKind::kQuick, 0, request,
                [self = shared_from_this(), request] { self->Handle(request); });
  }
}

void Fanotify::Answer(FanotifyRequest& request, bool allow) {
  if (!tasks_.Claim(request)) return;
  if (allow)
    request.Allow();
  else
    request.Refuse();
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
  request->must_be_known = enforced_ && rules_.policy().Appraises();
  request->served = served_.Has(request->file.get(), request->device, request->tid);
  if (!request->served) {
    HandleFile(request);
    return;
  }
  // Users take turns by the real one: the effective one is root's for a program that root made so.
  tasks_.PushServed(request->device, request->Who().uid.value_or(0), request,
                    [self = shared_from_this(), request] { self->HandleFile(request); });
}

void Fanotify::HandleFile(const RequestPtr& request) {
  Look(*request, NameOf(request->file.get()));
  request->must_be_known = enforced_ && request->use.ruling.appraise;
  if (!request->use.ruling.any()) {
    HandleData(request);
  } else if (request->size >= kLarge && !request->served) {
    tasks_.Push(WorkKind::kSlow, request->Who().uid.value_or(0), request,
                [self = shared_from_this(), request] { self->HandleCode(request); });
  } else {
    HandleCode(request);
  }
}

void Fanotify::HandleCode(const RequestPtr& request) { Answer(*request, Measure(*request)); }

// An open does not say what it is for: of what can be mapped or loaded, it is taken for that too.
void Fanotify::Look(FanotifyRequest& request, std::string path) const {
  const int fd = request.file.get();
  const bool exec = request.exec();
  const ElfKind elf = ElfKindOf(fd);
  std::vector<Hook> hooks;
  if (exec) {
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
  if (!exec && rules_.NeedsOpener()) opener.program = InterpreterOfTask(request.tid);
  Task task{.tid = request.tid};
  if (rules_.policy().DependsOnTask()) {
    const ThreadStatus& who = request.Who();
    task = {.tid = request.tid,
            .uid = who.uid,
            .euid = who.euid,
            .gid = who.gid,
            .egid = who.egid,
            .cgroup = who.cgroup};
  }
  request.use = rules_.Look(fd, std::move(path), task, std::move(hooks), elf, exec ? nullptr : &opener);
}

void Fanotify::HandleData(const RequestPtr& request) {
  const int fd = request->file.get();
  // Only while nobody writes to it: what a writer with a mapping makes of it would be seen by nobody.
  if (Hold(fd) == FileState::kHeld) {
    Look(*request, request->use.path);
    const bool became_code = request->use.ruling.any();
    // To be executed is another question, which this answer is not for.
    const bool lasting = !became_code && rules_.Lasting(request->use) && !request->exec();
    const Result<> marked = lasting ? IgnoreUntilModified(group_.get(), fd, false) : Result<>{};
    if (!marked || !StillHeld(fd)) Forget(group_.get(), fd);
    Release(fd);
    if (became_code) {
      HandleCode(request);
      return;
    }
  }
  Answer(*request, true);
  tasks_.Count([](EngineStats& stats) { ++stats.not_code; });
}

// Its own opener may be the writer, which sees nothing of what is there: a compiler's output, not a load.
bool Fanotify::IsOwnOutput(const FanotifyRequest& request, FileState state) const {
  if (state != FileState::kWriters || request.exec()) return false;
  const std::optional<int> how = OpenFlagsOf(request.tid);
  if (!how) return false;
  const int access = *how & O_ACCMODE;
  return access == O_WRONLY || (access == O_RDWR && ((*how & O_TRUNC) != 0 || request.size == 0));
}

bool Fanotify::Measure(FanotifyRequest& request) {
  const int fd = request.file.get();
  const FileState state = Hold(fd);
  if (IsOwnOutput(request, state)) {
    tasks_.Count([](EngineStats& stats) { ++stats.not_code; });
    return true;
  }
  // Where no lease tells of a writer, its writes do.
  if (state == FileState::kNoLeases) {
    if (const Result<> r = TellChanges(group_.get(), fd); !r) log::Debug("{}", r.error().Message());
  }
  std::uint64_t bytes = 0;
  const Result<Digest> digest = HashFd(fd, recorder_.options().list_bank, &bytes, &request.late);
  const bool writers = state == FileState::kWriters || (state == FileState::kHeld && !StillHeld(fd));
  tasks_.Count([bytes](EngineStats& stats) { stats.bytes_hashed += bytes; });
  bool allowed = true;
  // Given up: the violation `unanswered` says so.
  if ((digest || !request.late) && tasks_.uses().Enter()) {
    allowed = Settle(request, digest, state, writers);
    tasks_.uses().Leave();
  }
  if (state == FileState::kHeld) Release(fd);
  return allowed;
}

Result<Recorded> Fanotify::Record(const FanotifyRequest& request, const Result<Digest>& digest, bool writers,
                                  const Context& context) {
  const Use& use = request.use;
  if (!use.ruling.measure) return Recorded{};  // it was looked at for another reason
  if (!digest) return recorder_.RecordViolation(Violation::kUnmeasurable, use.path, context);
  if (writers) ASSAY_TRY(recorder_.RecordViolation(Violation::kOpenWriters, use.path, context));
  return recorder_.Record({*digest, use.path, context, use.ruling.cgroup});
}

// The file becomes clean if nobody can have altered it. False: a writer waits that came since.
bool Fanotify::MarkClean(const FanotifyRequest& request, bool lasting) {
  const int fd = request.file.get();
  const Result<> marked =
      lasting ? IgnoreUntilModified(group_.get(), fd, true) : TellChanges(group_.get(), fd);
  // A writer who came since has waited until now; one who comes later meets the mark.
  const bool broken = !StillHeld(fd);
  if (!marked || broken) AskAgain(group_.get(), fd);
  if (!marked) log::Warn("{}: {}", request.use.path, marked.error().Message());
  return !broken;
}

bool Fanotify::Settle(FanotifyRequest& request, const Result<Digest>& digest, FileState state, bool writers) {
  Use& use = request.use;
  const Context context = ContextOf(request.Who(), request.hook());
  const bool allowed = rules_.Settle(use, digest && !writers ? &*digest : nullptr, context);
  Result<Recorded> recorded = Record(request, digest, writers, context);
  if (recorded && digest && state == FileState::kHeld) {
    const bool whole = MarkClean(request, !writers && rules_.Lasting(use));
    if (!whole && !writers && use.ruling.measure) {
      writers = true;
      recorded = recorder_.RecordViolation(Violation::kOpenWriters, use.path, context);
    }
  }
  tasks_.Count([&](EngineStats& stats) {
    if (!recorded)
      ++stats.errors;
    else if (!use.ruling.measure)
      ++stats.not_code;
    else if (!digest || writers)
      ++stats.violations;
    else
      ++(recorded->is_new ? stats.measured : stats.clean);
  });
  if (use.ruling.measure && !digest) log::Warn("measuring {}: {}", use.path, digest.error().Message());
  if (recorded) return allowed;
  log::Error("{} is not recorded: {}", use.path, recorded.error().Message());
  return limits_.expiry == Expiry::kAllow && allowed;
}

// A measured file was written to. It is measured again at its next use; where it is in use right now, what
// runs is not what was measured.
void Fanotify::HandleChange(const RequestPtr& request) {
  Forget(group_.get(), request->file.get());
  const std::optional<FileId> id = IdOf(request->file.get());
  if (!id) return;
  request->served = served_.Has(request->file.get(), id->first, request->tid);
  tasks_.Progressed();
  {
    const MutexLock lock(mutex_);
    if (changing_.size() < kMaxChanging) {
      if (!changing_.insert(*id).second) return;
      changed_->Push(0, [self = shared_from_this(), request](bool dropped) {
        if (!dropped) self->LookForUse(request);
      });
      return;
    }
  }
  RecordChange(*request);  // not looked into: as if it were in use
}

// In a thread of its own: it reads all of /proc, and no task waits for it.
void Fanotify::LookForUse(const RequestPtr& request) {
  const std::optional<FileId> id = IdOf(request->file.get());
  if (!id) return;
  {
    const MutexLock lock(mutex_);
    changing_.erase(*id);
  }
  if (IsMappedExecutable(id->first, id->second)) RecordChange(*request);
}

void Fanotify::RecordChange(const FanotifyRequest& request) {
  if (!tasks_.uses().Enter()) return;
  const Result<std::string> path = NameOfFd(request.file.get());
  const auto recorded =
      recorder_.RecordViolation(Violation::kToMToU, path ? *path : "", ContextOf(request.Who(), "write"));
  tasks_.uses().Leave();
  tasks_.Count([](EngineStats& stats) { ++stats.violations; });
  if (!recorded) log::Error("{}", recorded.error().Message());
}

EngineStats Fanotify::Stats() const {
  EngineStats stats = tasks_.Stats();
  stats.refused = rules_.refused();
  stats.untold = notices_->Dropped();
  return stats;
}

Result<> Fanotify::Health() const {
  {
    const MutexLock lock(mutex_);
    if (!failure_.empty()) return Fail(StateError("engine.mount", failure_));
  }
  return tasks_.Health();
}

// Nothing new is held, what is held is measured for a while, then let go. A thread that hangs in a file
// system is given up at last.
void Fanotify::Stop() {
  {
    const MutexLock lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
  }
  watch_.reset();
  if (group_) {
    for (const unsigned kind : {0U, unsigned{FAN_MARK_MOUNT}, unsigned{FAN_MARK_FILESYSTEM}})
      static_cast<void>(fanotify_mark(group_.get(), FAN_MARK_FLUSH | kind, 0, AT_FDCWD, nullptr));
  }
  const std::uint64_t one = 1;
  if (drain_event_ && write(drain_event_.get(), &one, sizeof(one)) != sizeof(one))
    log::Error("{}", OsError("write", "eventfd", errno).Message());
  readers_->WaitIdle(kReadPatience);  // what the kernel holds already is in our hands then
  tasks_.LetGoOfAll(kDrain);
  notices_->Stop(kTellPatience);
  tasks_.StopLanes();
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

Result<std::unique_ptr<Engine>> StartFanotify(const FanotifyOptions& options, const RulesOptions& rules,
                                              const HeldLimits& limits, Recorder& recorder) {
  ASSAY_TRY(ProbeFanotify());
  auto engine = std::make_shared<Fanotify>(options, rules, limits, recorder);
  auto handle = std::make_unique<EngineHandle>(engine);
  ASSAY_TRY(engine->Start());
  return std::unique_ptr<Engine>(std::move(handle));
}

}  // namespace assay::measure
