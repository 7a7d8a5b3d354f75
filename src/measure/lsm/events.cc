#include "measure/lsm/events.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <memory>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "measure/engine/engine.h"
#include "measure/engine/measure_file.h"
#include "measure/lsm/errors.h"
#include "measure/lsm/file.h"
#include "measure/system/file.h"
#include "measure/system/file_id.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

constexpr int kPollMs = 100;
constexpr auto kDevices = std::chrono::seconds(1);     // a driver may be loaded at any time
constexpr auto kLastWords = std::chrono::seconds(20);  // shorter than a service manager's patience
constexpr auto kStopPatience = std::chrono::seconds(1);
constexpr auto kLatePatience = std::chrono::seconds(1);  // with one file that ran unanswered

// The number in "/proc/123/mem"; 0 for others.
pid_t ProcessIn(std::string_view path) {
  constexpr std::string_view kProc = "/proc/";
  pid_t pid = 0;
  if (path.starts_with(kProc)) std::from_chars(path.data() + kProc.size(), path.data() + path.size(), pid);
  return pid;
}

std::optional<Violation> ViolationOf(std::uint32_t kind) {
  switch (kind) {
    case ASSAY_TOMTOU:
    case ASSAY_CHANGED_BUFFER:
      return Violation::kToMToU;
    case ASSAY_MPROTECT:
      return Violation::kMprotect;
    case ASSAY_MODIFIED_CODE:
      return Violation::kModifiedCode;
    case ASSAY_ANONYMOUS_CODE:
      return Violation::kAnonymousCode;
    case ASSAY_WRITABLE_CODE:
      return Violation::kWritableCode;
    case ASSAY_PROCESS_ACCESS:
      return Violation::kProcessAccess;
    case ASSAY_RAW_DEVICE:
      return Violation::kRawDevice;
    case ASSAY_KERNEL_MEMORY:
      return Violation::kKernelMemory;
    case ASSAY_KEXEC_LOAD:
      return Violation::kKexecLoad;
    case ASSAY_GUARDED:
      return Violation::kGuarded;
    case ASSAY_USERFAULT:
      return Violation::kUserfault;
    case ASSAY_IDENTITY:
      return Violation::kIdentity;
    case ASSAY_HOOKS_OFF:
      return Violation::kHooksOff;
    case ASSAY_LOCKDOWN:
      return Violation::kLockdown;
    default:
      return std::nullopt;
  }
}

// Whether the event's path is that of the program that did it.
bool IsDeed(std::uint32_t kind) {
  return kind == ASSAY_WRITABLE_CODE || kind == ASSAY_ANONYMOUS_CODE || kind == ASSAY_MODIFIED_CODE ||
         kind == ASSAY_GUARDED || kind == ASSAY_USERFAULT || kind == ASSAY_IDENTITY ||
         kind == ASSAY_HOOKS_OFF || kind == ASSAY_LOCKDOWN || kind == ASSAY_KEXEC_LOAD;
}

// The recorder keeps only one of several records in a row with the same name. So the name says what the
// program did, and differs from the name of its file.
std::string Deed(Violation v, const std::string& program) {
  return std::string(ViolationName(v)) + ":" + program;
}

// The reason in the kernel's own words, in lower case.
std::string_view ReasonName(std::uint32_t reason) {
  static constexpr std::array<std::string_view, ASSAY_REASONS> kNames = {
      "",       "efi-test",    "pci",        "ioport",    "msr",       "acpi",    "device-tree",
      "pcmcia", "serial-port", "parameters", "mmiotrace", "bpf-write", "debugger"};
  return reason < kNames.size() ? kNames[reason] : "";
}

}  // namespace

std::optional<Digest> ProgramOfEvent(const assay_event& event) {
  if ((event.flags & ASSAY_EVENT_PROGRAM) == 0) return std::nullopt;
  Result<Digest> digest = Digest::Of(HashAlg::kSha256, ByteView(event.program));
  if (!digest || digest->AllBytes(0)) return std::nullopt;
  return *digest;
}

// Devices of the files that are being read.
struct EventReads {
  Mutex mutex;
  std::multiset<dev_t> devices ASSAY_GUARDED_BY(mutex);
};

struct LsmEvents::Impl {
  const LsmPrograms* programs = nullptr;
  Cgroups* cgroups = nullptr;
  Recorder* recorder = nullptr;
  std::function<void(const assay_event&)> on_event;
  OnTaken on_taken;
  bpf::RingPtr ring;
  std::atomic<bool> stop{false}, take_missed{true};
  std::chrono::steady_clock::time_point stopped;  // set before stop
  std::atomic<std::uint64_t> violations{0};
  std::uint64_t lost = 0, unnamed = 0, unasked = 0, unanswered = 0;
  std::chrono::steady_clock::time_point devices_found;
  Thread thread;
  Lane lane{{.workers = 1, .name = "assay-places"}};
  UseGate uses;
  std::shared_ptr<EventReads> reading = std::make_shared<EventReads>();

  void Loop();
  void Handle(const assay_event& event);
  void HandleMissed();
  void CountLosses();
  void Report(Violation v, const std::string& path, const Context& context,
              const std::optional<Digest>& program = std::nullopt);
  void MeasureLate(const std::string& path, const Context& context);
  void MeasureLate(std::shared_ptr<const UniqueFd> place, const Context& context);
};

void LsmEvents::Impl::Report(Violation v, const std::string& path, const Context& context,
                             const std::optional<Digest>& program) {
  ++violations;
  if (const Result<Recorded> r = recorder->RecordViolation(v, path, context, program); !r)
    log::Error("{}: {}", path, r.error().Message());
}

// Measures what was loaded without being held. The violation beside it says that the measurement came late.
void LsmEvents::Impl::MeasureLate(const std::string& path, const Context& context) {
  if (!path.starts_with('/')) return;
  lane.Push(context.uid, [path, context, to = recorder, gate = uses](bool dropped) mutable {
    if (dropped) return;
    if (const Result<Recorded> r = MeasurePath(path, context, *to, &gate); !r)
      log::Debug("{} is gone: {}", path, r.error().Message());
  });
}

void LsmEvents::Impl::MeasureLate(std::shared_ptr<const UniqueFd> place, const Context& context) {
  const std::optional<FileId> id = IdOf(place->get());
  lane.Push(context.uid, [place = std::move(place), device = id ? id->first : 0, context, to = recorder,
                          gate = uses, now = reading](bool dropped) mutable {
    if (dropped) return;
    {
      const MutexLock lock(now->mutex);
      now->devices.insert(device);
    }
    const std::string path = "/proc/self/fd/" + std::to_string(place->get());
    if (const Result<Recorded> r = MeasurePath(path, context, *to, &gate); !r)
      log::Warn("{}", r.error().Message());
    const MutexLock lock(now->mutex);
    now->devices.erase(now->devices.find(device));
  });
}

void LsmEvents::Impl::Handle(const assay_event& event) {
  Context context{.time_ms = NowMs(),
                  .pid = static_cast<pid_t>(event.tgid),
                  .uid = event.uid,
                  .comm = event.comm,
                  .hook = HookName(event.kind, event.detail),
                  .cgroup = cgroups->Path(event.cgroup)};
  if (event.kind == ASSAY_OWN_LOAD) {
    context.hook = "own";
    MeasureLate(event.path, context);
    return;
  }
  if (event.kind == ASSAY_BUFFER_TAKEN || event.kind == ASSAY_STARTED) {
    if (on_taken) on_taken(event, context);
    return;
  }
  const std::optional<Violation> violation = ViolationOf(event.kind);
  if (!violation) return;
  std::string path = event.path;
  // Some hooks get only the last name, so the inode tells files of the same name apart.
  if (event.kind == ASSAY_TOMTOU && !path.starts_with('/'))
    path = "inode:" + std::to_string(event.dev >> 20) + ":" + std::to_string(event.dev & 0xfffff) + ":" +
           std::to_string(event.ino) + ":" + path;
  Result<UniqueFd> mapped = Fail(StateError(LsmError::kFile, "not a mapping"));
  if (event.kind == ASSAY_MPROTECT) {
    mapped = OpenMapped(context.pid, event.address);
    if (mapped) {
      if (const Result<std::string> name = NameOfFd(mapped->get()); name) path = *name;
    }
  } else if (event.kind == ASSAY_PROCESS_ACCESS) {
    const pid_t target = event.target != 0 ? static_cast<pid_t>(event.target) : ProcessIn(path);
    path = Deed(*violation, ProgramOf(target, event.comm));
  } else if (IsDeed(event.kind) || path.empty()) {
    // The name that the hook saw is used, because the process may have changed its name by now.
    path = Deed(*violation, path.empty() ? ProgramOf(context.pid, event.comm) : path);
    if (event.kind == ASSAY_LOCKDOWN)
      path.insert(ViolationName(*violation).size(), ":" + std::string(ReasonName(event.detail)));
  }
  Report(*violation, path, context, ProgramOfEvent(event));
  if (mapped) {
    context.hook = "mprotect";
    MeasureLate(std::make_shared<const UniqueFd>(std::move(*mapped)), context);
  }
  if (event.kind == ASSAY_CHANGED_BUFFER) {
    const Result<Digest> digest = Digest::Of(HashAlg::kSha256, ByteView(event.digest));
    if (digest && !digest->AllBytes(0)) {
      if (const Result<Recorded> r = recorder->Record({*digest, path, context}); !r)
        log::Error("{}", r.error().Message());
    }
  }
}

// The kernel's side forgets a name when the callback has returned. The content is measured by then, so that a
// kill loses nothing. If a file's server never answers, only the names are recorded, of this file and of
// those after it.
void LsmEvents::Impl::HandleMissed() {
  bool hangs = false;
  programs->TakeMissed([&](const assay_missed& missed) {
    if (stop && std::chrono::steady_clock::now() > stopped + kLastWords) {
      Report(Violation::kUnanswered, "unnamed:rest",
             {.time_ms = NowMs(), .pid = getpid(), .uid = 0, .comm = "assayd", .hook = "missed"});
      return false;
    }
    Context context{.time_ms = NowMs(),
                    .pid = static_cast<pid_t>(missed.tgid),
                    .uid = missed.uid,
                    .comm = missed.comm,
                    .hook = "missed",
                    .cgroup = cgroups->Path(missed.cgroup),
                    .late = true};
    const std::string path = missed.path[0] != 0 ? missed.path : std::string("unknown:") + missed.comm;
    Report(Violation::kUnanswered, path, context);
    if ((missed.kinds & (1U << ASSAY_EXEC | 1U << ASSAY_MMAP | 1U << ASSAY_KERNEL_READ)) != 0)
      MeasureLate(path, context);
    hangs = hangs || !lane.WaitIdle(kLatePatience);
    return true;
  });
}

void LsmEvents::Impl::CountLosses() {
  const assay_control& control = programs->control();
  const std::uint64_t now_lost = __atomic_load_n(&control.events_lost, __ATOMIC_RELAXED);
  const std::uint64_t now_unnamed = __atomic_load_n(&control.missed_unnamed, __ATOMIC_RELAXED);
  const std::uint64_t now_unasked = __atomic_load_n(&control.unasked, __ATOMIC_RELAXED);
  const std::uint64_t now_missed = __atomic_load_n(&control.missed, __ATOMIC_RELAXED);
  const Context context{
      .time_ms = NowMs(), .pid = getpid(), .uid = getuid(), .comm = "assayd", .hook = "lost"};
  if (now_lost > lost) Report(Violation::kUnmeasurable, "events:" + std::to_string(now_lost), context);
  if (now_unnamed > unnamed)
    Report(Violation::kUnanswered, "unnamed:" + std::to_string(now_unnamed), context);
  if (now_unasked > unasked)
    Report(Violation::kUnanswered, "unasked:" + std::to_string(now_unasked), context);
  if (now_missed > unanswered) take_missed = true;  // also if the attester lived and could not answer
  lost = now_lost;
  unnamed = now_unnamed;
  unasked = now_unasked;
  unanswered = now_missed;
}

void LsmEvents::Impl::Loop() {
  while (!stop) {
    if (take_missed.exchange(false)) HandleMissed();
    const int n = ring_buffer__poll(ring.get(), kPollMs);
    if (n < 0 && n != -EINTR) {
      log::Error("lsm: {}", OsError("ring_buffer__poll", "events", -n).Message());
      std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
    }
    CountLosses();
    lane.Tick();
    if (const auto now = std::chrono::steady_clock::now(); now > devices_found + kDevices) {
      programs->FindCommandDevices();
      devices_found = now;
    }
  }
  // The BPF programs are removed by now. Their last events, and the names that are still missing, are
  // recorded here.
  ring_buffer__consume(ring.get());
  HandleMissed();
  CountLosses();
  // Waits as long as the lane makes progress.
  std::size_t before = SIZE_MAX;
  while (!lane.WaitIdle(kStopPatience) && lane.Waiting() < before &&
         std::chrono::steady_clock::now() < stopped + kLastWords) {
    before = lane.Waiting();
    lane.Tick();
  }
}

LsmEvents::LsmEvents(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<LsmEvents>> LsmEvents::Start(const LsmPrograms& programs, Cgroups& cgroups,
                                                    Recorder& recorder, OnTaken on_taken) {
  auto impl = std::make_unique<Impl>();
  Impl& d = *impl;
  d.programs = &programs;
  d.cgroups = &cgroups;
  d.recorder = &recorder;
  d.on_taken = std::move(on_taken);
  d.on_event = [&d](const assay_event& event) { d.Handle(event); };
  ASSAY_ASSIGN(d.ring, programs.OpenEvents(&d.on_event));
  d.thread = Thread("assay-events", [&d] { d.Loop(); });
  return std::unique_ptr<LsmEvents>(new LsmEvents(std::move(impl)));
}

LsmEvents::~LsmEvents() {
  impl_->stopped = std::chrono::steady_clock::now();
  impl_->stop = true;
  impl_->thread.Join();
  impl_->uses.Close();
  impl_->lane.Stop(kStopPatience, [this] {
    const MutexLock lock(impl_->reading->mutex);
    for (const dev_t device : impl_->reading->devices)
      if (AbortFuse(device)) log::Error("lsm: a server did not answer: its connection is ended");
  });
}

void LsmEvents::TakeMissed() { impl_->take_missed = true; }
std::uint64_t LsmEvents::violations() const { return impl_->violations; }

}  // namespace assay::measure
