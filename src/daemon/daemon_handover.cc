// The attester that leaves, and the one that goes on (handover.h).
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/json_dump.h"
#include "base/log.h"
#include "daemon/daemon_impl.h"
#include "daemon/errors.h"
#include "daemon/handover_leave.h"
#include "daemon/inputs.h"
#include "daemon/mapped_files.h"
#include "daemon/service.h"
#include "measure/engine/measure_file.h"

namespace assay::daemon {

using nlohmann::json;

namespace {

// A predecessor measures all tasks that it holds before it leaves: the longest deadline_ms, and a minute.
constexpr std::chrono::seconds kLeavePatience{660};

}  // namespace

void Daemon::Impl::NoteProgram() {
  if (const Result<std::string> path = OwnProgramPath()) program = *path;
}

// The settings that a successor must share with this attester, and what changed since the start.
HandoverMessage Daemon::Impl::SharedWithSuccessor() {
  HandoverMessage shared{.step = "hold",
                         .run_dir = config.run_dir,
                         .tcti = config.tcti,
                         .scope = std::string(ScopeName(config.scope)),
                         .name_space = own_namespace ? own_namespace->path() : "",
                         .pcr = config.pcr,
                         .kernel_log = logs_to_kernel};
  const MutexLock loading(load_mutex);
  if (policy_loaded) shared.policy = config.engine.rules.policy->text();
  return shared;
}

Result<HandoverMessage> Daemon::Impl::PackForSuccessor() {
  HandoverMessage take{.step = "take", .started_ms = started_ms};
  std::shared_ptr<tpm::RunKey> key;
  {
    const MutexLock lock(mutex);
    take.handovers = handover.number + 1;
    key = run_key;
  }
  if (key) {
    ASSAY_ASSIGN(tpm::SavedRunKey saved, key->Save());
    take.key_context = std::move(saved.context);
    take.key_auth = std::move(saved.auth);
    take.key_public = std::move(saved.public_area);
  }
  handed_over.clear();
  handed_over.emplace_back(fcntl(folder.lock->fd(), F_DUPFD_CLOEXEC, 0));
  if (!handed_over[0]) return Fail(OsError("fcntl", "the list's lock", errno));
  ASSAY_TRY(ShareListeners(take));
  ASSAY_TRY(recorder->Flush());
  return take;
}

Result<> Daemon::Impl::ShareListeners(HandoverMessage& take) {
  const MutexLock lock(mutex);
  if (!server) return {};
  ASSAY_ASSIGN(attest::Listeners listeners, server->ShareListeners());
  if (listeners.local) {
    take.unix_path = ServeUnixPath(config);
    handed_over.push_back(std::move(listeners.local));
  }
  if (listeners.net) {
    take.listen = config.listen;
    handed_over.push_back(std::move(listeners.net));
  }
  return {};
}

// No task passes unmeasured, because the successor's engine holds each task as well by now.
Result<std::vector<UniqueFd>> Daemon::Impl::Leave() {
  left = true;
  fs.reset();
  std::unique_ptr<attest::Server> last_server;
  {
    const MutexLock lock(mutex);
    last_server = std::move(server);
  }
  last_server.reset();
  collector.reset();
  {
    const MutexLock lock(mutex);
    run_key.reset();  // after the last answer that it signs
  }
  if (const auto present = Engine()) present->Leave();
  ASSAY_TRY(recorder->Flush());
  recorder.reset();
  tpm.reset();  // the software TPM serves one connection at a time
  return std::exchange(handed_over, {});
}

Result<pid_t> Daemon::Impl::HandOverToSuccessor(const std::function<void(const Error&)>& late) {
  if (kernel || in_initramfs || !started)
    return Fail(StateError(HandoverError::kNotNow, kernel ? "the kernel records: a restart leaves no gap"
                                                          : "the attester is still starting"));
  if (tpm_gone || recorder->State().degraded)
    return Fail(StateError(HandoverError::kNotNow, "the recorder is degraded"));
  {
    const MutexLock loading(load_mutex);  // released at once, because /run/assay waits for its holder
    handing_over = true;
  }
  LeavingAttester attester{.program = program,
                           .config_path = config_path,
                           .recorder = *recorder,
                           .context = OwnContext(),
                           .hold = SharedWithSuccessor(),
                           .run = recorder->State().gaps + 1,
                           .number = 0,
                           .prepare = {},
                           .helper = {},
                           .stay = {},
                           .pack = [this] { return PackForSuccessor(); },
                           .leave = [this] { return Leave(); },
                           .late = late};
  attester.context.hook = "handover";
  const std::shared_ptr<measure::Engine> present = Engine();
  attester.prepare = [&](pid_t pid) {
    return present ? present->PrepareToLeave(pid) : Result<std::vector<UniqueFd>>(std::vector<UniqueFd>());
  };
  attester.helper = [&](pid_t pid) { return present ? present->MarkHelper(pid) : Result<>(); };
  attester.stay = [&] {
    if (present) present->Stay();
  };
  {
    const MutexLock lock(mutex);
    attester.number = handover.number + 1;
  }
  return HandOver(attester);
}

void Daemon::Impl::NoteRefusal(const Error& refusal) {
  const std::string error = refusal.Message() + " (" + refusal.code() + ")";
  log::Error("{}: {}",
             left ? "the handover failed, and nothing is measured" : "no handover, this attester goes on",
             error);
  const MutexLock lock(mutex);
  handover.error = error;
  handover.code = refusal.code();
  ++handover.refused;
}

Result<pid_t> Daemon::Impl::TryHandOver(const std::function<void(const Error&)>& tell) {
  // A late handover is told by another thread at once, because this one may wait for the TPM for long.
  Result<pid_t> successor = HandOverToSuccessor([&](const Error& late) {
    NoteRefusal(late);
    tell(late);
  });
  if (successor) return successor;
  {
    const MutexLock loading(load_mutex);
    handing_over = false;
  }
  if (!successor.error().Is(HandoverError::kLate)) {
    NoteRefusal(successor.error());
    tell(successor.error());
  }
  return successor;
}

// Whether only a handover can take up the new configuration or the new program.
bool Daemon::Impl::WantsSuccessor() const {
  if (kernel) return false;
  constexpr std::string_view kShared[] = {"run_dir", "tpm/tcti", "record/pcr", "engine/scope"};
  {
    const MutexLock lock(mutex);
    for (const std::string& member : config_state.needs_restart)
      if (std::ranges::find(kShared, member) != std::end(kShared)) return false;
    if (!config_state.needs_restart.empty()) return true;
  }
  return ProgramWasReplaced();
}

bool Daemon::Impl::Follow(const signalfd_siginfo& signal, const ReloadHooks& hooks,
                          std::optional<pid_t>& successor) {
  const auto hand_over = [&](const std::function<void(const Error&)>& tell) {
    if (const Result<pid_t> next = TryHandOver(tell)) successor = *next;
  };
  const auto untold = [](const Error&) {};
  switch (signal.ssi_signo) {
    case SIGHUP: {
      if (hooks.began) hooks.began();
      const Result<> outcome = Reload();
      if (outcome) {
        const MutexLock lock(mutex);
        handover.error.clear();
      }
      const auto ended = [&](const Result<>& how) {
        if (hooks.ended && !left) hooks.ended(how);
      };
      if (outcome && WantsSuccessor())
        hand_over([&](const Error& error) { ended(Fail(error)); });
      else
        ended(outcome);
      break;
    }
    case SIGUSR2:
      hand_over(untold);
      break;
    default:
      // This process ends in any case, because the service manager asked for it.
      if (signal.ssi_signo == SIGTERM && signal.ssi_pid == 1 && IsRestarted()) hand_over(untold);
      return false;
  }
  return !successor && !left;
}

// Starts what a successor needs before the predecessor leaves: its engine, but not the list, the TPM and the
// servers.
Result<> Daemon::Impl::Adopt(HandoverReceived received, const HandoverLink& link) {
  const HandoverMessage& hold = received.message;
  const auto same = [](std::string_view what, const auto& theirs, const auto& ours) -> Result<> {
    if (theirs == ours) return {};
    return Fail(
        StateError(HandoverError::kRestart, std::string(what) + " was changed, which needs a restart"));
  };
  ASSAY_TRY(same("run_dir", hold.run_dir, config.run_dir));
  ASSAY_TRY(same("tpm/tcti", hold.tcti, config.tcti));
  ASSAY_TRY(same("record/pcr", hold.pcr, config.pcr));
  ASSAY_TRY(same("engine/scope", hold.scope, std::string(ScopeName(config.scope))));
  if (hold.kernel_log && config.log.file.empty()) {
    logs_to_kernel = true;
    ASSAY_TRY(log::Init(LogOptions(config)));
  }
  if (!hold.policy.empty()) {
    ASSAY_ASSIGN(measure::Policy policy, measure::Policy::Parse(hold.policy));
    config.engine.rules.policy = std::make_shared<const measure::Policy>(std::move(policy));
    const MutexLock loading(load_mutex);
    policy_loaded = true;
  }
  engine_record = {{"engine", "none"}, {"scope", "none"}};
  if (config.scope == Scope::kNone) return {};
  if (config.scope == Scope::kNamespace) {
    ASSAY_ASSIGN(own_namespace, measure::OwnNamespace::Join(hold.name_space));
  }
  measure::EngineOptions options = OptionsOfEngine();
  options.beside = true;
  options.lsm.helper = [&link](pid_t helper) -> Result<> {
    ASSAY_TRY(link.Send({.step = "helper", .pid = static_cast<std::uint64_t>(helper)}));
    ASSAY_TRY(link.Receive("marked"));
    return {};
  };
  if (!received.fds.empty()) {
    options.lsm.predecessor = std::make_shared<const std::vector<UniqueFd>>(std::move(received.fds));
    if (options.name.empty()) options.name = "lsm";  // no lesser engine takes the place of this one
  }
  options.limits.exempt.insert(predecessor);
  return RunEngine(options);
}

Result<> Daemon::Impl::RecordTakeOver() {
  std::set<std::string> components{attest::DefaultNetProgram()};
  for (const auto& [path, link] : ExecutableMappings("self")) {
    ASSAY_TRY(measure::MeasurePath(link, OwnContext(), *recorder));
    components.insert(path);
  }
  ASSAY_ASSIGN(const std::string self, OwnProgramPath());
  json record{{"by", "successor"},        {"run", recorder->State().gaps + 1},
              {"version", ASSAY_VERSION}, {"pid", getpid()},
              {"executable", self},       {"components", components}};
  {
    const MutexLock lock(mutex);
    record["number"] = handover.number;
  }
  ASSAY_TRY(RecordJson("assay-handover", record));
  ASSAY_TRY(recorder->RecordBuffer("assay-policy", AsBytes(EnginePolicy(config)), OwnContext()));
  if (manifest) ASSAY_TRY(RecordJson("assay-manifest", manifest_record));
  return RecordJson("assay-engine", engine_record);
}

void Daemon::Impl::TakeRunKey(const HandoverMessage& take) {
  if (take.key_context.empty()) return;
  Result<std::unique_ptr<tpm::RunKey>> key =
      tpm::RunKey::Load(*tpm, {take.key_context, take.key_auth, take.key_public});
  if (!key) log::Error("the run key was not taken over: {} ({})", key.error().Message(), key.error().code());
  const MutexLock lock(mutex);
  if (key) run_key = std::move(*key);
}

// The predecessor has left. This process takes the list, lets the tasks that wait go on as they were
// measured, and answers challenges.
Result<> Daemon::Impl::GoOn(HandoverReceived take, std::uint64_t held_since_ms) {
  started_ms = take.message.started_ms;
  {
    const MutexLock lock(mutex);
    handover.number = take.message.handovers;
  }
  std::vector<UniqueFd>& fds = take.fds;
  if (fds.size() != 1U + (take.message.unix_path.empty() ? 0 : 1) + (take.message.listen.empty() ? 0 : 1))
    return Fail(StateError(HandoverError::kRefused, "there are not the descriptors that 'take' names"));
  ASSAY_ASSIGN(folder.lock, measure::ListLock::Adopt(std::move(fds[0])));
  ASSAY_TRY(tpm->Reconnect());
  ASSAY_TRY(recorder->Begin(folder.lock, [this] { return RecordTakeOver(); }));
  left = false;
  run_recorded = true;
  const std::uint64_t now = NowMs();
  log::Info("took over from process {}: tasks waited for {} ms at most", predecessor, now - held_since_ms);
  {
    const MutexLock lock(mutex);
    handover.last_ms = now;
    handover.waited_ms = now - held_since_ms;
  }
  const std::shared_ptr<measure::Engine> present = Engine();
  if (present) ASSAY_TRY(present->BeginAlone());
  ASSAY_ASSIGN(tpm_info, tpm->Info());
  TakeRunKey(take.message);
  AskWhoTheTpmIs();
  ASSAY_TRY(StartFs());
  if (present) present->ServesDevice(fs->Device());
  // If the configuration has another address now, the verifiers that wait at the former one are refused.
  attest::Listeners listeners;
  if (!take.message.unix_path.empty() && take.message.unix_path == ServeUnixPath(config))
    listeners.local = std::move(fds[1]);
  if (!take.message.listen.empty() && take.message.listen == config.listen)
    listeners.net = std::move(fds.back());
  fds.clear();
  if (Result<> r = StartServer(std::move(listeners)); !r)
    log::Error("challenges are not answered yet: {} ({})", r.error().Message(), r.error().code());
  started = true;
  return {};
}

Result<> Daemon::Impl::TakeOver(const HandoverLink& link) {
  ASSAY_ASSIGN(predecessor, link.Peer());
  if (config.engine.name == kKernelIma)
    return Fail(StateError(HandoverError::kRestart, "engine/engine kernel-ima needs a restart"));
  ASSAY_TRY(ServeOptions(config));
  ASSAY_ASSIGN(const std::string tcti, TctiOfTpm());
  if (software && !software->adopted())
    return Fail(StateError(HandoverError::kNotNow, "the software TPM has ended"));
  ASSAY_ASSIGN(tpm::Passwords passwords, ReadPasswords(config));
  ASSAY_ASSIGN(tpm, tpm::Tpm::Unconnected(tcti, std::move(passwords)));
  ASSAY_TRY(TakeManifest());
  recorder = measure::Recorder::Await(OptionsOfRecorder(), *tpm);
  ASSAY_TRY(link.Send({.step = "loaded"}));
  ASSAY_ASSIGN(HandoverReceived hold, link.Receive("hold"));
  const std::uint64_t held_since_ms = NowMs();
  ASSAY_TRY(Adopt(std::move(hold), link));
  ASSAY_TRY(link.Send({.step = "holding"}));
  ASSAY_ASSIGN(HandoverReceived take, link.Receive("take", {}, kLeavePatience));
  ASSAY_TRY(GoOn(std::move(take), held_since_ms));
  return link.Send({.step = "taken"});
}

}  // namespace assay::daemon
