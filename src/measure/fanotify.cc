// The fanotify engine. Permission events on mounts hold whoever opens a file; what was measured gets an inode
// mark with an ignore mask, which the kernel itself drops on the next modification, so that a clean file
// costs nothing.
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
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include "base/fd.h"
#include "base/log.h"
#include "measure/engine.h"
#include "measure/file.h"
#include "measure/mount_watch.h"
#include "measure/rules.h"

#ifndef FAN_MARK_EVICTABLE  // Linux 5.19, newer than Debian 12's C library
#define FAN_MARK_EVICTABLE 0x00000200
#endif

namespace assay::measure {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t kOpenEvents = FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM;
constexpr std::uint64_t kChangeEvents = FAN_MODIFY | FAN_CLOSE_WRITE;
constexpr std::size_t kEventBuffer = 64 << 10;
constexpr off_t kLarge = off_t{32} << 20;  // bytes: such files have workers of their own
constexpr std::size_t kMaxChanging = 4096;
constexpr auto kWatchdog = std::chrono::milliseconds(100);
constexpr auto kStalled = std::chrono::seconds(5);

// One held task, or a notice that a measured file was changed.
struct Request {
  UniqueFd file;
  Use use;  // once a worker has looked at it
  pid_t tid = 0;
  std::uint64_t mask = 0;
  Clock::time_point since;
  bool answered = false;  // under Fanotify::mutex_
};

Result<UniqueFd> OpenGroup() {
  // O_NONBLOCK: the kernel opens a FIFO for us too, and would wait for its writer.
  const int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
                                   FAN_UNLIMITED_MARKS | FAN_REPORT_TID,
                               O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME | O_NONBLOCK);
  if (fd < 0) return Fail(OsError("fanotify_init", "", errno));
  return UniqueFd(fd);
}

Result<> Mark(int group, unsigned flags, std::uint64_t mask, int fd) {
  if (fanotify_mark(group, flags, mask, fd, nullptr) != 0) return Fail(OsError("fanotify_mark", "", errno));
  return {};
}

// Evictable: the mark does not pin the inode; when the kernel forgets the inode, it is measured again.
// A mark always keeps an event of its own besides the ignore mask, so that Forget() never deletes it: the
// kernel lets a permission event pass that meets the deletion of a mark of the same group
// (fanotify_handle_event()).
Result<> IgnoreUntilModified(int group, int file, bool code) {
  ASSAY_TRY(Mark(group, FAN_MARK_ADD | FAN_MARK_EVICTABLE,
                 code ? kChangeEvents : std::uint64_t{FAN_OPEN_EXEC}, file));
  return Mark(group, FAN_MARK_ADD | FAN_MARK_EVICTABLE | FAN_MARK_IGNORED_MASK,
              code ? kOpenEvents : std::uint64_t{FAN_OPEN_PERM}, file);
}

// The next open asks again. What is written until then need not be told one by one.
void Forget(int group, int file) {
  // Not there: the kernel dropped the mark together with the inode.
  static_cast<void>(
      fanotify_mark(group, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK, kOpenEvents, file, nullptr));
  static_cast<void>(fanotify_mark(group, FAN_MARK_REMOVE, FAN_MODIFY, file, nullptr));
}

bool IsUnder(const std::string& point, const std::string& root) {
  return root == "/" || point == root || point.starts_with(root + "/");
}

class Fanotify : public Engine {
 public:
  Fanotify(EngineOptions options, Recorder& recorder)
      : options_(std::move(options)), recorder_(recorder), rules_(options_) {}
  ~Fanotify() override { Stop(); }
  Result<> Start();

  std::string Name() const override { return "fanotify"; }
  EngineStats Stats() const override;
  Result<> Health() const override;
  void Stop() override;

 private:
  using RequestPtr = std::shared_ptr<Request>;
  // A queue and what its threads do with each request.
  struct Lane {
    void (Fanotify::*handle)(const RequestPtr&);
    std::deque<RequestPtr> queue{};
    std::condition_variable ready{};
  };

  Result<> MarkMount(const std::string& point);
  void ReadLoop();
  void TakeEvents(ByteView events);
  bool Exempt(pid_t tid) const;
  void WorkLoop(Lane& lane);
  void Push(Lane& lane, const RequestPtr& request);  // mutex_ is held
  void WatchLoop();
  void Expire();
  void Handle(const RequestPtr& request);
  void HandleCode(const RequestPtr& request);
  void HandleData(const RequestPtr& request);
  void HandleChange(const RequestPtr& request);
  void LookForUse(const RequestPtr& request);
  void RecordChange(const Request& request);
  bool Measure(Request& request);  // false: must not be allowed
  void Look(Request& request, std::string path) const;
  void Answer(Request& request, bool allow);
  void Respond(int fd, bool allow);

  EngineOptions options_;
  Recorder& recorder_;
  Rules rules_;
  UniqueFd group_, stop_event_;
  std::unique_ptr<MountWatch> watch_;
  std::thread reader_, watchdog_;
  std::vector<std::thread> workers_;

  mutable std::mutex mutex_;
  Lane small_{&Fanotify::Handle}, large_{&Fanotify::HandleCode}, changed_{&Fanotify::LookForUse};
  std::set<std::pair<dev_t, ino_t>> changing_;  // in changed_
  std::list<std::weak_ptr<Request>> held_;      // in order of arrival, for the deadline
  bool stopping_ = false, stopped_ = false;
  bool stalled_ = false;
  Clock::time_point progress_ = Clock::now();
  std::string failure_;  // of the reader or of a mark: reported by Health()
  EngineStats stats_;
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
  if (!stop_event_) return Fail(OsError("eventfd", "", errno));
  reader_ = std::thread([this] { ReadLoop(); });
  for (unsigned i = 0; i < std::max(1U, options_.workers); ++i) {
    workers_.emplace_back([this] { WorkLoop(small_); });
    workers_.emplace_back([this] { WorkLoop(large_); });
  }
  workers_.emplace_back([this] { WorkLoop(changed_); });
  watchdog_ = std::thread([this] { WatchLoop(); });
  // The watch is there before the marks are: no mount falls in between.
  ASSAY_ASSIGN(watch_, MountWatch::Start([this](const Mount& m) {
                 for (const std::string& root : options_.mounts) {
                   if (!IsUnder(m.point, root)) continue;
                   if (const Result<> r = MarkMount(m.point); !r) {
                     log::Error("a new mount is not measured: {}", r.error().Message());
                     const std::lock_guard lock(mutex_);
                     failure_ = "the mount " + m.point + " is not measured: " + r.error().Message();
                   }
                   break;
                 }
               }));
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
    std::array<pollfd, 2> wait{pollfd{group_.get(), POLLIN, 0}, pollfd{stop_event_.get(), POLLIN, 0}};
    if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) return;
    if (wait[1].revents != 0) return;
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

void Fanotify::TakeEvents(ByteView events) {
  auto* event = reinterpret_cast<const fanotify_event_metadata*>(events.data());
  auto left = static_cast<long>(events.size());
  const auto now = Clock::now();
  for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
    if (event->vers != FANOTIFY_METADATA_VERSION || event->fd < 0) continue;
    UniqueFd file(event->fd);
    if ((event->mask & (kOpenEvents | kChangeEvents)) == 0)
      continue;  // the event that keeps a data file's mark
    const bool held = (event->mask & kOpenEvents) != 0;
    if (held && Exempt(event->pid)) {
      Respond(file.get(), true);
      continue;
    }
    auto request = std::make_shared<Request>();
    request->file = std::move(file);
    request->tid = event->pid;
    request->mask = event->mask;
    request->since = now;
    const std::lock_guard lock(mutex_);
    ++stats_.events;
    if (small_.queue.empty() && held_.empty()) progress_ = now;
    if (held) held_.push_back(request);
    Push(small_, request);
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

void Fanotify::Push(Lane& lane, const RequestPtr& request) {
  lane.queue.push_back(request);
  lane.ready.notify_one();
}

void Fanotify::WorkLoop(Lane& lane) {
  while (true) {
    RequestPtr request;
    bool stop = false;
    {
      std::unique_lock lock(mutex_);
      lane.ready.wait(lock, [&] { return stopping_ || !lane.queue.empty(); });
      if (lane.queue.empty()) return;
      request = std::move(lane.queue.front());
      lane.queue.pop_front();
      stop = stopping_;
    }
    if (stop)
      Answer(*request, true);
    else
      (this->*lane.handle)(request);
  }
}

void Fanotify::Handle(const RequestPtr& request) {
  if ((request->mask & kOpenEvents) == 0) {
    HandleChange(request);
    return;
  }
  struct stat st{};
  if (fstat(request->file.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    Answer(*request, true);
    return;
  }
  const Result<std::string> path = NameOfFd(request->file.get());
  if (!path) {
    log::Error("a file without a name: {}", path.error().Message());
    Answer(*request, options_.expiry == Expiry::kAllow);
    return;
  }
  Look(*request, *path);
  if (!request->use.ruling.any()) {
    HandleData(request);
  } else if (st.st_size >= kLarge) {
    const std::lock_guard lock(mutex_);
    Push(large_, request);
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
  Use& use = request.use;
  const std::string& path = use.path;
  const int fd = request.file.get();
  const bool exec = (request.mask & FAN_OPEN_EXEC_PERM) != 0;
  const FileState state = Hold(fd);
  // Its own opener may be the writer: a compiler's output, not a load.
  if (state == FileState::kWriters && !exec && OpensForWriting(request.tid)) {
    const std::lock_guard lock(mutex_);
    ++stats_.not_code;
    return true;
  }
  const Context context = ContextOf(request.tid, exec ? "exec" : "open");
  std::uint64_t bytes = 0;
  const Result<Digest> digest = HashFd(fd, recorder_.options().list_bank, &bytes);
  const bool allowed =
      rules_.Settle(use, digest && state != FileState::kWriters ? &*digest : nullptr, context);
  Result<Recorded> recorded = Recorded{};
  if (!use.ruling.measure) {
    // Looked at for another reason.
  } else if (!digest) {
    log::Warn("measuring {}: {}", path, digest.error().Message());
    recorded = recorder_.RecordViolation(Violation::kUnmeasurable, path, context);
  } else {
    if (state == FileState::kWriters)
      recorded = recorder_.RecordViolation(Violation::kOpenWriters, path, context);
    if (recorded) recorded = recorder_.Record({*digest, path, context, use.ruling.cgroup});
  }
  if (recorded && digest && state == FileState::kHeld && rules_.Lasting(use)) {
    const Result<> marked = IgnoreUntilModified(group_.get(), fd, true);
    if (!marked || !StillHeld(fd)) Forget(group_.get(), fd);
    if (!marked) log::Warn("{}: {}", path, marked.error().Message());
  }
  if (state == FileState::kHeld) Release(fd);
  bool late = false;
  {
    const std::lock_guard lock(mutex_);
    stats_.bytes_hashed += bytes;
    if (!recorded)
      ++stats_.errors;
    else if (!use.ruling.measure)
      ++stats_.not_code;
    else if (!digest || state == FileState::kWriters)
      ++stats_.violations;
    else
      ++(recorded->is_new ? stats_.measured : stats_.clean);
    late = request.answered;
  }
  // It ran, or was refused, before its content was recorded: the list says so.
  if (late) {
    if (const auto r = recorder_.RecordViolation(Violation::kUnmeasurable, path, context); !r)
      log::Error("{}", r.error().Message());
  }
  if (!recorded) {
    log::Error("{} is not recorded: {}", path, recorded.error().Message());
    return options_.expiry == Expiry::kAllow && allowed;
  }
  return allowed;
}

// A measured file was written to. It is measured again at its next use; where it is in use right now, what
// runs is not what was measured.
void Fanotify::HandleChange(const RequestPtr& request) {
  Forget(group_.get(), request->file.get());
  struct stat st{};
  if (fstat(request->file.get(), &st) != 0) return;
  bool full = false;
  {
    const std::lock_guard lock(mutex_);
    progress_ = Clock::now();
    full = changing_.size() >= kMaxChanging;
    if (!full && changing_.emplace(st.st_dev, st.st_ino).second) Push(changed_, request);
  }
  if (full) RecordChange(*request);  // not looked into: as if it were in use
}

// In a thread of its own: it reads all of /proc, and nobody waits for it.
void Fanotify::LookForUse(const RequestPtr& request) {
  struct stat st{};
  if (fstat(request->file.get(), &st) != 0) return;
  {
    const std::lock_guard lock(mutex_);
    changing_.erase({st.st_dev, st.st_ino});
  }
  if (IsMappedExecutable(st.st_dev, st.st_ino)) RecordChange(*request);
}

void Fanotify::RecordChange(const Request& request) {
  const Result<std::string> path = NameOfFd(request.file.get());
  const auto recorded =
      recorder_.RecordViolation(Violation::kToMToU, path ? *path : "", ContextOf(request.tid, "write"));
  if (!recorded) log::Error("{}", recorded.error().Message());
  const std::lock_guard lock(mutex_);
  ++stats_.violations;
}

// Tasks that have waited too long are answered as the policy says; the worker goes on and records it when it
// can.
void Fanotify::Expire() {
  const auto now = Clock::now();
  std::vector<RequestPtr> late;
  {
    const std::lock_guard lock(mutex_);
    held_.remove_if([&](const std::weak_ptr<Request>& weak) {
      const RequestPtr request = weak.lock();
      if (!request || request->answered) return true;
      if (now - request->since < options_.deadline) return false;
      request->answered = true;
      ++stats_.expired;
      late.push_back(request);
      return true;
    });
    const bool waiting = !small_.queue.empty() || !large_.queue.empty() || !held_.empty();
    const bool stalled = waiting && now - progress_ > kStalled;
    if (stalled && !stalled_) ++stats_.stalls;
    stalled_ = stalled;
  }
  for (const RequestPtr& request : late) Respond(request->file.get(), options_.expiry == Expiry::kAllow);
  if (!late.empty())
    log::Error("fanotify: {} task(s) were answered before their file was measured", late.size());
}

void Fanotify::WatchLoop() {
  while (true) {
    pollfd wait{stop_event_.get(), POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(kWatchdog.count())) > 0) return;
    Expire();
  }
}

EngineStats Fanotify::Stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.refused = rules_.refused();
  stats.queue_depth = small_.queue.size() + large_.queue.size() + changed_.queue.size();
  return stats;
}

Result<> Fanotify::Health() const {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) return Fail(StateError("engine.mount", failure_));
  if (stopping_) return Fail(StateError("engine.stopped", "the engine is stopped"));
  if (stalled_) return Fail(StateError("engine.stalled", "no held task was answered for some seconds"));
  return {};
}

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
  const std::uint64_t one = 1;
  if (stop_event_ && write(stop_event_.get(), &one, sizeof(one)) != sizeof(one))
    log::Error("{}", OsError("write", "eventfd", errno).Message());
  for (Lane* lane : {&small_, &large_, &changed_}) lane->ready.notify_all();
  for (std::thread* t : {&reader_, &watchdog_})
    if (t->joinable()) t->join();
  for (std::thread& t : workers_) t.join();
  workers_.clear();
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
  auto engine = std::make_unique<Fanotify>(options, recorder);
  ASSAY_TRY(engine->Start());
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace assay::measure
