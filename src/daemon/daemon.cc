#include "daemon/daemon.h"

#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/json_dump.h"
#include "base/log.h"
#include "daemon/daemon_impl.h"
#include "daemon/errors.h"
#include "daemon/inputs.h"
#include "daemon/metrics.h"

namespace assay::daemon {

using nlohmann::json;

namespace {

constexpr int kPollMs = 1000, kEarlyPollMs = 100;

}  // namespace

// The TPM's TCTI. The embedded software TPM is started, or adopted if it runs.
Result<std::string> Daemon::Impl::TctiOfTpm() {
  if (config.tcti != "embedded") return config.tcti;
  ASSAY_ASSIGN(software, tpm::SoftwareTpm::Start({.state_dir = config.state_dir + "/swtpm",
                                                  .run_dir = config.run_dir + "/tpm",
                                                  .preload = "",
                                                  .ca_dir = config.state_dir + "/tpm-ca"}));
  return software->tcti();
}

Result<> Daemon::Impl::StartTpm() {
  ASSAY_ASSIGN(const std::string tcti, TctiOfTpm());
  if (software)
    log::Info("embedded software TPM {} (process {})", software->adopted() ? "adopted" : "started",
              software->pid());
  ASSAY_ASSIGN(tpm::Passwords passwords, ReadPasswords(config));
  ASSAY_ASSIGN(tpm, tpm::Tpm::Connect(tcti, std::move(passwords)));
  ASSAY_ASSIGN(tpm_info, tpm->Info());
  if (tpm_info.software)
    log::Warn("this TPM is software ({}), so it proves no more than this machine itself could",
              tpm_info.vendor);
  return {};
}

// Reads the identity of the TPM. Deriving an EK takes a chip seconds, so this is done before the engine
// starts, while no task waits for the TPM. It fails if the endorsement hierarchy has a password; so it comes
// after the first records, and measuring does not depend on it. The collector tries again.
void Daemon::Impl::AskWhoTheTpmIs() {
  const auto identity = tpm->Identity();
  if (identity) return;
  log::Error("the TPM's EK can't be used: {} ({})", identity.error().Message(), identity.error().code());
  const MutexLock lock(mutex);
  keys_error = identity.error();
}

Result<> Daemon::Impl::MakeRunKey() {
  {
    const MutexLock lock(mutex);
    run_key.reset();
  }
  ASSAY_ASSIGN(std::unique_ptr<tpm::RunKey> made, tpm::RunKey::Create(*tpm));
  const MutexLock lock(mutex);
  run_key = std::move(made);
  return {};
}

Result<Bytes> Daemon::Impl::SignForRun(ByteView statement) const {
  std::shared_ptr<tpm::RunKey> key;
  {
    const MutexLock lock(mutex);
    key = run_key;
  }
  // The list says that this run has no key, and the answer has no signature by one.
  if (!key) return Bytes();
  return key->Sign(statement);
}

// A run that has lost its key can't answer challenges any more. So a new run begins, with a record in the
// list.
void Daemon::Impl::RenewRunKey() {
  {
    const MutexLock lock(mutex);
    if (run_key && !run_key->lost()) return;
  }
  const auto renew = [&]() -> Result<> {
    ASSAY_TRY(MakeRunKey());
    std::set<std::string> components;
    ASSAY_TRY(RecordStart(components));
    const MutexLock loading(load_mutex);
    ASSAY_TRY(recorder->RecordBuffer("assay-policy", AsBytes(EnginePolicy(config)), OwnContext()));
    const std::string name = Engine() ? Engine()->Name() : "none";
    return RecordJson(
        "assay-engine",
        {{"engine", name}, {"scope", ScopeName(config.scope)}, {"mounts", config.engine.fanotify.mounts}});
  };
  const Result<> renewed = renew();
  if (renewed) {
    log::Warn("this run has a new key, which is recorded as a start");
  } else {
    log::Error("this run has no key, and challenges are answered without its signature: {} ({})",
               renewed.error().Message(), renewed.error().code());
  }
}

Result<> Daemon::Impl::TakeManifest() {
  ASSAY_ASSIGN(Manifest opened, OpenManifest(config));
  if (!opened.index) return {};
  manifest = std::move(opened.index);
  manifest_record = {{"sha256", manifest->ContentDigest().hex()},
                     {"signature", Base64(opened.signature)},
                     {"key", Base64(opened.key)}};
  return {};
}

measure::RecorderOptions Daemon::Impl::OptionsOfRecorder() const {
  measure::RecorderOptions options;
  options.dir = ListFolder(config.run_dir);
  options.lock = folder.lock;
  options.pcr = config.pcr;
  options.max_records = config.max_records;
  options.synchronous = config.synchronous;
  options.group_ms = config.group_ms;
  // A newly started software TPM has empty PCRs, so a list of an earlier one is put aside.
  options.allow_retire = software && software->fresh();
  options.known = Known();
  return options;
}

Result<> Daemon::Impl::OpenRecorder() {
  ASSAY_ASSIGN(recorder, measure::Recorder::Open(OptionsOfRecorder(), *tpm));
  if (software) ASSAY_TRY(software->TakenUp());
  return {};
}

Result<> Daemon::Impl::OpenKernelList() {
  if (software)
    return Fail(
        UsageError("the kernel extends the machine's own TPM: engine kernel-ima needs it as tpm/tcti"));
  const std::string store = config.run_dir + "/kernel-list";
  ASSAY_ASSIGN(kernel, measure::KernelList::Open({.store = store}, *tpm));
  log::Info("the kernel measures ({}): its list is read, and its PCR is not extended",
            measure::KernelList::PolicyOptions());
  if (kernel->CanBeStaged())
    log::Info(
        "programs can delete records from this kernel's list, but not while it is open here: {} keeps it",
        store);
  return {};
}

Result<> Daemon::Impl::StartFs() {
  measure::FsOptions options;
  options.mount_point = config.mount_point;
  options.status = [this] { return DumpJson(Status()) + "\n"; };
  options.metrics = [this] { return MetricsText(Status()); };
  options.policy = [this] {
    if (kernel) return std::string();  // the kernel shows its policy in its own file, if it does
    const MutexLock lock(mutex);
    return config.engine.rules.policy->text();
  };
  if (!kernel) options.load = [this](std::string_view text) { return LoadPolicy(text); };
  options.announced = [this](pid_t process, const std::string& hook) {
    if (const auto present = Engine()) present->Announced(process, hook);
  };
  options.refusals = [this] {
    const MutexLock lock(mutex);
    return refusals;
  };
  options.judge = [this](const measure::Shown& shown) { return JudgeShown(shown); };
  ASSAY_ASSIGN(options.banks, tpm->ActiveBanks(config.pcr));
  ASSAY_ASSIGN(fs, measure::Fs::Mount(std::move(options), List(), recorder.get()));
  return {};
}

// Follows the machine to its real root. Measuring goes on unchanged. The settings for challenges (peers and
// keys) come from the real root's configuration, because keys should not be in an initramfs.
Result<> Daemon::Impl::FollowRoot() {
  ASSAY_TRY(early->Follow());
  early.reset();
  in_initramfs = false;
  log::Info("the machine has its real root");
  ASSAY_ASSIGN(const Config real, ReadConfig(config_path));
  const MutexLock lock(mutex);
  TakeServe(real);
  return {};
}

void Daemon::Impl::Supervise() {
  if (early && early->Moved()) {
    if (Result<> r = FollowRoot(); !r)
      log::Error("after the change of root: {} ({})", r.error().Message(), r.error().code());
  }
  if (recorder && started && !recorder->State().degraded) RenewRunKey();
  if (!in_initramfs && !Serves()) {
    const Result<> r = StartServer();
    bool is_new = false;
    {
      const MutexLock lock(mutex);
      is_new = !r && (!server_error || server_error->Message() != r.error().Message());
      server_error = r ? std::nullopt : std::optional(r.error());
    }
    if (is_new) log::Error("challenges are not answered: {} ({})", r.error().Message(), r.error().code());
  }
  if (software && !tpm_gone && !software->Alive()) {
    tpm_gone = true;  // the PCRs of the software TPM are lost too, so only a new start helps
    log::Error("the embedded software TPM ended by itself: see {}/tpm/swtpm.log", config.run_dir);
  }
  if (kernel) {
    const Result<> r = kernel->Sync();
    const std::string trouble = r ? "" : r.error().Message();
    if (!r && trouble != kernel_trouble) log::Error("the kernel's list: {} ({})", trouble, r.error().code());
    kernel_trouble = trouble;
  }
  if (recorder && recorder->State().degraded) {
    if (Result<> r = recorder->Recover(); r) {
      ++recoveries;
      log::Warn("recording goes on after a failure");
    }
  }
  if (const auto present = Engine()) {
    if (Result<> health = present->Health(); !health) log::Error("engine: {}", health.error().Message());
  }
}

void Daemon::Impl::Stop() {
  // This is recorded before any part is stopped.
  if (recorder && run_recorded && !left) {
    if (Result<> r = RecordJson("assay-stop", {{"run", recorder->State().gaps + 1}}); !r)
      log::Warn("the stop of the attester could not be recorded: {}", r.error().Message());
  }
  if (const auto present = Engine()) present->Stop();
  fs.reset();
  if (const auto present = Engine()) present->Stop();  // the engine that a last change of policy has started
  std::unique_ptr<attest::Server> last_server;
  std::shared_ptr<tpm::RunKey> last_key;
  std::shared_ptr<measure::Engine> last_engine;
  {
    const MutexLock lock(mutex);
    last_server = std::move(server);
    last_key = std::move(run_key);
    last_engine = std::move(engine);
  }
  last_server.reset();
  collector.reset();
  last_key.reset();
  last_engine.reset();
  own_namespace.reset();
  recorder.reset();
  kernel.reset();
  if (tpm && software && config.stop_tpm && !left) {
    if (Result<> r = tpm->Shutdown(); !r) log::Warn("TPM2_Shutdown: {}", r.error().Message());
  }
  tpm.reset();
  if (software && config.stop_tpm && !left) {
    if (Result<> r = software->Stop(); !r) log::Warn("stopping the software TPM: {}", r.error().Message());
    if (folder.mounted && umount2(config.run_dir.c_str(), MNT_DETACH) != 0)
      log::Warn("{}", OsError("umount2", config.run_dir, errno).Message());
  }
}

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() { impl_->Stop(); }
std::string Daemon::Status() const { return DumpJson(impl_->Status()) + "\n"; }
bool Daemon::Left() const { return impl_->left; }

Result<std::unique_ptr<Daemon>> Daemon::Start(const Config& config, RunFolder folder,
                                              std::optional<Early> early, const std::string& config_path) {
  auto impl = std::make_unique<Impl>();
  Impl& d = *impl;
  // From here on, the destructor stops what was started.
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(impl)));
  d.config = config;
  d.started_config = config;
  d.config_path = config_path;
  d.NoteProgram();
  d.folder = std::move(folder);
  d.early = std::move(early);
  d.in_initramfs = d.logs_to_kernel = d.early.has_value();
  if (d.early) ASSAY_TRY(AllowsEarly(config));
  if (d.early) d.config.engine.name = "lsm";
  if (!d.early) ASSAY_TRY(MakeDirs(config.state_dir, 0700));
  ASSAY_TRY(d.StartTpm());
  ASSAY_TRY(d.TakeManifest());
  if (config.engine.name == kKernelIma) {
    ASSAY_TRY(d.OpenKernelList());
    d.AskWhoTheTpmIs();
    ASSAY_TRY(d.StartFs());
  } else {
    ASSAY_TRY(d.OpenRecorder());
    if (Result<> r = d.MakeRunKey(); !r)
      log::Error("this run has no key, and challenges are answered without its signature: {} ({})",
                 r.error().Message(), r.error().code());
    ASSAY_TRY(d.RecordSelf());
    d.AskWhoTheTpmIs();
    ASSAY_TRY(d.StartFs());
    ASSAY_TRY(d.StartEngine());
    ASSAY_TRY(d.MeasureRunning());
  }
  if (!d.early) {
    if (Result<> r = d.StartServer(); !r) {
      const bool refused = r.error().As<tpm::TpmError>() != nullptr || r.error().Is(tpm::TpmFault::kPassword);
      if (!refused) return Fail(r.error());
      log::Error("challenges are not answered yet: {} ({})", r.error().Message(), r.error().code());
    }
  }
  d.started = true;
  return daemon;
}

std::unique_ptr<Daemon> Daemon::TakeOver(const Config& config, const std::string& config_path,
                                         const HandoverLink& link) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::make_unique<Impl>()));
  Impl& d = *daemon->impl_;
  d.config = config;
  d.started_config = config;
  d.config_path = config_path;
  d.NoteProgram();
  d.left = true;
  if (const Result<> taken = d.TakeOver(link); !taken) ReportAndEnd(taken.error(), link);
  return daemon;
}

std::optional<pid_t> Daemon::Run(int signals, const ReloadHooks& hooks) {
  while (true) {
    pollfd wait{.fd = signals, .events = POLLIN, .revents = 0};
    const int n = poll(&wait, 1, impl_->early ? kEarlyPollMs : kPollMs);
    signalfd_siginfo signal{};
    if (n > 0 && read(signals, &signal, sizeof(signal)) != sizeof(signal)) return std::nullopt;
    if (n > 0) {
      std::optional<pid_t> successor;
      if (!impl_->Follow(signal, hooks, successor)) return successor;
    }
    impl_->Supervise();
  }
}

}  // namespace assay::daemon
