// The fanotify engine. Permission events on mounts hold the task that opens a file; what was measured gets an
// inode mark with an ignore mask, which the kernel itself drops on the next modification, so that a clean
// file costs nothing.
#include "measure/fanotify/fanotify.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "measure/engine/engine_handle.h"
#include "measure/engine/errors.h"
#include "measure/fanotify/errors.h"
#include "measure/fanotify/fanotify_group.h"
#include "measure/fanotify/fanotify_marks.h"
#include "measure/fanotify/served_process.h"
#include "measure/system/mount_watch.h"
#include "measure/system/mounts.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaxServed = 64;  // processes
constexpr auto kStartPatience = std::chrono::seconds(1);
constexpr auto kKeep = std::chrono::seconds(1);
constexpr unsigned kLookForMounts = 5;                    // rounds of the keeper
constexpr auto kLeavePatience = std::chrono::seconds(1);  // the same at a handover
constexpr auto kEndPatience = std::chrono::seconds(8);    // with the processes of served mounts

bool IsUnder(const std::string& point, const std::string& root) {
  return root == "/" || point == root || point.starts_with(root + "/");
}

class Fanotify : public Engine, public std::enable_shared_from_this<Fanotify> {
 public:
  Fanotify(FanotifyOptions options, RulesOptions rules, HeldLimits limits, Recorder& recorder)
      : options_(std::move(options)),
        rules_(std::move(rules)),
        limits_(std::move(limits)),
        sink_(recorder),
        group_(std::make_shared<FanotifyGroup>(
            sink_, rules_, limits_,
            FanotifyGroupOptions{.filesystems = options_.filesystems, .served_device = 0})) {}
  ~Fanotify() override { Stop(); }
  Result<> Start();

  std::string Name() const override { return "fanotify"; }
  EngineStats Stats() const override;
  Result<> Health() const override;
  void Stop() override { StopAll(std::nullopt); }
  void Leave() override { StopAll(limits_.deadline); }

 private:
  void StopAll(std::optional<std::chrono::milliseconds> leave);  // leave: how long what is held may take
  // A mount with a process of its own.
  struct Served {
    Mount mount;
    std::unique_ptr<ServedProcess> process;  // null: it ended, another one is to be started
    std::string failure;                     // why it could not be started again
    EngineStats before;                      // of the processes that have ended
  };

  Result<> MarkAll();
  Result<> Mark(const Mount& mount, const std::vector<Mount>& mounts);
  Result<> MarkServed(const Mount& mount);
  Result<std::unique_ptr<ServedProcess>> StartProcess(const Mount& mount);
  void TellHelpers() ASSAY_REQUIRES(mutex_);
  void OnMount(const Mount& mount);
  void Keep();
  void ReplaceEnded();
  void ForgetGone();
  void Fault(const std::string& what);

  const FanotifyOptions options_;
  const RulesOptions rules_;
  const HeldLimits limits_;
  RecorderSink sink_;
  std::shared_ptr<FanotifyGroup> group_;
  std::unique_ptr<MountWatch> watch_;
  Thread keeper_;
  Lane starts_{{.workers = 4}};  // of processes for mounts that appear

  mutable Mutex mutex_;
  CondVar stop_;
  std::map<std::uint64_t, Served> served_ ASSAY_GUARDED_BY(mutex_);  // by the mount's number
  EngineStats gone_ ASSAY_GUARDED_BY(mutex_);                        // of mounts that are no more
  std::string failure_ ASSAY_GUARDED_BY(mutex_);                     // of a mark: reported by Health()
  bool stopped_ ASSAY_GUARDED_BY(mutex_) = false;
};

Result<> Fanotify::Start() {
  ASSAY_TRY(group_->Start());
  // The watch starts before the marks are set, so that no mount is missed in between.
  ASSAY_ASSIGN(watch_, MountWatch::Start([this](const Mount& m) { OnMount(m); }));
  ASSAY_TRY(MarkAll());
  keeper_ = Thread("assay-keep", [this] { Keep(); });
  return {};
}

Result<> Fanotify::MarkAll() {
  ASSAY_ASSIGN(const std::vector<Mount> mounts, ReadMounts());
  if (options_.beside) {
    for (const Mount& m : mounts) {
      const bool ours = std::any_of(options_.mounts.begin(), options_.mounts.end(),
                                    [&](const std::string& root) { return IsUnder(m.point, root); });
      if (ours && HoldsFiles(m) && IsServedMount(m, mounts)) ASSAY_TRY(MarkServed(m));
    }
  }
  for (const std::string& root : options_.mounts) {
    const Mount* const covering = MountOf(root, mounts);
    Mount mount = covering != nullptr ? *covering : Mount{};
    mount.point = root;
    ASSAY_TRY(Mark(mount, mounts));
    for (const Mount& m : mounts) {
      if (m.point == root || !IsUnder(m.point, root) || !HoldsFiles(m)) continue;
      // A mount that another one hides can't be reached, and needs no mark.
      if (const Result<> r = Mark(m, mounts); !r) log::Warn("not marked: {}", r.error().Message());
    }
  }
  return {};
}

Result<> Fanotify::Mark(const Mount& mount, const std::vector<Mount>& mounts) {
  return IsServedMount(mount, mounts) ? MarkServed(mount) : group_->Mark(mount.point);
}

Result<std::unique_ptr<ServedProcess>> Fanotify::StartProcess(const Mount& mount) {
  ServedSetup setup{.point = mount.point,
                    .filesystem = options_.filesystems,
                    .bank = sink_.Bank(),
                    .policy = {},
                    .appraise = rules_.appraise,
                    .extensions = rules_.extensions,
                    .initramfs_device = rules_.initramfs_device,
                    .limits = limits_};
  setup.device = ParseDevice(mount.device).value_or(0);
  setup.policy = rules_.policy ? rules_.policy->text() : std::string(*Policy::BuiltIn("default"));
  setup.limits.exempt.insert(getpid());
  const std::string program =
      options_.served_program.empty() ? DefaultServedProgram() : options_.served_program;
  return ServedProcess::Start(
      program, setup,
      {.sink = &sink_,
       .uses = group_->uses(),
       .known = rules_.known,
       .refused = [group = group_.get()](Refusal r) { group->notices().Refused(std::move(r)); }});
}

Result<> Fanotify::MarkServed(const Mount& mount) {
  {
    const MutexLock lock(mutex_);
    if (served_.contains(mount.id)) return {};
    if (served_.size() >= kMaxServed)
      return Fail(StateError(FanotifyError::kServedMany, "too many served mounts"));
  }
  Result<std::unique_ptr<ServedProcess>> process = StartProcess(mount);
  if (process) {
    const MutexLock lock(mutex_);
    if (stopped_) return Fail(StateError(EngineError::kStopped, "the engine is stopped"));
    served_[mount.id] = {.mount = mount, .process = std::move(*process), .failure = "", .before = {}};
    TellHelpers();
    return {};
  }
  const auto* const os = process.error().As<OsError>();
  if (os == nullptr || os->call != "posix_spawn") return Fail(process.error());
  ASSAY_TRY(group_->Mark(mount.point));
  Fault("the mount " + mount.point + " has no process of its own: " + process.error().Message());
  return {};
}

void Fanotify::TellHelpers() {
  std::set<pid_t> pids;
  for (const auto& [id, served] : served_)
    if (served.process) pids.insert(served.process->pid());
  group_->SetHelpers(pids);
}

void Fanotify::Fault(const std::string& what) {
  {
    const MutexLock lock(mutex_);
    failure_ = what;
  }
  log::Error("fanotify: {}", what);
}

void Fanotify::OnMount(const Mount& m) {
  group_->MountsChanged();
  const bool ours = std::any_of(options_.mounts.begin(), options_.mounts.end(),
                                [&](const std::string& root) { return IsUnder(m.point, root); });
  if (!ours) return;
  const auto mark = [this, m](const std::vector<Mount>& mounts) {
    if (const Result<> r = Mark(m, mounts); !r)
      Fault("the mount " + m.point + " is not measured: " + r.error().Message());
  };
  const Result<std::vector<Mount>> mounts = ReadMounts();
  if (!mounts) {
    Fault("the mount " + m.point + " is not measured: " + mounts.error().Message());
  } else if (IsServedMount(m, *mounts)) {
    // The start of the process may hang in the mount's file system, and further mounts must not wait for it.
    starts_.Push(0, [self = shared_from_this(), mark, all = *mounts](bool dropped) {
      if (!dropped) mark(all);
    });
  } else {
    mark(*mounts);
  }
}

void Fanotify::Keep() {
  for (unsigned round = 1; true; ++round) {
    {
      const MutexLock lock(mutex_);
      if (stop_.WaitFor(mutex_, kKeep, [this]() ASSAY_REQUIRES(mutex_) { return stopped_; })) return;
      if (served_.empty()) continue;
    }
    if (round % kLookForMounts == 0) ForgetGone();
    ReplaceEnded();
  }
}

// It is not known which files were opened on the mount meanwhile, and the list says so.
void Fanotify::ReplaceEnded() {
  std::vector<Mount> ended;
  std::vector<std::unique_ptr<ServedProcess>> processes;
  {
    const MutexLock lock(mutex_);
    for (auto& [id, served] : served_) {
      if (served.process && served.process->Alive()) continue;
      if (served.process) {
        AddTo(served.before, served.process->Stats());
        ++served.before.stalls;
        processes.push_back(std::move(served.process));
      }
      ended.push_back(served.mount);
    }
  }
  for (const std::unique_ptr<ServedProcess>& process : processes) process->End(Clock::now());
  for (const Mount& mount : ended) {
    Result<std::unique_ptr<ServedProcess>> process = StartProcess(mount);
    if (process) {
      log::Error("fanotify: the process of the mount {} ended; another one is started", mount.point);
      const Context context{
          .time_ms = NowMs(), .pid = getpid(), .uid = 0, .comm = "assayd", .hook = "missed"};
      const auto r = sink_.RecordViolation(Violation::kUnanswered, "mount:" + mount.point, context);
      if (!r) log::Error("{}", r.error().Message());
    }
    const MutexLock lock(mutex_);
    const auto at = served_.find(mount.id);
    if (at == served_.end()) continue;
    at->second.failure = process ? "" : process.error().Message();
    if (process) at->second.process = std::move(*process);
    TellHelpers();
  }
}

void Fanotify::ForgetGone() {
  const Result<std::vector<Mount>> mounts = ReadMounts();
  if (!mounts) return;
  std::vector<std::unique_ptr<ServedProcess>> gone;
  {
    const MutexLock lock(mutex_);
    for (auto at = served_.begin(); at != served_.end();) {
      const bool there =
          std::any_of(mounts->begin(), mounts->end(), [&](const Mount& m) { return m.id == at->first; });
      if (there) {
        ++at;
        continue;
      }
      AddTo(gone_, at->second.before);
      if (at->second.process) {
        AddTo(gone_, at->second.process->Stats());
        gone.push_back(std::move(at->second.process));
      }
      at = served_.erase(at);
    }
    TellHelpers();
  }
  for (const std::unique_ptr<ServedProcess>& process : gone) process->End(Clock::now() + kEndPatience);
}

EngineStats Fanotify::Stats() const {
  EngineStats stats = group_->Stats();
  const MutexLock lock(mutex_);
  AddTo(stats, gone_);
  for (const auto& [id, served] : served_) {
    AddTo(stats, served.before);
    if (served.process) AddTo(stats, served.process->Stats());
  }
  return stats;
}

Result<> Fanotify::Health() const {
  {
    const MutexLock lock(mutex_);
    if (!failure_.empty()) return Fail(StateError(FanotifyError::kMount, failure_));
    for (const auto& [id, served] : served_) {
      if (!served.process)
        return Fail(StateError(FanotifyError::kMount,
                               "the mount " + served.mount.point + " is not measured: " + served.failure));
      if (const Result<> health = served.process->Health(); !health)
        return Fail(health.error().In("the mount " + served.mount.point));
    }
  }
  return group_->Health();
}

// The processes of served mounts are ended first, because this process records what they still measure.
void Fanotify::StopAll(std::optional<std::chrono::milliseconds> leave) {
  {
    const MutexLock lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    stop_.NotifyAll();
  }
  watch_.reset();
  keeper_.Join();
  starts_.Stop(kStartPatience);
  std::map<std::uint64_t, Served> served;
  {
    const MutexLock lock(mutex_);
    served.swap(served_);
  }
  for (const auto& [id, s] : served)
    if (s.process) s.process->AskToStop();
  // A leaving one's end can wait for tasks that the successor's processes hold, and they for us.
  const auto until = Clock::now() + (leave ? kLeavePatience : kEndPatience);
  EngineStats sum;
  for (const auto& [id, s] : served) {
    AddTo(sum, s.before);
    if (!s.process) continue;
    s.process->End(until);
    AddTo(sum, s.process->Stats());
  }
  if (leave)
    group_->Leave(*leave);
  else
    group_->Stop();
  const MutexLock lock(mutex_);
  AddTo(gone_, sum);
}

}  // namespace

std::string DefaultServedProgram() {
  char name[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", name, sizeof(name));
  std::string program(name, n > 0 ? static_cast<std::size_t>(n) : 0);
  program.resize(program.rfind('/') + 1);
  return program + "assay-served";
}

Result<> ProbeFanotify() {
  Result<UniqueFd> group = OpenGroup();
  if (!group)
    return Fail(StateError(FanotifyError::kPermission,
                           "fanotify permission events can't be had: " + group.error().Message()));
  char name[] = "/tmp/assay-probe.XXXXXX";
  const UniqueFd file(mkostemp(name, O_CLOEXEC));
  if (!file) return Fail(OsError("mkostemp", name, errno));
  unlink(name);
  if (const Result<> r = IgnoreUntilModified(group->get(), file.get(), true); !r)
    return Fail(
        StateError(FanotifyError::kEvictable, "evictable marks need Linux 5.19: " + r.error().Message()));
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
