// The lsm engine: BPF programs at the kernel's own hooks ask through the gate, workers measure and answer.
// docs/notes/2026-11-24-lsm-engine.md
#include "measure/lsm/lsm.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "measure/engine/engine.h"
#include "measure/engine/engine_handle.h"
#include "measure/engine/lanes.h"
#include "measure/engine/late.h"
#include "measure/engine/rules.h"
#include "measure/lsm/events.h"
#include "measure/lsm/file.h"
#include "measure/lsm/gate.h"
#include "measure/lsm/programs.h"
#include "measure/lsm/self.h"
#include "measure/lsm/storage.h"
#include "measure/system/cgroup.h"
#include "measure/system/file.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t kLarge = std::uint64_t{32} << 20;  // bytes: such files have workers of their own
constexpr char kPins[] = "/bpf";
constexpr unsigned kQuickShare = 8;  // of one user, of the workers for small files
constexpr auto kWatchdog = std::chrono::milliseconds(100);
constexpr unsigned kAskEach = 10;  // rounds of the watchdog
constexpr auto kStalled = std::chrono::seconds(5);
constexpr auto kRestartPause = std::chrono::seconds(1);
constexpr auto kLossLasts = std::chrono::minutes(10);    // in the engine's health
constexpr auto kStale = std::chrono::seconds(5);         // longer than anything takes that has its own limit
constexpr auto kDrain = std::chrono::seconds(2);         // at the end, for what waits already
constexpr auto kStopPatience = std::chrono::seconds(1);  // with each lane's threads

// One thread that waits.
struct Held {
  explicit Held(GateReply r) : reply(std::move(r)) {}
  GateReply reply;
  assay_request request{};
  Clock::time_point since;
  std::uint32_t program = 0;               // what is executed or opens, as the kernel's side shall know it
  bool answered = false;                   // under Lsm::mutex_
  std::atomic<bool> late{false};           // its time is up: nobody waits for its digest any more
  std::atomic<bool> must_be_known{false};  // an appraise rule is enforced for it, or may be
  std::atomic<dev_t> device{0};            // once its file is open
};
using HeldPtr = std::shared_ptr<Held>;

// Whether the content may change after it was hashed.
struct Doubts {
  bool writers = false;  // somebody has it open for writing
  bool shared = false;   // it was mapped shared and writable
  bool pinned = false;   // ... and somebody may hold its pages still
};

class Lsm : public Engine, public std::enable_shared_from_this<Lsm> {
 public:
  Lsm(EngineOptions options, Recorder& recorder)
      : options_(std::move(options)),
        recorder_(recorder),
        rules_(std::make_shared<Rules>(options_)),
        late_(recorder, options_.record_grace),
        quick_({.workers = options_.workers, .share = kQuickShare}),
        slow_({.workers = options_.workers}) {}
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
  Context ContextOf(const assay_request& request);
  std::shared_ptr<Rules> CurrentRules() const;
  Result<> StartGate();
  void Take(pid_t tid, GateReply reply, bool hurry);
  void WatchLoop();
  bool Prune(std::vector<HeldPtr>* expired, std::chrono::milliseconds deadline);
  void Expire(std::chrono::milliseconds deadline);
  std::set<dev_t> DevicesOfHanging() const;
  void LetGo(const HeldPtr& held);
  void KeepGate();
  void LookForLosses();
  void AskHooks();
  void TellHook(const std::string& hook);
  void Handle(const HeldPtr& held);
  void MeasureFile(Held& held, const RequestedFile& file);
  Opener OpenerOf(Held& held);
  void SettleFile(Held& held, const RequestedFile& file, Use& use, Rules& rules, const Result<Digest>& digest,
                  const Doubts& doubts, const Context& context);
  void MeasureDigest(Held& held);
  void RecordTaken(const assay_event& event, const Context& context);
  void Finish(Held& held, const Result<Recorded>& recorded, std::uint32_t flags, const Digest* digest,
              const std::string& path);
  void Answer(Held& held, std::uint32_t flags, const Digest* digest);

  EngineOptions options_;
  Recorder& recorder_;
  std::shared_ptr<Rules> rules_;      // under mutex_
  std::uint64_t refused_before_ = 0;  // by former policies
  Cgroups cgroups_;
  Programs interpreters_;
  std::unique_ptr<LsmPrograms> programs_;
  std::unique_ptr<LsmStorage> storage_;
  std::unique_ptr<LsmSelf> self_;
  std::unique_ptr<LsmEvents> events_;
  std::unique_ptr<Gate> gate_;  // the watchdog's, after Start()
  std::thread retired_;         // ends the one before: one of its threads may still be at work
  Clock::time_point gate_since_;
  std::thread watchdog_;
  UseGate uses_;  // of the recorder, and of what options_ calls
  LateAnswers late_;

  mutable std::mutex mutex_;
  std::list<std::weak_ptr<Held>> held_;      // in order of arrival, for the deadline
  std::list<std::weak_ptr<Held>> given_up_;  // late ones; who is at work on one now may hang
  bool stopping_ = false, stopped_ = false, stalled_ = false;
  std::string failure_;           // of the gate: reported by Health()
  std::set<std::string> silent_;  // hooks that the kernel does not call
  Clock::time_point progress_ = Clock::now();
  std::uint64_t losses_ = 0;  // what the kernel's side could not ask or tell, and when that was last
  std::optional<Clock::time_point> last_loss_;
  std::condition_variable stop_;
  EngineStats stats_;
  Lane quick_, slow_;
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

// What the kernel's side asks of files opened for reading.
std::uint32_t OpensOf(const Policy& policy) {
  if (!policy.Asks(Func::kFileCheck)) return 0;
  return policy.AsksInterpretersOnly() ? ASSAY_OPENS_INTERPRETERS : ASSAY_OPENS_ALL;
}

// What is data to one interpreter is known of all of its sort; under a policy that asks about every open, of
// nobody else.
std::uint32_t DataFlag(const Rules& rules, const Opener& opener) {
  if (!rules.NeedsOpener()) return ASSAY_ANSWER_DATA;
  if (!rules.policy().AsksInterpretersOnly()) return 0;
  return TakesAnyFile(opener.program) ? ASSAY_ANSWER_NO_SCRIPT : ASSAY_ANSWER_DATA;
}

std::uint32_t WireOf(Interpreter program) {
  return static_cast<std::uint32_t>(program) | (TakesAnyFile(program) ? ASSAY_PROGRAM_ANY : 0U);
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
  signal(SIGIO, SIG_IGN);  // guard_sigio lets it through: by default it would end the process
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
  control.opens = OpensOf(rules_->policy());
  control.refuse = options_.expiry == Expiry::kRefuse ? 1 : 0;
  programs_->FindCommandDevices();
  ASSAY_TRY(StartGate());
  __atomic_store_n(&control.active, 1, __ATOMIC_SEQ_CST);
  ASSAY_ASSIGN(events_,
               LsmEvents::Start(*programs_, cgroups_, recorder_,
                                [this](const assay_event& e, const Context& c) { RecordTaken(e, c); }));
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
    if (held_.empty()) progress_ = held->since;
    held_.push_back(held);
  }
  held->must_be_known = options_.appraise == Appraise::kEnforce && CurrentRules()->policy().Appraises();
  const bool slow = (request->flags & (ASSAY_SERVED | ASSAY_SHARED)) != 0 || request->size >= kLarge;
  Lane& lane = slow ? slow_ : quick_;
  if (!hurry && !slow && lane.Waiting() == 0) {
    Handle(held);
    return;
  }
  // Dropped: the engine stops, and whoever waited has an answer.
  lane.Push(request->uid, [self = shared_from_this(), held](bool dropped) {
    if (!dropped && !held->late) self->Handle(held);
  });
}

std::string PathOf(const assay_request& request, const std::string& hook) {
  if (request.kind == ASSAY_BPF) return "bpf-prog:" + std::string(request.path);
  if (request.kind == ASSAY_BUFFER) return "memory:" + hook;
  return request.path[0] != 0 ? request.path : "unknown";
}

void Lsm::Handle(const HeldPtr& held) {
  const std::uint32_t kind = held->request.kind;
  if (kind == ASSAY_BUFFER || kind == ASSAY_BPF) {
    if (!uses_.Enter()) return;
    MeasureDigest(*held);
    uses_.Leave();
    return;
  }
  if ((held->request.flags & ASSAY_UNJUDGED) != 0) storage_->Judge(*programs_);
  const Result<RequestedFile> file = OpenRequested(held->request, *programs_);
  if (file) {
    MeasureFile(*held, *file);
    return;
  }
  if (held->late || !uses_.Enter()) return;
  const Context context = ContextOf(held->request);
  const std::string path = PathOf(held->request, context.hook);
  Finish(*held, recorder_.RecordViolation(Violation::kUnmeasurable, path, context), 0, nullptr, path);
  uses_.Leave();
}

// By what the kernel's side knows already, else by the program's name.
Opener Lsm::OpenerOf(Held& held) {
  const assay_request& r = held.request;
  Opener opener{.path_holds = (r.flags & ASSAY_OUR_ROOT) != 0};
  opener.program = static_cast<Interpreter>(r.detail & ~ASSAY_PROGRAM_ANY);
  if (opener.program == Interpreter::kUnknown) {
    opener.program = InterpreterOfTask(static_cast<pid_t>(r.tid));
    held.program = WireOf(opener.program);
  }
  if (r.words_size != 0)
    opener.words = std::string_view(r.words, std::min<std::size_t>(r.words_size, ASSAY_WORDS));
  opener.words_cut = (r.flags & ASSAY_WORDS_CUT) != 0;
  opener.own_output = (r.flags & ASSAY_WRITERS) != 0 && TakesAnyFile(opener.program) && HasOpen(r);
  return opener;
}

void Lsm::MeasureFile(Held& held, const RequestedFile& file) {
  const int fd = file.file.get();
  struct statx st{};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0)
    held.device = makedev(st.stx_dev_major, st.stx_dev_minor);
  const Context context = ContextOf(held.request);
  const std::shared_ptr<Rules> rules = CurrentRules();
  const bool opened = held.request.kind == ASSAY_OPEN;
  Opener opener;
  if (opened && rules->NeedsOpener()) opener = OpenerOf(held);
  Use use = rules->Look(fd, file.path, static_cast<pid_t>(held.request.tid), {HookOf(held.request)},
                        std::nullopt, opened ? &opener : nullptr);
  held.must_be_known = options_.appraise == Appraise::kEnforce && use.ruling.appraise;
  if (held.request.kind == ASSAY_EXEC)
    held.program = WireOf(interpreters_.Of(file.path, held.request.size, nullptr));
  if (!use.ruling.any()) {
    Answer(held, opened && rules->Lasting(use) ? DataFlag(*rules, opener) : 0, nullptr);
    const std::lock_guard lock(mutex_);
    ++stats_.not_code;
    return;
  }
  Doubts doubts;
  doubts.writers = (held.request.flags & ASSAY_WRITERS) != 0 || IsUnsealedMemory(fd);
  doubts.shared = !doubts.writers && (held.request.flags & ASSAY_SHARED) != 0;
  doubts.pinned = doubts.shared && ((held.request.flags & ASSAY_SERVED) != 0 || !DropPages(fd));
  std::uint64_t bytes = 0;
  const Result<Digest> digest = HashFd(fd, recorder_.options().list_bank, &bytes, &held.late);
  {
    const std::lock_guard lock(mutex_);
    stats_.bytes_hashed += bytes;
  }
  if (digest && held.request.kind == ASSAY_EXEC)
    held.program = WireOf(interpreters_.Of(file.path, held.request.size, &*digest));
  // Given up: that it is unanswered is said elsewhere.
  if ((!digest && held.late) || !uses_.Enter()) return;
  SettleFile(held, file, use, *rules, digest, doubts, context);
  uses_.Leave();
}

void Lsm::SettleFile(Held& held, const RequestedFile& file, Use& use, Rules& rules,
                     const Result<Digest>& digest, const Doubts& doubts, const Context& context) {
  const int fd = file.file.get();
  const std::string& path = file.path;
  const auto [writers, shared, pinned] = doubts;
  const bool allowed = rules.Settle(use, digest && !writers && !pinned ? &*digest : nullptr, context);
  if (!use.ruling.measure) {
    Answer(held, allowed ? 0 : ASSAY_ANSWER_REFUSE, nullptr);
    const std::lock_guard lock(mutex_);
    ++stats_.not_code;
    return;
  }
  if (!digest) {
    log::Warn("measuring {}: {}", path, digest.error().Message());
    Finish(held, recorder_.RecordViolation(Violation::kUnmeasurable, path, context),
           allowed ? 0 : ASSAY_ANSWER_REFUSE, nullptr, path);
    return;
  }
  const std::uint32_t kind = held.request.kind;
  const MemoryHeaders headers =
      kind == ASSAY_EXEC || kind == ASSAY_MMAP ? MemoryHeadersOf(fd) : MemoryHeaders{};
  Result<Recorded> recorded = Recorded{};
  if (writers) recorded = recorder_.RecordViolation(Violation::kOpenWriters, path, context);
  if (pinned) recorded = recorder_.RecordViolation(Violation::kSharedWritable, path, context);
  if (recorded && kind == ASSAY_EXEC && headers.executable_stack)
    recorded = recorder_.RecordViolation(Violation::kAnonymousCode, "stack:" + path, context);
  if (recorded && headers.executable_memory)
    recorded = recorder_.RecordViolation(Violation::kAnonymousCode, "bss:" + path, context);
  if (recorded) recorded = recorder_.Record({*digest, path, context, use.ruling.record, use.facts.known});
  {
    const std::lock_guard lock(mutex_);
    if ((writers || pinned) && recorded) ++stats_.violations;
  }
  const std::uint32_t clean =
      (rules.Lasting(use) ? ASSAY_ANSWER_CLEAN : 0) | (shared && !pinned ? ASSAY_ANSWER_UNPINNED : 0);
  Finish(held, recorded, allowed ? clean : ASSAY_ANSWER_REFUSE, &*digest, path);
}

// The kernel hashed it already.
void Lsm::MeasureDigest(Held& held) {
  const assay_request& request = held.request;
  const Context context = ContextOf(request);
  const std::string path = PathOf(request, context.hook);
  const ByteView bytes(request.digest);
  const Result<Digest> digest = Digest::Of(HashAlg::kSha256, bytes);
  if (!digest || digest->AllBytes(0)) {
    Finish(held, recorder_.RecordViolation(Violation::kUnmeasurable, path, context), 0, nullptr, path);
    return;
  }
  const std::shared_ptr<Rules> rules = CurrentRules();
  Use use = rules->Look(-1, path, static_cast<pid_t>(request.tid), {HookOf(request)});
  const bool allowed = rules->Settle(use, &*digest, context);
  const std::uint32_t flags = allowed ? 0 : ASSAY_ANSWER_REFUSE;
  if (use.ruling.measure)
    Finish(held, recorder_.Record({*digest, path, context, use.ruling.record, use.facts.known}), flags,
           &*digest, path);
  else
    Answer(held, flags, nullptr);
}

// Also where the load fails: code of it may have run. Where it does not, MeasureDigest() has the same record.
void Lsm::RecordTaken(const assay_event& event, const Context& context) {
  const std::string path = "memory:" + context.hook;
  const Result<Digest> digest = Digest::Of(HashAlg::kSha256, ByteView(event.digest));
  if (!digest || digest->AllBytes(0)) {
    if (const auto r = recorder_.RecordViolation(Violation::kUnmeasurable, path, context); !r)
      log::Error("{}: {}", path, r.error().Message());
    return;
  }
  assay_request as_request{};
  as_request.kind = ASSAY_BUFFER;
  as_request.detail = event.detail;
  const Use use = CurrentRules()->Look(-1, path, static_cast<pid_t>(event.tid), {HookOf(as_request)});
  if (!use.ruling.measure) return;
  if (const auto r = recorder_.Record({*digest, path, context, use.ruling.record, use.facts.known}); !r)
    log::Error("{} is not recorded: {}", path, r.error().Message());
}

// The end of every measurement: answer, then count.
void Lsm::Finish(Held& held, const Result<Recorded>& recorded, std::uint32_t flags, const Digest* digest,
                 const std::string& path) {
  const bool refuse = (!recorded || digest == nullptr) && options_.expiry == Expiry::kRefuse;
  {
    const std::lock_guard lock(mutex_);
    if (!recorded)
      ++stats_.errors;
    else if (digest == nullptr)
      ++stats_.violations;
    else
      ++(recorded->is_new ? stats_.measured : stats_.clean);
  }
  const std::uint32_t if_recorded = recorded ? flags : flags & ASSAY_ANSWER_REFUSE;
  Answer(held, refuse ? ASSAY_ANSWER_REFUSE : if_recorded, recorded ? digest : nullptr);
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
  answer.program = held.program;
  if (digest != nullptr && digest->size() == ASSAY_DIGEST) {
    answer.flags |= ASSAY_ANSWER_DIGEST;
    std::memcpy(answer.digest, digest->view().data(), ASSAY_DIGEST);
  }
  held.reply.Answer(answer);
}

// Takes out those that have an answer, and those that waited for longer than `deadline`. False: none is left.
bool Lsm::Prune(std::vector<HeldPtr>* expired, std::chrono::milliseconds deadline) {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  held_.remove_if([&](const std::weak_ptr<Held>& weak) {
    HeldPtr held = weak.lock();
    if (!held || held->answered) return true;
    if (expired == nullptr || now - held->since < deadline) return false;
    held->answered = true;
    held->late = true;
    ++stats_.expired;
    given_up_.push_back(held);
    expired->push_back(std::move(held));
    return true;
  });
  given_up_.remove_if([](const std::weak_ptr<Held>& weak) { return weak.expired(); });
  return !held_.empty();
}

std::set<dev_t> Lsm::DevicesOfHanging() const {
  std::set<dev_t> devices;
  const std::lock_guard lock(mutex_);
  for (const std::weak_ptr<Held>& weak : given_up_)
    if (const HeldPtr held = weak.lock()) devices.insert(held->device);
  return devices;
}

// Its hash ends at the next block. Allowed only after the list says that it was not measured.
void Lsm::LetGo(const HeldPtr& held) {
  Context context = ContextOf(held->request);
  std::string path = PathOf(held->request, context.hook);
  if (options_.expiry == Expiry::kRefuse || held->must_be_known) {
    assay_answer answer{};
    answer.flags = ASSAY_ANSWER_REFUSE;
    held->reply.Answer(answer);
    log::Error("lsm: refused, since it could not be measured in time: {}", path);
    return;
  }
  log::Error("lsm: not measured in time: {}", path);
  late_.Push({.path = std::move(path),
              .context = [context = std::move(context)] { return context; },
              .answer = [held] { held->reply.Answer(assay_answer{}); }});
}

void Lsm::Expire(std::chrono::milliseconds deadline) {
  std::vector<HeldPtr> late;
  const bool waiting = Prune(&late, deadline);
  {
    const std::lock_guard lock(mutex_);
    const bool stalled = waiting && Clock::now() - progress_ > kStalled;
    if (stalled && !stalled_) ++stats_.stalls;
    stalled_ = stalled;
  }
  for (const HeldPtr& held : late) LetGo(held);
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

// The kernel's side could not ask: each is a violation by LsmEvents. A question in the map whose thread no
// longer waits takes another one's place.
void Lsm::LookForLosses() {
  const assay_control& control = programs_->control();
  const std::uint64_t losses = __atomic_load_n(&control.unasked, __ATOMIC_RELAXED) +
                               __atomic_load_n(&control.events_lost, __ATOMIC_RELAXED);
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    more = losses != losses_;
    losses_ = losses;
    if (more) last_loss_ = Clock::now();
  }
  if (!more) return;
  const std::size_t dropped = programs_->DropStaleRequests(options_.deadline + options_.gate_limit + kStale);
  log::Error("lsm: {} load(s) or event(s) were not asked about or told; {} old question(s) dropped", losses,
             dropped);
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
    Expire(options_.deadline);
    late_.Tick();
    for (Lane* lane : {&quick_, &slow_}) lane->Tick();
    KeepGate();
    LookForLosses();
    if (round % kAskEach == 0) AskHooks();
  }
}

EngineStats Lsm::Stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.refused = refused_before_ + rules_->refused();
  stats.queue_depth = quick_.Waiting() + slow_.Waiting();
  stats.unrecorded = late_.Unrecorded();
  if (programs_) {
    const assay_control& control = programs_->control();
    stats.clean += control.clean_hits;
    stats.unasked = control.unasked;
    stats.lost = control.events_lost;
  }
  if (events_) stats.violations += events_->violations();
  return stats;
}

Result<> Lsm::Health() const {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Fail(StateError("engine.stopped", "the engine is stopped"));
  if (!failure_.empty()) return Fail(StateError("engine.lsm-gate", "nobody is asked: " + failure_));
  if (last_loss_ && Clock::now() - *last_loss_ < kLossLasts)
    return Fail(StateError("engine.lsm-loss", "the kernel's side could not ask about or tell " +
                                                  std::to_string(losses_) + " load(s) or event(s)"));
  if (!silent_.empty()) {
    std::string names;
    for (const std::string& name : silent_) names += " " + name;
    return Fail(StateError("engine.hooks-silent", "hooks are not called:" + names));
  }
  if (stalled_) return Fail(StateError("engine.stalled", "no held task was answered for some seconds"));
  return HealthOf(late_);
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
  const std::uint32_t opens = OpensOf(rules->policy());
  programs_->BeginPolicy();
  {
    const std::lock_guard lock(mutex_);
    refused_before_ += rules_->refused();
    rules_ = std::move(rules);
  }
  programs_->control().opens = opens;
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
  const auto until = Clock::now() + kDrain;
  while (Prune(nullptr, {}) && Clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (watchdog_.joinable()) watchdog_.join();
  std::vector<HeldPtr> left;
  Prune(&left, std::chrono::milliseconds(0));
  for (const HeldPtr& held : left) LetGo(held);
  left.clear();
  late_.Stop();
  uses_.Close();
  gate_.reset();  // whoever waits still gets an error from the kernel and goes on
  if (retired_.joinable()) retired_.join();
  const auto unblock = [this] {
    for (const dev_t device : DevicesOfHanging()) {
      if (const Result<> r = AbortFuse(device); r)
        log::Error("a file system's server did not answer: its connection is ended, so that we can end");
      else
        log::Error("a file system does not answer: {}", r.error().Message());
    }
  };
  for (Lane* lane : {&quick_, &slow_}) {
    if (!lane->Stop(kStopPatience, unblock))
      log::Error("lsm: threads hang in file systems and are left behind");
  }
  events_.reset();
}

}  // namespace

Result<> ProbeLsm() { return LsmPrograms::Probe(); }

Result<std::unique_ptr<Engine>> StartLsm(const EngineOptions& options, Recorder& recorder) {
  if (recorder.options().list_bank != HashAlg::kSha256)
    return Fail(
        UsageError("the lsm engine needs SHA-256 as the list's bank: the kernel's side computes no other"));
  auto engine = std::make_shared<Lsm>(options, recorder);
  auto handle = std::make_unique<EngineHandle>(engine);
  ASSAY_TRY(engine->Start());
  return std::unique_ptr<Engine>(std::move(handle));
}

void RemoveLsm(const std::string& run_dir) { LsmPrograms::RemovePinned(run_dir + kPins); }

}  // namespace assay::measure
