// The lsm engine: BPF programs at the kernel's own hooks ask through the gate, workers measure and answer.
// docs/notes/2026-11-24-lsm-engine.md
#include "measure/lsm/lsm.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "measure/engine/engine_handle.h"
#include "measure/engine/errors.h"
#include "measure/engine/held_tasks.h"
#include "measure/engine/rules.h"
#include "measure/engine/starts.h"
#include "measure/lsm/errors.h"
#include "measure/lsm/events.h"
#include "measure/lsm/file.h"
#include "measure/lsm/gate.h"
#include "measure/lsm/measurer.h"
#include "measure/lsm/programs.h"
#include "measure/lsm/self.h"
#include "measure/lsm/storage.h"
#include "measure/lsm/task.h"
#include "measure/policy/instrumented.h"
#include "measure/system/cgroup.h"

namespace assay::measure {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t kLarge = std::uint64_t{32} << 20;  // bytes; larger files have workers of their own
constexpr char kPins[] = "/bpf";
constexpr unsigned kQuickShare = 8;  // of one user, of the workers for small files
constexpr auto kAskEach = std::chrono::seconds(1);
constexpr auto kRestartPause = std::chrono::seconds(1);
constexpr auto kLossLasts = std::chrono::minutes(10);  // in the engine's health
constexpr auto kStale = std::chrono::seconds(5);       // added to the limits that a question has anyway
constexpr auto kDrain = std::chrono::seconds(2);       // at the stop, for the tasks that are still held
constexpr auto kAnnouncePatience = std::chrono::seconds(20);  // of a start, for its hook
constexpr auto kTellPatience = std::chrono::seconds(2);

class Lsm : public Engine, public std::enable_shared_from_this<Lsm> {
 public:
  Lsm(LsmOptions options, RulesOptions rules, HeldLimits limits, Recorder& recorder)
      : options_(std::move(options)),
        rules_options_(std::move(rules)),
        limits_(std::move(limits)),
        recorder_(recorder),
        sink_(recorder),
        notices_(std::make_shared<Notices>(rules_options_.refused)),
        instrumented_(options_.instrumented),
        tasks_({.engine = "lsm", .limits = limits_, .quick_share = kQuickShare}, sink_) {}
  ~Lsm() override { Stop(); }
  Result<> Start();

  std::string Name() const override { return "lsm"; }
  EngineStats Stats() const override;
  Result<> Health() const override;
  void Stop() override { StopAfter(kDrain); }
  Result<std::vector<UniqueFd>> PrepareToLeave(pid_t successor) override;
  void Stay() override;
  Result<> MarkHelper(pid_t helper) override {
    return programs_->Mark(helper, ASSAY_ROLE_GATE | ASSAY_ROLE_EXEMPT);
  }
  void Leave() override {
    programs_->control().refuse = 0;  // the successor holds each task by now
    StopAfter(limits_.deadline);
  }
  Result<> BeginAlone() override;
  void ServesDevice(dev_t device) override {
    programs_->control().own_dev = KernelDev(device);
    starts_count_from_ = MonotonicNs();
  }
  void Announced(pid_t process, std::string_view hook) override {
    starts_.Announced(process, hook, MonotonicNs());
  }
  bool Follow(const std::shared_ptr<const Policy>& policy) override;
  bool IsOwn(pid_t pid) const override { return programs_ && GatePid() == pid; }

 private:
  Result<> StartPrograms(const Policy& policy);
  Result<> StartAsking();
  void StopAsking();
  void StopAfter(std::chrono::milliseconds drain);
  void TakeEvent(const assay_event& event, const Context& context);
  void TellStarts(const std::vector<Unannounced>& starts);
  Result<> StartGate();
  pid_t GatePid() const {
    return static_cast<pid_t>(__atomic_load_n(&programs_->control().gate, __ATOMIC_SEQ_CST));
  }
  void Take(pid_t tid, GateReply reply, bool hurry);
  void Watch();
  void KeepGate();
  void LookForLosses();
  void AskLoop();
  void AskHooks();
  void TellHook(const std::string& hook);

  const LsmOptions options_;
  const RulesOptions rules_options_;
  const HeldLimits limits_;
  Recorder& recorder_;
  RecorderSink sink_;
  std::shared_ptr<Notices> notices_;
  Cgroups cgroups_;
  std::unique_ptr<LsmPrograms> programs_;
  std::unique_ptr<LsmStorage> storage_;
  std::unique_ptr<LsmSelf> self_;
  std::unique_ptr<LsmEvents> events_;
  std::unique_ptr<Gate> gate_;  // the watchdog's, after Start()
  Thread retired_;              // ends the one before: one of its threads may still be at work
  Clock::time_point gate_since_;
  Thread asker_;
  std::atomic<bool> tells_{false};  // events_ is there
  std::atomic<bool> alone_{false};  // with `beside`: the other attester has left

  Instrumented instrumented_;
  Starts starts_{kAnnouncePatience};
  // A successor takes no announcements before it has a node, so it judges no earlier starts.
  std::atomic<std::uint64_t> starts_count_from_{0};

  mutable Mutex mutex_;
  CondVar stop_;
  bool stopped_ ASSAY_GUARDED_BY(mutex_) = false;
  bool asks_ ASSAY_GUARDED_BY(mutex_) = false;
  std::string failure_ ASSAY_GUARDED_BY(mutex_);           // of the gate: reported by Health()
  std::set<std::string> silent_ ASSAY_GUARDED_BY(mutex_);  // hooks that the kernel does not call
  // What the kernel's side could not ask or tell, and when that was last.
  std::uint64_t losses_ ASSAY_GUARDED_BY(mutex_) = 0;
  std::optional<Clock::time_point> last_loss_ ASSAY_GUARDED_BY(mutex_);

  HeldTasks tasks_;
  std::unique_ptr<LsmMeasurer> measurer_;
};

// What the kernel's side asks of files opened for reading.
std::uint32_t OpensOf(const Policy& policy) {
  if (!policy.Asks(Func::kFileCheck)) return 0;
  if (!policy.AsksInterpretersOnly()) return ASSAY_OPENS_ALL;
  return (policy.needs() & kNeedConfiguration) != 0 ? ASSAY_OPENS_READERS : ASSAY_OPENS_INTERPRETERS;
}

// Whether the kernel tells a file that no task waits for from one that a task waits for. If it did not, any
// file would be taken for the right one.
Result<> CheckIdentify() {
  ASSAY_ASSIGN(const UniqueFd fd, Open("/proc/self/exe", O_RDONLY));
  if (ioctl(fd.get(), ASSAY_IDENTIFY, 0UL) == 0 || errno != EXDEV)
    return Fail(StateError(LsmError::kIdentify, "the kernel does not tell files apart for us"));
  return {};
}

Result<> Lsm::StartPrograms(const Policy& policy) {
  ASSAY_ASSIGN(programs_, LsmPrograms::Open({.pin_dir = options_.run_dir + kPins,
                                             .guard = options_.guard,
                                             .instrumented = options_.instrumented,
                                             .beside = options_.beside,
                                             .policy = std::string(policy.text())}));
  ASSAY_TRY(programs_->Mark(getpid(), ASSAY_ROLE_AGENT | ASSAY_ROLE_EXEMPT));
  for (const pid_t pid : limits_.exempt) ASSAY_TRY(programs_->Mark(pid, ASSAY_ROLE_EXEMPT));
  ASSAY_TRY(CheckIdentify());
  assay_control& control = programs_->control();
  __atomic_store_n(&control.attester, static_cast<std::uint32_t>(getpid()), __ATOMIC_SEQ_CST);
  std::set<std::string> own = ExecutableFiles(getpid());
  for (const pid_t pid : limits_.exempt) own.merge(ExecutableFiles(pid));
  for (const std::string& path : own) {
    if (const Result<> r = programs_->AddOwnFile(path); !r) log::Debug("{}", r.error().Message());
  }
  control.scope = options_.cgroup;
  control.own_dev = options_.own_device == 0 ? 0 : KernelDev(options_.own_device);
  control.opens = OpensOf(policy);
  // While the other attester holds each task as well, none may be refused because we are ended.
  control.refuse = !options_.beside && limits_.expiry == Expiry::kRefuse ? 1 : 0;
  programs_->FindCommandDevices();
  return {};
}

Result<> Lsm::Start() {
  signal(SIGIO, SIG_IGN);  // guard_sigio lets it through, and by default it ends the process
  ASSAY_TRY(MakeDirs(options_.run_dir, 0700));
  ASSAY_ASSIGN(storage_, LsmStorage::Open());
  ASSAY_ASSIGN(self_, LsmSelf::Start(options_.run_dir));
  auto rules = std::make_shared<Rules>(rules_options_, notices_);
  ASSAY_TRY(StartPrograms(rules->policy()));
  measurer_ =
      std::make_unique<LsmMeasurer>(*programs_, *storage_, tasks_, limits_, recorder_, std::move(rules),
                                    rules_options_.appraise == Appraise::kEnforce, instrumented_);
  if (options_.beside) starts_count_from_ = UINT64_MAX;
  ASSAY_TRY(StartGate());
  __atomic_store_n(&programs_->control().active, 1, __ATOMIC_SEQ_CST);
  if (options_.predecessor) ASSAY_TRY(programs_->TakeKnown(*options_.predecessor));
  if (!options_.beside) ASSAY_TRY(StartAsking());
  // Other programs were pinned in place of ours, so nothing has seen what ran meanwhile.
  if (!programs_->unfit().empty())
    TellHook("hooks_silent:" + programs_->unfit().substr(0, programs_->unfit().find(':')));
  tasks_.Start([this] { Watch(); });
  if (programs_->adopted()) log::Info("lsm: took over the programs of an earlier attester");
  return {};
}

// What the hooks tell is recorded, and they are asked whether they do; from here on they are guarded.
Result<> Lsm::StartAsking() {
  if (!events_) {
    ASSAY_ASSIGN(events_,
                 LsmEvents::Start(*programs_, cgroups_, recorder_,
                                  [this](const assay_event& e, const Context& c) { TakeEvent(e, c); }));
    tells_ = true;
  }
  {
    const MutexLock lock(mutex_);
    asks_ = true;
  }
  asker_ = Thread("assay-ask-hooks", [this] { AskLoop(); });
  if (options_.guard) ASSAY_TRY(programs_->Guard());
  return {};
}

void Lsm::TakeEvent(const assay_event& event, const Context& context) {
  if (event.kind != ASSAY_STARTED) {
    measurer_->RecordTaken(event, context);
    return;
  }
  if (event.detail >= instrumented_.size() || event.address < starts_count_from_) return;
  starts_.Started({.at_ns = event.address,
                   .process = context.pid,
                   .hook = instrumented_.HookOf(event.detail),
                   .path = event.path,
                   .digest = ProgramOfEvent(event),
                   .context = context});
}

void Lsm::TellStarts(const std::vector<Unannounced>& starts) {
  for (const Unannounced& u : starts) RecordUnannounced(u, recorder_);
}

void Lsm::StopAsking() {
  {
    const MutexLock lock(mutex_);
    asks_ = false;
    stop_.NotifyAll();
  }
  asker_.Join();
}

// What the successor loads into the kernel and executes for itself is no longer asked about: its program and
// what it has mapped are measured by now. The hooks are not asked meanwhile: the successor's would take that
// for loads.
Result<std::vector<UniqueFd>> Lsm::PrepareToLeave(pid_t successor) {
  StopAsking();
  ASSAY_TRY(programs_->Mark(successor, ASSAY_ROLE_EXEMPT));
  return programs_->Known();
}

void Lsm::Stay() {
  if (const Result<> r = StartAsking(); !r) log::Error("lsm: {}", r.error().Message());
}

Result<> Lsm::BeginAlone() {
  alone_ = true;
  ASSAY_TRY(programs_->Pin());
  programs_->control().refuse = limits_.expiry == Expiry::kRefuse ? 1 : 0;
  return StartAsking();
}

Result<> Lsm::StartGate() {
  GateOptions gate;
  gate.dir = options_.run_dir + "/gate";
  gate.limit = options_.gate_limit;
  gate.ask = [this](pid_t tid, GateReply reply, bool hurry) { Take(tid, std::move(reply), hurry); };
  gate.mark = [this](pid_t pid) -> Result<> {
    if (options_.helper && options_.beside && !alone_) ASSAY_TRY(options_.helper(pid));
    return programs_->Mark(pid, ASSAY_ROLE_GATE | ASSAY_ROLE_EXEMPT);
  };
  ASSAY_ASSIGN(gate_, Gate::Start(std::move(gate)));
  gate_since_ = Clock::now();
  __atomic_store_n(&programs_->control().gate, static_cast<std::uint32_t>(gate_->pid()), __ATOMIC_SEQ_CST);
  return {};
}

// Runs on a thread of the gate. The common case is handled at once, because passing it on to a worker costs
// as much as measuring a small file.
void Lsm::Take(pid_t tid, GateReply reply, bool hurry) {
  const std::optional<assay_request> request = programs_->Request(tid);
  if (!request) return;  // another task's question: the dropped reply is an error
  auto task = std::make_shared<LsmTask>(std::move(reply), *request, cgroups_);
  tasks_.Count([](EngineStats& stats) { ++stats.events; });
  tasks_.Take(task);
  task->must_be_known = measurer_->MayHaveToBeKnown();
  const bool served = task->Has(ASSAY_SERVED);
  const bool slow = task->Has(ASSAY_SHARED) || request->size >= kLarge;
  if (!hurry && !served && !slow && tasks_.QuickIsIdle()) {
    measurer_->Handle(task);
    return;
  }
  const auto work = [self = shared_from_this(), task] { self->measurer_->Handle(task); };
  if (served)
    tasks_.PushServed(request->mount, request->uid, task, work);
  else
    tasks_.Push(slow ? WorkKind::kSlow : WorkKind::kQuick, request->uid, task, work);
}

// Replaces a gate that has ended, because this process was stopped for too long or the gate was killed. The
// kernel's side has kept the names of what ran meanwhile.
void Lsm::KeepGate() {
  if (gate_ && gate_->Alive()) {
    gate_->Beat();
    return;
  }
  if (options_.beside && !alone_) return;  // the other attester holds each task, and knows one gate of ours
  if (Clock::now() - gate_since_ < kRestartPause) return;
  gate_since_ = Clock::now();
  log::Error("lsm: the gate ended; another is started");
  retired_ = Thread("assay-gate-end", [old = std::move(gate_)]() mutable { old.reset(); });
  const Result<> started = StartGate();
  tasks_.Count([](EngineStats& stats) { ++stats.stalls; });
  {
    const MutexLock lock(mutex_);
    failure_ = started ? "" : started.error().Message();
  }
  if (started && tells_) events_->TakeMissed();
}

// Looks whether the kernel's side could not ask or report; LsmEvents records a violation for each case. A
// question in the map whose thread no longer waits takes the place of another one, so old questions are
// dropped.
void Lsm::LookForLosses() {
  const assay_control& control = programs_->control();
  const std::uint64_t losses = __atomic_load_n(&control.unasked, __ATOMIC_RELAXED) +
                               __atomic_load_n(&control.events_lost, __ATOMIC_RELAXED);
  bool more = false;
  {
    const MutexLock lock(mutex_);
    more = losses != losses_;
    losses_ = losses;
    if (more) last_loss_ = Clock::now();
  }
  if (!more) return;
  const std::size_t dropped = programs_->DropStaleRequests(limits_.deadline + options_.gate_limit + kStale);
  log::Error("lsm: {} load(s) or event(s) were not asked about or told; {} old question(s) dropped", losses,
             dropped);
}

// The name has the time since the boot, because the recorder keeps only one of several records in a row with
// the same name.
void Lsm::TellHook(const std::string& hook) {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const std::string what = hook + "@" + std::to_string(now.tv_sec);
  const Context context{
      .time_ms = NowMs(), .pid = getpid(), .uid = getuid(), .comm = "assayd", .hook = "hooks_silent"};
  if (const auto r = recorder_.RecordViolation(Violation::kHooksSilent, what, context); !r)
    log::Error("{}: {}", what, r.error().Message());
  tasks_.Count([](EngineStats& stats) { ++stats.violations; });
}

// The hooks can be switched off without a notice (kernel.ftrace_enabled, a removed pin). While a hook is
// silent, and when it is back, no file is clean, because it is not known what was written meanwhile.
void Lsm::AskHooks() {
  std::set<std::string> silent = self_->Ask(*programs_, GatePid());
  std::set<std::string> before;
  {
    const MutexLock lock(mutex_);
    if (stopped_) return;  // the hooks are being removed
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

// The watchdog of the held tasks calls this ten times a second, so that the gate's beat shows that the
// watchdog runs.
void Lsm::Watch() {
  KeepGate();
  LookForLosses();
}

// Runs in a thread of its own, because the test calls and the records that it makes may take their time.
void Lsm::AskLoop() {
  while (true) {
    AskHooks();
    programs_->ReleaseDetached();
    TellStarts(starts_.Due(MonotonicNs()));
    const MutexLock lock(mutex_);
    if (stop_.WaitFor(mutex_, kAskEach, [this]() ASSAY_REQUIRES(mutex_) { return stopped_ || !asks_; }))
      return;
  }
}

EngineStats Lsm::Stats() const {
  EngineStats stats = tasks_.Stats();
  stats.untold = notices_->Dropped();
  if (measurer_) stats.refused = measurer_->Refused();
  if (programs_) {
    const assay_control& control = programs_->control();
    stats.clean += control.clean_hits;
    stats.unasked = control.unasked;
    stats.lost = control.events_lost;
  }
  if (tells_) stats.violations += events_->violations();
  return stats;
}

Result<> Lsm::Health() const {
  {
    const MutexLock lock(mutex_);
    if (stopped_) return Fail(StateError(EngineError::kStopped, "the engine is stopped"));
    if (!failure_.empty()) return Fail(StateError(LsmError::kGate, "nobody is asked: " + failure_));
    if (last_loss_ && Clock::now() - *last_loss_ < kLossLasts)
      return Fail(StateError(LsmError::kLoss, "the kernel's side could not ask about or tell " +
                                                  std::to_string(losses_) + " load(s) or event(s)"));
    if (!silent_.empty()) {
      std::string names;
      for (const std::string& name : silent_) names += " " + name;
      return Fail(StateError(LsmError::kHooksSilent, "hooks are not called:" + names));
    }
  }
  return tasks_.Health();
}

bool Lsm::Follow(const std::shared_ptr<const Policy>& policy) {
  RulesOptions options = rules_options_;
  options.policy = policy;
  auto rules = std::make_shared<Rules>(options, notices_);
  const std::string text(rules->policy().text());
  const std::uint32_t opens = OpensOf(rules->policy());
  programs_->BeginPolicy();
  measurer_->Follow(std::move(rules));
  programs_->control().opens = opens;
  programs_->EndPolicy(text);
  return true;
}

void Lsm::StopAfter(std::chrono::milliseconds drain) {
  {
    const MutexLock lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    stop_.NotifyAll();
  }
  if (programs_) programs_->Remove();  // no new questions
  tasks_.LetGoOfAll(drain);
  asker_.Join();
  notices_->Stop(kTellPatience);
  gate_.reset();  // a task that waits still gets an error from the kernel and goes on
  retired_.Join();
  tasks_.StopLanes();
  tells_ = false;
  events_.reset();
  TellStarts(starts_.Rest());
}

}  // namespace

Result<> ProbeLsm() { return LsmPrograms::Probe(); }

void RemoveLsm(const std::string& run_dir) { LsmPrograms::RemovePinned(run_dir + kPins); }

Result<std::unique_ptr<Engine>> StartLsm(const LsmOptions& options, const RulesOptions& rules,
                                         const HeldLimits& limits, Recorder& recorder) {
  auto engine = std::make_shared<Lsm>(options, rules, limits, recorder);
  auto handle = std::make_unique<EngineHandle>(engine);
  ASSAY_TRY(engine->Start());
  return std::unique_ptr<Engine>(std::move(handle));
}

}  // namespace assay::measure
