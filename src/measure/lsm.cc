// The lsm engine: BPF programs at the kernel's own hooks ask through the gate, workers measure and answer.
// docs/notes/2026-11-24-lsm-engine.md
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "measure/cgroup.h"
#include "measure/engine.h"
#include "measure/file.h"
#include "measure/gate.h"
#include "measure/lsm_events.h"
#include "measure/lsm_file.h"
#include "measure/lsm_programs.h"
#include "measure/lsm_self.h"
#include "measure/lsm_storage.h"
#include "measure/rules.h"

namespace assay::measure {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t kLarge = std::uint64_t{32} << 20;  // bytes: such files have workers of their own
constexpr char kPins[] = "/bpf";
constexpr auto kWatchdog = std::chrono::milliseconds(100);
constexpr unsigned kAskEach = 10;  // rounds of the watchdog
constexpr auto kStalled = std::chrono::seconds(5);
constexpr auto kRestartPause = std::chrono::seconds(1);

// One thread that waits.
struct Held {
  explicit Held(GateReply r) : reply(std::move(r)) {}
  GateReply reply;
  assay_request request{};
  Clock::time_point since;
  bool answered = false;  // under Lsm::mutex_
};
using HeldPtr = std::shared_ptr<Held>;

class Lsm : public Engine {
 public:
  Lsm(EngineOptions options, Recorder& recorder)
      : options_(std::move(options)), recorder_(recorder), rules_(std::make_shared<Rules>(options_)) {}
  ~Lsm() override { Stop(); }
  Result<> Start();

  std::string Name() const override { return "lsm"; }
  EngineStats Stats() const override;
  Result<> Health() const override;
  void Stop() override;
  bool Follow(const std::shared_ptr<const Policy>& policy) override;
  bool IsOwn(pid_t pid) const override {
    return programs_ &&
           __atomic_load_n(&programs_->control().gate, __ATOMIC_SEQ_CST) == static_cast<std::uint32_t>(pid);
  }

 private:
  struct Lane {
    std::deque<HeldPtr> queue;
    std::condition_variable ready;
  };

  Context ContextOf(const assay_request& request);
  std::shared_ptr<Rules> CurrentRules() const;
  Result<> StartGate();
  void Take(pid_t tid, GateReply reply, bool hurry);
  void WorkLoop(Lane& lane);
  void WatchLoop();
  void Expire();
  void KeepGate();
  void AskHooks();
  void TellHook(const std::string& hook);
  void Handle(const HeldPtr& held);
  void MeasureFile(Held& held, const RequestedFile& file);
  void MeasureDigest(Held& held);
  void Finish(Held& held, const Result<Recorded>& recorded, std::uint32_t flags, const Digest* digest,
              const std::string& path, const Context& context);
  void Answer(Held& held, std::uint32_t flags, const Digest* digest);

  EngineOptions options_;
  Recorder& recorder_;
  std::shared_ptr<Rules> rules_;      // under mutex_
  std::uint64_t refused_before_ = 0;  // by former policies
  Cgroups cgroups_;
  std::unique_ptr<LsmPrograms> programs_;
  std::unique_ptr<LsmStorage> storage_;
  std::unique_ptr<LsmSelf> self_;
  std::unique_ptr<LsmEvents> events_;
  std::unique_ptr<Gate> gate_;  // the watchdog's, after Start()
  std::thread retired_;         // ends the one before: one of its threads may still be at work
  Clock::time_point gate_since_;
  std::thread watchdog_;
  std::vector<std::thread> workers_;

  mutable std::mutex mutex_;
  Lane quick_, slow_;
  std::list<std::weak_ptr<Held>> held_;  // in order of arrival, for the deadline
  bool stopping_ = false, stopped_ = false, stalled_ = false;
  std::string failure_;           // of the gate: reported by Health()
  std::set<std::string> silent_;  // hooks that the kernel does not call
  Clock::time_point progress_ = Clock::now();
  std::condition_variable stop_;
  EngineStats stats_;
};

Context Lsm::ContextOf(const assay_request& request) {
  Context c;
  c.time_ms = NowMs();
  c.pid = static_cast<pid_t>(request.tgid);
  c.uid = request.uid;
  c.comm = request.comm;
  c.hook = HookName(request.kind, request.detail);
  c.cgroup = cgroups_.Path(request.cgroup);
  return c;
}

Hook HookOf(const assay_request& request) {
  switch (request.kind) {
    case ASSAY_EXEC:
      return {Func::kBprmCheck, kMayExec};
    case ASSAY_MMAP:
      return {Func::kMmapCheck, kMayExec};
    case ASSAY_BPF:
      return {Func::kBpfCheck, kMayRead};
    case ASSAY_KERNEL_READ:
    case ASSAY_BUFFER: {
      // Source: include/linux/kernel_read_file.h, __kernel_read_file_id.
      static constexpr Func kReads[] = {Func::kFirmwareCheck,       Func::kFirmwareCheck,
                                        Func::kModuleCheck,         Func::kKexecKernelCheck,
                                        Func::kKexecInitramfsCheck, Func::kPolicyCheck};
      return {request.detail < std::size(kReads) ? kReads[request.detail] : Func::kFirmwareCheck, kMayRead};
    }
    default:
      return {Func::kFileCheck, kMayRead};
  }
}

// A file that nobody waits for must be told from one that somebody does: else any file would be taken for the
// right one.
Result<> CheckIdentify() {
  ASSAY_ASSIGN(const UniqueFd fd, Open("/proc/self/exe", O_RDONLY));
  if (ioctl(fd.get(), ASSAY_IDENTIFY, 0UL) == 0 || errno != EXDEV)
    return Fail(StateError("engine.lsm-identify", "the kernel does not tell files apart for us"));
  return {};
}

Result<> Lsm::Start() {
  ASSAY_TRY(MakeDirs(options_.run_dir, 0700));
  ASSAY_ASSIGN(storage_, LsmStorage::Open());
  ASSAY_ASSIGN(self_, LsmSelf::Start(options_.run_dir));
  ASSAY_ASSIGN(programs_, LsmPrograms::Open({.pin_dir = options_.run_dir + kPins,
                                             .guard = options_.guard,
                                             .policy = std::string(rules_->policy().text())}));
  assay_control& control = programs_->control();
  ASSAY_TRY(programs_->Mark(getpid(), ASSAY_ROLE_AGENT | ASSAY_ROLE_EXEMPT));
  for (const pid_t pid : options_.exempt) ASSAY_TRY(programs_->Mark(pid, ASSAY_ROLE_EXEMPT));
  ASSAY_TRY(CheckIdentify());
  __atomic_store_n(&control.attester, static_cast<std::uint32_t>(getpid()), __ATOMIC_SEQ_CST);
  std::set<std::string> own = ExecutableFiles(getpid());
  for (const pid_t pid : options_.exempt) own.merge(ExecutableFiles(pid));
  for (const std::string& path : own) {
    if (const Result<> r = programs_->AddOwnFile(path); !r) log::Debug("{}", r.error().Message());
  }
  control.scope = options_.cgroup;
  control.own_dev = options_.own_device == 0 ? 0 : KernelDev(options_.own_device);
  control.opens = rules_->policy().Asks(Func::kFileCheck) ? 1 : 0;
  control.refuse = options_.expiry == Expiry::kRefuse ? 1 : 0;
  for (unsigned i = 0; i < std::max(1U, options_.workers); ++i) {
    workers_.emplace_back([this] { WorkLoop(quick_); });
    workers_.emplace_back([this] { WorkLoop(slow_); });
  }
  ASSAY_TRY(StartGate());
  __atomic_store_n(&control.active, 1, __ATOMIC_SEQ_CST);
  ASSAY_ASSIGN(events_, LsmEvents::Start(*programs_, cgroups_, recorder_));
  // What lay there in place of our programs: they have not seen what ran.
  if (!programs_->unfit().empty())
    TellHook("hooks_silent:" + programs_->unfit().substr(0, programs_->unfit().find(':')));
  watchdog_ = std::thread([this] { WatchLoop(); });
  if (options_.guard) ASSAY_TRY(programs_->Guard());
  if (programs_->adopted()) log::Info("lsm: took over the programs of an earlier attester");
  return {};
}

Result<> Lsm::StartGate() {
  GateOptions gate;
  gate.dir = options_.run_dir + "/gate";
  gate.limit = options_.gate_limit;
  gate.ask = [this](pid_t tid, GateReply reply, bool hurry) { Take(tid, std::move(reply), hurry); };
  gate.mark = [this](pid_t pid) { return programs_->Mark(pid, ASSAY_ROLE_GATE | ASSAY_ROLE_EXEMPT); };
  ASSAY_ASSIGN(gate_, Gate::Start(std::move(gate)));
  gate_since_ = Clock::now();
  __atomic_store_n(&programs_->control().gate, static_cast<std::uint32_t>(gate_->pid()), __ATOMIC_SEQ_CST);
  return {};
}

// On a thread of the gate's. The common case is done there and then: passing it on to a worker costs as much
// as measuring a small file.
void Lsm::Take(pid_t tid, GateReply reply, bool hurry) {
  const std::optional<assay_request> request = programs_->Request(tid);
  if (!request) return;  // somebody else's question: the dropped reply is an error
  auto held = std::make_shared<Held>(std::move(reply));
  held->request = *request;
  held->since = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    ++stats_.events;
    if (quick_.queue.empty() && slow_.queue.empty() && held_.empty()) progress_ = held->since;
    held_.push_back(held);
    const bool slow = (request->flags & ASSAY_SERVED) != 0 || request->size >= kLarge;
    Lane& lane = slow ? slow_ : quick_;
    if (hurry || slow || stopping_ || !lane.queue.empty()) {
      lane.queue.push_back(std::move(held));
      lane.ready.notify_one();
      return;
    }
  }
  Handle(held);
}

void Lsm::WorkLoop(Lane& lane) {
  while (true) {
    HeldPtr held;
    bool stop = false;
    {
      std::unique_lock lock(mutex_);
      lane.ready.wait(lock, [&] { return stopping_ || !lane.queue.empty(); });
      if (lane.queue.empty()) return;
      held = std::move(lane.queue.front());
      lane.queue.pop_front();
      stop = stopping_;
    }
    if (stop) {
      Answer(*held, 0, nullptr);
      const Context context = ContextOf(held->request);
      if (const auto r = recorder_.RecordViolation(Violation::kUnanswered, held->request.path, context); !r)
        log::Error("{}", r.error().Message());
    } else {
      Handle(held);
    }
  }
}

void Lsm::Handle(const HeldPtr& held) {
  const std::uint32_t kind = held->request.kind;
  if (kind == ASSAY_BUFFER || kind == ASSAY_BPF) {
    MeasureDigest(*held);
    return;
  }
  if ((held->request.flags & ASSAY_UNJUDGED) != 0) storage_->Judge(*programs_);
  const Result<RequestedFile> file = OpenRequested(held->request, *programs_);
  if (!file) {
    const Context context = ContextOf(held->request);
    const std::string path = held->request.path[0] != 0 ? held->request.path : "unknown";
    Finish(*held, recorder_.RecordViolation(Violation::kUnmeasurable, path, context), 0, nullptr, path,
           context);
    return;
  }
  MeasureFile(*held, *file);
}

void Lsm::MeasureFile(Held& held, const RequestedFile& file) {
  const int fd = file.file.get();
  const std::string& path = file.path;
  const Context context = ContextOf(held.request);
  const std::shared_ptr<Rules> rules = CurrentRules();
  Use use = rules->Look(fd, path, static_cast<pid_t>(held.request.tid), {HookOf(held.request)});
  if (!use.ruling.any()) {
    const bool data = held.request.kind == ASSAY_OPEN && rules->Lasting(use);
    Answer(held, data ? ASSAY_ANSWER_DATA : 0, nullptr);
    const std::lock_guard lock(mutex_);
    ++stats_.not_code;
    return;
  }
  std::uint64_t bytes = 0;
  const Result<Digest> digest = HashFd(fd, recorder_.options().list_bank, &bytes);
  {
    const std::lock_guard lock(mutex_);
    stats_.bytes_hashed += bytes;
  }
  const bool writers = (held.request.flags & ASSAY_WRITERS) != 0 || IsUnsealedMemory(fd);
  const bool allowed = rules->Settle(use, digest && !writers ? &*digest : nullptr, context);
  if (!use.ruling.measure) {
    Answer(held, allowed ? 0 : ASSAY_ANSWER_REFUSE, nullptr);
    const std::lock_guard lock(mutex_);
    ++stats_.not_code;
    return;
  }
  if (!digest) {
    log::Warn("measuring {}: {}", path, digest.error().Message());
    Finish(held, recorder_.RecordViolation(Violation::kUnmeasurable, path, context),
           allowed ? 0 : ASSAY_ANSWER_REFUSE, nullptr, path, context);
    return;
  }
  Result<Recorded> recorded = Recorded{};
  if (writers) recorded = recorder_.RecordViolation(Violation::kOpenWriters, path, context);
  if (recorded && held.request.kind == ASSAY_EXEC && WantsExecutableStack(fd))
    recorded = recorder_.RecordViolation(Violation::kAnonymousCode, "stack:" + path, context);
  if (recorded) recorded = recorder_.Record({*digest, path, context, use.ruling.cgroup});
  {
    const std::lock_guard lock(mutex_);
    if (writers && recorded) ++stats_.violations;
  }
  const std::uint32_t clean = rules->Lasting(use) ? ASSAY_ANSWER_CLEAN : 0;
  Finish(held, recorded, allowed ? clean : ASSAY_ANSWER_REFUSE, &*digest, path, context);
}

// The kernel hashed it already.
void Lsm::MeasureDigest(Held& held) {
  const assay_request& request = held.request;
  const Context context = ContextOf(request);
  const std::string path =
      request.kind == ASSAY_BPF ? "bpf-prog:" + std::string(request.path) : "memory:" + context.hook;
  const ByteView bytes(request.digest);
  const Result<Digest> digest = Digest::Of(HashAlg::kSha256, bytes);
  if (!digest || digest->AllBytes(0)) {
    Finish(held, recorder_.RecordViolation(Violation::kUnmeasurable, path, context), 0, nullptr, path,
           context);
    return;
  }
  const std::shared_ptr<Rules> rules = CurrentRules();
  Use use = rules->Look(-1, path, static_cast<pid_t>(request.tid), {HookOf(request)});
  const bool allowed = rules->Settle(use, &*digest, context);
  const std::uint32_t flags = allowed ? 0 : ASSAY_ANSWER_REFUSE;
  if (use.ruling.measure)
    Finish(held, recorder_.Record({*digest, path, context, use.ruling.cgroup}), flags, &*digest, path,
           context);
  else
    Answer(held, flags, nullptr);
}

// The end of every measurement: answer, then count, then say what came too late.
void Lsm::Finish(Held& held, const Result<Recorded>& recorded, std::uint32_t flags, const Digest* digest,
                 const std::string& path, const Context& context) {
  const bool refuse = (!recorded || digest == nullptr) && options_.expiry == Expiry::kRefuse;
  bool late = false;
  {
    const std::lock_guard lock(mutex_);
    if (!recorded)
      ++stats_.errors;
    else if (digest == nullptr)
      ++stats_.violations;
    else
      ++(recorded->is_new ? stats_.measured : stats_.clean);
    late = held.answered;
  }
  const std::uint32_t if_recorded = recorded ? flags : flags & ASSAY_ANSWER_REFUSE;
  Answer(held, refuse ? ASSAY_ANSWER_REFUSE : if_recorded, recorded ? digest : nullptr);
  if (late) {
    if (const auto r = recorder_.RecordViolation(Violation::kUnanswered, path, context); !r)
      log::Error("{}", r.error().Message());
  }
  if (!recorded) log::Error("{} is not recorded: {}", path, recorded.error().Message());
}

void Lsm::Answer(Held& held, std::uint32_t flags, const Digest* digest) {
  {
    const std::lock_guard lock(mutex_);
    progress_ = Clock::now();
    if (held.answered) return;
    held.answered = true;
  }
  assay_answer answer{};
  answer.flags = flags;
  if (digest != nullptr && digest->size() == ASSAY_DIGEST) {
    answer.flags |= ASSAY_ANSWER_DIGEST;
    std::memcpy(answer.digest, digest->view().data(), ASSAY_DIGEST);
  }
  held.reply.Answer(answer);
}

// Threads that have waited too long are answered as the policy says; the worker goes on and records it when
// it can.
void Lsm::Expire() {
  const auto now = Clock::now();
  std::vector<HeldPtr> late;
  {
    const std::lock_guard lock(mutex_);
    held_.remove_if([&](const std::weak_ptr<Held>& weak) {
      HeldPtr held = weak.lock();
      if (!held || held->answered) return true;
      if (now - held->since < options_.deadline) return false;
      held->answered = true;
      ++stats_.expired;
      late.push_back(std::move(held));
      return true;
    });
    const bool waiting = !quick_.queue.empty() || !slow_.queue.empty() || !held_.empty();
    const bool stalled = waiting && now - progress_ > kStalled;
    if (stalled && !stalled_) ++stats_.stalls;
    stalled_ = stalled;
  }
  assay_answer answer{};
  if (options_.expiry == Expiry::kRefuse) answer.flags = ASSAY_ANSWER_REFUSE;
  for (const HeldPtr& held : late) held->reply.Answer(answer);
  if (!late.empty()) log::Error("lsm: {} task(s) were answered before their file was measured", late.size());
}

// A gate that ended (we were stopped too long, or somebody killed it) is replaced; what ran meanwhile is
// known.
void Lsm::KeepGate() {
  if (gate_ && gate_->Alive()) {
    gate_->Beat();
    return;
  }
  if (Clock::now() - gate_since_ < kRestartPause) return;
  gate_since_ = Clock::now();
  log::Error("lsm: the gate ended; another is started");
  if (retired_.joinable()) retired_.join();
  retired_ = std::thread([old = std::move(gate_)]() mutable { old.reset(); });
  const Result<> started = StartGate();
  {
    const std::lock_guard lock(mutex_);
    ++stats_.stalls;
    failure_ = started ? "" : started.error().Message();
  }
  if (started) events_->TakeMissed();
}

// With the time since the boot: the recorder keeps one record for each name in a row.
void Lsm::TellHook(const std::string& hook) {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const std::string what = hook + "@" + std::to_string(now.tv_sec);
  const Context context{
      .time_ms = NowMs(), .pid = getpid(), .uid = getuid(), .comm = "assayd", .hook = "hooks_silent"};
  if (const auto r = recorder_.RecordViolation(Violation::kHooksSilent, what, context); !r)
    log::Error("{}: {}", what, r.error().Message());
  const std::lock_guard lock(mutex_);
  ++stats_.violations;
}

// Whoever can switch them off (kernel.ftrace_enabled, a pin removed) does so without a word. As long as one
// is silent, and when it is back, nothing is clean: who wrote what meanwhile is not known.
void Lsm::AskHooks() {
  std::set<std::string> silent = self_->Ask(*programs_, gate_ ? gate_->pid() : -1);
  std::set<std::string> before;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;  // they are being removed
    before = std::exchange(silent_, silent);
  }
  if (silent.empty() && before.empty()) return;
  programs_->ForgetClean();
  for (const std::string& name : silent) {
    if (before.contains(name)) continue;
    log::Error("lsm: the kernel does not call {}", name);
    TellHook("hooks_silent:" + name);
  }
  for (const std::string& name : before) {
    if (silent.contains(name)) continue;
    log::Warn("lsm: the kernel calls {} again", name);
    TellHook("hooks_answer:" + name);
  }
}

void Lsm::WatchLoop() {
  for (unsigned round = 0; true; ++round) {
    {
      std::unique_lock lock(mutex_);
      if (stop_.wait_for(lock, kWatchdog, [this] { return stopping_; })) return;
    }
    Expire();
    KeepGate();
    if (round % kAskEach == 0) AskHooks();
  }
}

EngineStats Lsm::Stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.refused = refused_before_ + rules_->refused();
  stats.queue_depth = quick_.queue.size() + slow_.queue.size();
  if (programs_) stats.clean += programs_->control().clean_hits;
  if (events_) stats.violations += events_->violations();
  return stats;
}

Result<> Lsm::Health() const {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Fail(StateError("engine.stopped", "the engine is stopped"));
  if (!failure_.empty()) return Fail(StateError("engine.lsm-gate", "nobody is asked: " + failure_));
  if (!silent_.empty()) {
    std::string names;
    for (const std::string& name : silent_) names += " " + name;
    return Fail(StateError("engine.hooks-silent", "hooks are not called:" + names));
  }
  if (stalled_) return Fail(StateError("engine.stalled", "no held task was answered for some seconds"));
  return {};
}

std::shared_ptr<Rules> Lsm::CurrentRules() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

// A question that is being answered by the former policy leaves no state: its number is of before.
bool Lsm::Follow(const std::shared_ptr<const Policy>& policy) {
  EngineOptions options = options_;
  options.policy = policy;
  auto rules = std::make_shared<Rules>(options);
  const std::string text(rules->policy().text());
  const bool opens = rules->policy().Asks(Func::kFileCheck);
  programs_->BeginPolicy();
  {
    const std::lock_guard lock(mutex_);
    refused_before_ += rules_->refused();
    rules_ = std::move(rules);
  }
  programs_->control().opens = opens ? 1 : 0;
  programs_->EndPolicy(text);
  return true;
}

void Lsm::Stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
  }
  if (programs_) programs_->Remove();  // no new questions
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  quick_.ready.notify_all();
  slow_.ready.notify_all();
  if (watchdog_.joinable()) watchdog_.join();
  gate_.reset();  // whoever waits still gets an error from the kernel and goes on
  if (retired_.joinable()) retired_.join();
  for (std::thread& t : workers_) t.join();
  workers_.clear();
  events_.reset();
}

}  // namespace

Result<> ProbeLsm() { return LsmPrograms::Probe(); }

Result<std::unique_ptr<Engine>> StartLsm(const EngineOptions& options, Recorder& recorder) {
  if (recorder.options().list_bank != HashAlg::kSha256)
    return Fail(
        UsageError("the lsm engine needs SHA-256 as the list's bank: the kernel's side computes no other"));
  auto engine = std::make_unique<Lsm>(options, recorder);
  ASSAY_TRY(engine->Start());
  return std::unique_ptr<Engine>(std::move(engine));
}

Result<EngineChoice> StartEngine(const EngineOptions& options, Recorder& recorder) {
  EngineChoice choice;
  if (options.engine != "fanotify") {
    Result<std::unique_ptr<Engine>> lsm = StartLsm(options, recorder);
    if (lsm) {
      choice.engine = std::move(*lsm);
      return choice;
    }
    if (options.engine == "lsm" || options.guard) return Fail(lsm.error());
    choice.passed_over.emplace_back("lsm", lsm.error());
  }
  LsmPrograms::RemovePinned(options.run_dir + kPins);
  ASSAY_ASSIGN(choice.engine, StartFanotify(options, recorder));
  return choice;
}

}  // namespace assay::measure
