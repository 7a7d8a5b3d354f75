#include "measure/fanotify/fanotify_group.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "measure/engine/errors.h"
#include "measure/fanotify/fanotify_marks.h"
#include "measure/system/byte_code.h"
#include "measure/system/task_names.h"

namespace assay::measure {
namespace {

constexpr std::size_t kEventBuffer = 64 << 10;
constexpr std::uint64_t kLarge = std::uint64_t{32} << 20;  // bytes; larger files have workers of their own
constexpr std::size_t kMaxChanges = 4096;
constexpr unsigned kMostReaders = 128;  // when the kernel's own opens hang
constexpr auto kStalled = std::chrono::seconds(5);
constexpr auto kReadPatience = std::chrono::seconds(1);  // at the stop, for opens of the kernel's that hang
constexpr auto kTellPatience = std::chrono::seconds(2);

// Whether the process's program lies at the path. Only the kernel's memory is asked.
bool Executes(pid_t process, const std::string& path) {
  const std::string program = ProgramOfTask(process);
  return !program.empty() && program == path;
}

}  // namespace

FanotifyGroup::FanotifyGroup(MeasurementSink& sink, const RulesOptions& rules, HeldLimits limits,
                             const FanotifyGroupOptions& options)
    : options_(options),
      limits_(std::move(limits)),
      exempt_(limits_.exempt),
      sink_(sink),
      enforced_(rules.appraise == Appraise::kEnforce),
      notices_(std::make_shared<Notices>(rules.refused)),
      rules_(rules, notices_),
      tasks_({.engine = "fanotify", .limits = limits_}, sink),
      readers_(tasks_.AddLane({.workers = 1, .most = kMostReaders, .name = "assay-read"})),
      changed_(tasks_.AddLane({.workers = 1, .name = "assay-changed"})),
      closing_(tasks_.AddLane({.workers = 1, .name = "assay-close"})) {}

Result<> FanotifyGroup::Start() {
  // Each held task costs one descriptor.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
      log::Warn("{}", OsError("setrlimit", "NOFILE", errno).Message());
  }
  ASSAY_ASSIGN(group_, OpenGroup());
  ASSAY_ASSIGN(drain_event_, EventFd::Make());
  PushRead();
  tasks_.Start({});
  return {};
}

Result<> FanotifyGroup::Mark(const std::string& point) {
  const unsigned kind = options_.filesystems ? FAN_MARK_FILESYSTEM : FAN_MARK_MOUNT;
  if (fanotify_mark(group_.get(), FAN_MARK_ADD | kind, kOpenEvents, AT_FDCWD, point.c_str()) != 0)
    return Fail(OsError("fanotify_mark", point, errno));
  return {};
}

void FanotifyGroup::SetHelpers(const std::set<pid_t>& pids) {
  ExemptProcesses helpers(pids);
  const MutexLock lock(mutex_);
  helpers_ = std::move(helpers);
}

bool FanotifyGroup::Exempt(pid_t tid) const {
  if (syscall(SYS_tgkill, getpid(), tid, 0) == 0) return true;
  if (exempt_.Has(tid)) return true;
  const MutexLock lock(mutex_);
  return helpers_.Has(tid);
}

// The kernel opens the file of an event inside read(), which hangs if the file's server does not answer. So
// the next read is put into the lane before this one begins: if this one hangs, another thread does the next.
void FanotifyGroup::PushRead() {
  readers_->Push(0, [self = shared_from_this()](bool dropped) {
    if (!dropped) self->ReadEvents();
  });
}

void FanotifyGroup::ReadEvents() {
  alignas(fanotify_event_metadata) std::array<std::uint8_t, kEventBuffer> buffer;
  std::array<pollfd, 2> wait{pollfd{group_.get(), POLLIN, 0}, pollfd{drain_event_.get(), POLLIN, 0}};
  const int ready = poll(wait.data(), wait.size(), -1);
  // At the stop, when the marks are removed, the events that are already queued are still taken.
  if (ready < 0 ? errno != EINTR : wait[0].revents == 0 && wait[1].revents != 0) return;
  PushRead();
  CountReading(+1);
  const ssize_t n = read(group_.get(), buffer.data(), buffer.size());
  const int error = errno;
  CountReading(-1);
  if (n > 0) {
    TakeEvents(ByteView(buffer).first(static_cast<std::size_t>(n)));
  } else if (n < 0 && error != EAGAIN && error != EINTR) {
    // The kernel has refused the open whose event it could not deliver.
    tasks_.Count([](EngineStats& stats) { ++stats.errors; });
    log::Error("fanotify: {}", OsError("read", "", error).Message());
  }
}

void FanotifyGroup::CountReading(int by) {
  const MutexLock lock(mutex_);
  if (reading_ == 0) reading_since_ = std::chrono::steady_clock::now();
  reading_ += static_cast<unsigned>(by);
}

// The thread that releases a request last must not wait for the file server's answer to close().
std::shared_ptr<FanotifyRequest> FanotifyGroup::MakeRequest(const fanotify_event_metadata& event) const {
  return {new FanotifyRequest(group_.get(), UniqueFd(event.fd), event),
          [closing = closing_](FanotifyRequest* r) {
            if (!r->served) {
              delete r;
              return;
            }
            closing->Push(0, [r](bool dropped) {
              if (!dropped) delete r;  // else the file stays open, since closing it here could hang
            });
          }};
}

void FanotifyGroup::TakeEvents(ByteView events) {
  auto* event = reinterpret_cast<const fanotify_event_metadata*>(events.data());
  auto left = static_cast<long>(events.size());
  for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
    if (event->vers != FANOTIFY_METADATA_VERSION || event->fd < 0) continue;
    const RequestPtr request = MakeRequest(*event);
    // This event is only in the mask to keep a data file's mark alive, and needs no answer.
    if ((event->mask & (kOpenEvents | kChangeEvents)) == 0) continue;
    if (request->held() && Exempt(event->pid)) {
      request->Allow();
      continue;
    }
    tasks_.Count([](EngineStats& stats) { ++stats.events; });
    NoteOrder(*request);
    if (request->held()) tasks_.Take(request);
    tasks_.Push(WorkKind::kQuick, 0, request,
                [self = shared_from_this(), request] { self->Handle(request); });
  }
}

// The workers handle events in any order. Whether a task executes a file after it was written to can be told
// only here, where the events are in the kernel's order.
void FanotifyGroup::NoteOrder(FanotifyRequest& request) {
  const bool write = !request.held();
  if (!write && !request.exec()) return;
  const MutexLock lock(mutex_);
  if (!write && changes_.empty()) return;
  const std::optional<FileId> file = IdOf(request.file.get());
  if (!file) return;
  auto at = changes_.find(*file);
  if (write && at == changes_.end()) {
    request.counts_as_use = changes_.size() >= kMaxChanges;
    if (request.counts_as_use) return;
    at = changes_.try_emplace(*file).first;
  }
  if (write) {
    ++at->second.writes;
    at->second.executing.clear();
  } else if (at != changes_.end()) {
    at->second.executing.insert(request.tid);
  }
}

void FanotifyGroup::Answer(FanotifyRequest& request, bool allow) {
  if (!tasks_.Claim(request)) return;
  if (allow)
    request.Allow();
  else
    request.Refuse();
}

void FanotifyGroup::Handle(const RequestPtr& request) {
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
  // Users take turns by their real user id, because the effective one of a set-user-id program is root's.
  tasks_.PushServed(request->device, request->Who().uid.value_or(0), request,
                    [self = shared_from_this(), request] { self->HandleFile(request); });
}

void FanotifyGroup::HandleFile(const RequestPtr& request) {
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

void FanotifyGroup::HandleCode(const RequestPtr& request) { Answer(*request, Measure(*request)); }

// An open does not say what it is for. So an open of a file that can be mapped or loaded is judged as a
// mapping or a load too.
void FanotifyGroup::Look(FanotifyRequest& request, std::string path) const {
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
  // The command line is not read: reading it can wait for ever for the task's own memory.
  Opener opener{.marks_only = true, .path_holds = true};
  if (!exec && rules_.NeedsOpener()) opener.SetProgram(ProgramOfTask(request.tid));
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

void FanotifyGroup::HandleData(const RequestPtr& request) {
  const int fd = request->file.get();
  // The mark is set only while the file has no writer, because a write through a mapping causes no event.
  if (Hold(fd) == FileState::kHeld) {
    Look(*request, request->use.path);
    const bool became_code = request->use.ruling.any();
    // The answer to an execution is not remembered, because the mark is only about opens for reading.
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

// Whether the opener is itself the writer and can't read what the file held before, as a compiler that writes
// its output. This is no load.
bool FanotifyGroup::IsOwnOutput(const FanotifyRequest& request, FileState state) const {
  if (state != FileState::kWriters || request.exec()) return false;
  const std::optional<int> how = OpenFlagsOf(request.tid);
  if (!how) return false;
  const int access = *how & O_ACCMODE;
  return access == O_WRONLY || (access == O_RDWR && ((*how & O_TRUNC) != 0 || request.size == 0));
}

bool FanotifyGroup::Measure(FanotifyRequest& request) {
  const int fd = request.file.get();
  const FileState state = Hold(fd);
  if (IsOwnOutput(request, state)) {
    tasks_.Count([](EngineStats& stats) { ++stats.not_code; });
    return true;
  }
  // Without a lease a writer is only noticed by the events of its writes.
  if (state == FileState::kNoLeases) {
    if (const Result<> r = TellChanges(group_.get(), fd); !r) log::Debug("{}", r.error().Message());
  }
  std::uint64_t bytes = 0;
  const Result<Digest> digest = HashFd(fd, sink_.Bank(), &bytes, &request.late);
  if (digest) request.code = CodeDigestOfFd(fd, request.use.path, *digest);
  const bool writers = state == FileState::kWriters || (state == FileState::kHeld && !StillHeld(fd));
  tasks_.Count([bytes](EngineStats& stats) { stats.bytes_hashed += bytes; });
  bool allowed = true;
  // If the hash was given up, the violation `unanswered` says so.
  if ((digest || !request.late) && tasks_.uses().Enter()) {
    allowed = Settle(request, digest, state, writers);
    tasks_.uses().Leave();
  }
  if (state == FileState::kHeld) Release(fd);
  return allowed;
}

Result<Recorded> FanotifyGroup::Record(const FanotifyRequest& request, const Result<Digest>& digest,
                                       bool writers, const Context& context) {
  const Use& use = request.use;
  if (!use.ruling.measure) return Recorded{};  // only an appraise or audit rule wanted the file
  if (!digest) return sink_.RecordViolation(Violation::kUnmeasurable, use.Name(), context);
  if (writers) ASSAY_TRY(sink_.RecordViolation(Violation::kOpenWriters, use.Name(), context));
  return sink_.Record({*digest, use.Name(), context, use.ruling.record, use.facts.known, request.code});
}

// Marks the file as clean if no task can have altered it. False: a writer has come since the lease was taken,
// and waits.
bool FanotifyGroup::MarkClean(const FanotifyRequest& request, bool lasting) {
  const int fd = request.file.get();
  const Result<> marked =
      lasting ? IgnoreUntilModified(group_.get(), fd, true) : TellChanges(group_.get(), fd);
  // A writer that came before the mark waits for the lease; the writes of one that comes later drop the mark.
  const bool broken = !StillHeld(fd);
  if (!marked || broken) AskAgain(group_.get(), fd);
  if (!marked) log::Warn("{}: {}", request.use.path, marked.error().Message());
  return !broken;
}

bool FanotifyGroup::Settle(FanotifyRequest& request, const Result<Digest>& digest, FileState state,
                           bool writers) {
  Use& use = request.use;
  Context context = ContextOf(request.Who(), request.hook());
  NameTask(request.tid, context);  // not its script: reading a command line may wait for ever
  const bool allowed = rules_.Settle(use, digest && !writers ? &*digest : nullptr, context);
  Result<Recorded> recorded = Record(request, digest, writers, context);
  if (recorded && digest && state == FileState::kHeld) {
    const bool whole = MarkClean(request, !writers && rules_.Lasting(use));
    if (!whole && !writers && use.ruling.measure) {
      writers = true;
      recorded = sink_.RecordViolation(Violation::kOpenWriters, use.Name(), context);
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

// A measured file was written to. It is measured again at its next use. If it is in use right now, the code
// that runs is not what was measured.
void FanotifyGroup::HandleChange(const RequestPtr& request) {
  Forget(group_.get(), request->file.get());
  const std::optional<FileId> file = IdOf(request->file.get());
  if (!file) return;
  request->served = served_.Has(request->file.get(), file->first, request->tid);
  tasks_.Progressed();
  if (request->counts_as_use) {
    RecordChange(*request);
    return;
  }
  const MutexLock lock(mutex_);
  const auto at = changes_.find(*file);  // if it is gone, this write was looked for with an earlier one
  if (at != changes_.end() && !std::exchange(at->second.looked_for, true)) PushLook(request, *file);
}

void FanotifyGroup::PushLook(const RequestPtr& request, FileId file) {
  changed_->Push(0, [self = shared_from_this(), request, file](bool dropped) {
    if (!dropped) self->LookForUse(request, file);
  });
}

// Runs in a thread of its own, because it reads all of /proc. No task waits for it. A task that executes
// the file's new content may be at work by now. It is no user of the old content.
void FanotifyGroup::LookForUse(const RequestPtr& request, FileId file) {
  std::uint64_t writes = 0;
  {
    const MutexLock lock(mutex_);
    writes = changes_[file].writes;
  }
  const std::set<pid_t> users = ExecutableMappersOf(file);
  const std::string path = NameOf(request->file.get());
  {
    const MutexLock lock(mutex_);
    const Change& change = changes_[file];
    // A task whose execution failed still runs its former program.
    const bool in_use = std::any_of(users.begin(), users.end(), [&](pid_t user) {
      return !change.executing.contains(user) || !Executes(user, path);
    });
    if (!in_use && change.writes != writes) {
      PushLook(request, file);  // it was written to again meanwhile
      return;
    }
    changes_.erase(file);
    if (!in_use) return;
  }
  RecordChange(*request);
}

void FanotifyGroup::RecordChange(const FanotifyRequest& request) {
  if (!tasks_.uses().Enter()) return;
  const Result<std::string> path = NameOfFd(request.file.get());
  const auto recorded =
      sink_.RecordViolation(Violation::kToMToU, path ? *path : "", ContextOf(request.Who(), "write"));
  tasks_.uses().Leave();
  tasks_.Count([](EngineStats& stats) { ++stats.violations; });
  if (!recorded) log::Error("{}", recorded.error().Message());
}

EngineStats FanotifyGroup::Stats() const {
  EngineStats stats = tasks_.Stats();
  stats.refused = rules_.refused();
  stats.untold = notices_->Dropped();
  const MutexLock lock(mutex_);
  stats.hanging = reading_;
  return stats;
}

Result<> FanotifyGroup::Health() const {
  {
    const MutexLock lock(mutex_);
    if (reading_ > 0 && std::chrono::steady_clock::now() - reading_since_ > kStalled)
      return Fail(StateError(EngineError::kStalled,
                             "the kernel's opens hang in a file system: " + std::to_string(reading_)));
  }
  return tasks_.Health();
}

// From here on no new task is held. The tasks that are held are still measured for a while, and then they are
// let go. A thread that then hangs in a file system is left behind.
void FanotifyGroup::StopAfter(std::chrono::milliseconds drain, bool close) {
  {
    const MutexLock lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
  }
  if (group_) {
    for (const unsigned kind : {0U, unsigned{FAN_MARK_MOUNT}, unsigned{FAN_MARK_FILESYSTEM}})
      static_cast<void>(fanotify_mark(group_.get(), FAN_MARK_FLUSH | kind, 0, AT_FDCWD, nullptr));
  }
  drain_event_.Signal();
  // When the readers are idle, all tasks that the kernel held are known here. The exception are tasks whose
  // file the kernel is still opening: nothing is known of them, and only the end of the server's connection
  // frees them.
  if (!readers_->WaitIdle(kReadPatience) && options_.served_device != 0) {
    if (const Result<> r = AbortFuse(options_.served_device); r)
      log::Error("fanotify: a file system's server does not answer: its connection is ended");
    else
      log::Error("fanotify: a file system does not answer: {}", r.error().Message());
    readers_->WaitIdle(kReadPatience);
  }
  tasks_.LetGoOfAll(drain);
  notices_->Stop(kTellPatience);
  tasks_.StopLanes();
  if (close) group_.Reset();  // the kernel allows what is still waiting
}

}  // namespace assay::measure
