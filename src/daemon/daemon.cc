// Long file: the parts of the daemon, and the order in which they start and stop, stand together.
#include "daemon/daemon.h"

#include <dirent.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "attest/collector.h"
#include "attest/server.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/json_dump.h"
#include "base/log.h"
#include "base/mutex.h"
#include "daemon/errors.h"
#include "measure/choice/engines.h"
#include "measure/engine/measure_file.h"
#include "measure/lists/kernel_list.h"
#include "measure/node/fs.h"
#include "measure/record/recorder.h"
#include "measure/system/maps.h"
#include "measure/system/namespace.h"
#include "reference/index.h"
#include "tpm/run_key.h"
#include "tpm/software_tpm.h"
#include "tpm/tpm.h"

namespace assay::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxRefusals = std::size_t{4} << 20;  // bytes
constexpr int kPollMs = 1000, kEarlyPollMs = 100;

measure::Context OwnContext() {
  return {.time_ms = NowMs(), .pid = getpid(), .uid = getuid(), .comm = "assayd", .hook = "start"};
}

// Makes sure that the folder is on tmpfs, because the list must not survive a reboot, after which it proves
// nothing. True: a tmpfs was mounted here.
Result<bool> EnsureTmpfs(const std::string& path) {
  ASSAY_TRY(MakeDirs(path, 0755));
  struct statfs info{};
  if (statfs(path.c_str(), &info) != 0) return Fail(OsError("statfs", path, errno));
  if (info.f_type == TMPFS_MAGIC) return false;
  if (mount("assay", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1g") != 0)
    return Fail(OsError("mount", path + " as tmpfs", errno));
  return true;
}

// The number of processes in our pid namespace, without our own and the kernel's.
std::uint64_t CountProcesses() {
  std::uint64_t count = 0;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc"), closedir);
  while (dir != nullptr) {
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(getpid()))
      continue;
    char target[8];
    if (readlink(("/proc/" + name + "/exe").c_str(), target, sizeof(target)) > 0) ++count;
  }
  return count;
}

// The files that a process has mapped executable: the kernel's name of each, and a link in /proc that leads
// to exactly this file, even if it was removed or belongs to another mount namespace. Source: proc(5),
// /proc/pid/map_files.
std::map<std::string, std::string> ExecutableMappings(const std::string& process) {
  std::map<std::string, std::string> links;
  const Result<> read = measure::ForEachMapping(process, [&](const measure::Mapping& m) {
    if (m.executable && m.path.starts_with('/')) links.emplace(m.path, measure::MapFile(process, m.range));
    return true;
  });
  if (!read) log::Debug("{}", read.error().Message());  // the process has ended
  return links;
}

// Measures a file through any process that still has it mapped, because processes end in the meantime. If
// none has it any more, the program ran and ended before the attester measured, like others that it never
// saw.
Result<> MeasureOneOf(const std::vector<std::string>& links, const measure::Context& context,
                      measure::Recorder& recorder) {
  for (const std::string& link : links) {
    const Result<measure::Recorded> recorded = measure::MeasurePath(link, context, recorder);
    if (recorded) return {};
    const auto* os = recorded.error().As<OsError>();
    if (os == nullptr || (os->err != ENOENT && os->err != ESRCH)) return Fail(recorded.error());
  }
  return {};
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

struct Daemon::Impl {
  Config config;
  std::string config_path;
  std::optional<Early> early;  // has a value until the machine has its real root
  std::atomic<bool> in_initramfs{false};
  std::uint64_t started_ms = NowMs();
  bool mounted_run_dir = false;
  std::optional<tpm::SoftwareTpm> software;
  std::unique_ptr<tpm::Tpm> tpm;
  // Null: none could be made, or the kernel records.
  std::shared_ptr<tpm::RunKey> run_key ASSAY_GUARDED_BY(mutex);
  tpm::TpmInfo tpm_info;
  std::unique_ptr<reference::Index> manifest;
  json manifest_record;                         // the manifest and the key that signed it
  std::unique_ptr<measure::Recorder> recorder;  // null: the kernel records
  std::unique_ptr<measure::KernelList> kernel;
  std::unique_ptr<measure::OwnNamespace> own_namespace;
  Mutex load_mutex ASSAY_ACQUIRED_BEFORE(mutex);  // one policy at a time
  mutable Mutex mutex;                            // of config.serve_unix and of the engine's policy, too
  // Why challenges are not answered: EK or AK. Empty: they are there, or not asked for yet.
  std::string keys_error ASSAY_GUARDED_BY(mutex);
  std::shared_ptr<measure::Engine> engine ASSAY_GUARDED_BY(mutex);
  std::string refusals ASSAY_GUARDED_BY(mutex);  // JSON lines, up to kMaxRefusals
  std::unique_ptr<attest::Collector> collector;
  std::unique_ptr<attest::Server> server ASSAY_GUARDED_BY(mutex);
  std::unique_ptr<measure::Fs> fs;
  std::string server_error;   // the last error that was logged; the server is tried again each second
  bool run_recorded = false;  // assay-start of this run is recorded
  std::atomic<bool> started{false}, tpm_gone{false};
  std::atomic<std::uint64_t> recoveries{0}, refusals_lost{0};

  Result<> StartTpm();
  void AskWhoTheTpmIs();
  Result<> MakeRunKey();
  Result<Bytes> SignForRun(ByteView statement) const;
  void RenewRunKey();
  Result<> OpenManifest();
  Result<> OpenRecorder();
  Result<> OpenKernelList();
  measure::ListSource& List() const {
    return kernel ? static_cast<measure::ListSource&>(*kernel) : *recorder;
  }
  Result<> RecordSelf();
  Result<> RecordStart(std::set<std::string>& components);
  Result<> StartEngine();
  // Whether a digest is in the manifest; empty without a manifest.
  std::function<bool(const Digest&)> Known() const {
    if (!manifest) return {};
    return [index = manifest.get()](const Digest& digest) { return index->Contains(digest); };
  }
  measure::EngineOptions OptionsOfEngine();
  Result<measure::EngineChoice> NewEngine(const measure::EngineOptions& options);
  Result<> LoadPolicy(std::string_view text);
  void NoteRefusal(const measure::Refusal& refusal);
  std::shared_ptr<measure::Engine> Engine() const {
    const MutexLock lock(mutex);
    return engine;
  }
  Result<> MeasureRunning();
  bool Serves() const {
    const MutexLock lock(mutex);
    return server != nullptr;
  }
  Result<> StartServer();
  Result<> StartFs();
  Result<> FollowRoot();
  Result<> RecordJson(const std::string& name, const json& content);
  std::pair<std::string, std::string> EngineState() const;
  void Supervise();
  std::string Status() const;
  void Stop();
};

Result<> Daemon::Impl::StartTpm() {
  std::string tcti = config.tcti;
  if (tcti == "embedded") {
    ASSAY_ASSIGN(software, tpm::SoftwareTpm::Start({.state_dir = config.state_dir + "/swtpm",
                                                    .run_dir = config.run_dir + "/tpm",
                                                    .preload = "",
                                                    .ca_dir = config.state_dir + "/tpm-ca"}));
    tcti = software->tcti();
    log::Info("embedded software TPM {} (process {})", software->adopted() ? "adopted" : "started",
              software->pid());
  }
  ASSAY_ASSIGN(tpm, tpm::Tpm::Connect(tcti));
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
  keys_error = identity.error().Message();
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

Result<> Daemon::Impl::OpenManifest() {
  if (config.manifest.empty()) return {};
  ASSAY_ASSIGN(Bytes pem, ReadFile(config.manifest_key, 64 << 10));
  ASSAY_ASSIGN(PublicKey key, PublicKey::FromPem(AsText(pem)));
  ASSAY_ASSIGN(const Bytes signature, reference::VerifyManifest(config.manifest, key));
  ASSAY_ASSIGN(manifest, reference::Index::Open(config.manifest));
  manifest_record = {{"sha256", manifest->ContentDigest().hex()},
                     {"signature", Base64(signature)},
                     {"key", Base64(key.Der())}};
  return {};
}

Result<> Daemon::Impl::OpenRecorder() {
  measure::RecorderOptions options;
  options.dir = config.run_dir + "/list";
  options.pcr = config.pcr;
  options.max_records = config.max_records;
  options.synchronous = config.synchronous;
  options.group_ms = config.group_ms;
  // A newly started software TPM has empty PCRs, so a list of an earlier one is put aside.
  options.allow_retire = software && software->fresh();
  options.known = Known();
  ASSAY_ASSIGN(recorder, measure::Recorder::Open(std::move(options), *tpm));
  if (software) ASSAY_TRY(software->TakenUp());
  return {};
}

Result<> Daemon::Impl::OpenKernelList() {
  if (software)
    return Fail(
        UsageError("the kernel extends the machine's own TPM: engine kernel-ima needs it as tpm/tcti"));
  ASSAY_ASSIGN(kernel, measure::KernelList::Open({}, *tpm));
  log::Info("the kernel measures ({}): its list is read, and its PCR is not extended",
            measure::KernelList::PolicyOptions());
  return {};
}

Result<> Daemon::Impl::RecordJson(const std::string& name, const json& content) {
  ASSAY_TRY(recorder->RecordBuffer(name, AsBytes(DumpJson(content)), OwnContext()));
  return {};
}

// Records assay-start, the first record of a run, with the public key that verifies its answers.
Result<> Daemon::Impl::RecordStart(std::set<std::string>& components) {
  for (const auto& [path, link] : ExecutableMappings("self")) components.insert(path);
  char exe[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe));
  if (n <= 0) return Fail(OsError("readlink", "/proc/self/exe", errno));
  const std::string self(exe, static_cast<std::size_t>(n));
  components.insert(self);
  components.insert(attest::DefaultNetProgram());
  const measure::RecorderState state = recorder->State();
  const double uptime = std::strtod(FirstLine("/proc/uptime").c_str(), nullptr);
  json start = {{"version", ASSAY_VERSION},
                {"pid", getpid()},
                {"boot_id", FirstLine("/proc/sys/kernel/random/boot_id")},
                {"uptime_ms", static_cast<std::uint64_t>(uptime * 1000)},
                {"scope", ScopeName(config.scope)},
                {"tasks_before", config.scope == Scope::kHost ? CountProcesses() : 0},
                {"initramfs", in_initramfs.load()},
                {"run", state.gaps + 1},
                {"executable", self},
                {"components", components}};
  {
    const MutexLock lock(mutex);
    if (run_key) start["run_key"] = Hex(run_key->public_area());
  }
  ASSAY_TRY(RecordJson("assay-start", start));
  run_recorded = true;
  return {};
}

Result<> Daemon::Impl::RecordSelf() {
  std::set<std::string> components;
  ASSAY_TRY(RecordStart(components));
  for (const std::string& path : components) ASSAY_TRY(measure::MeasurePath(path, OwnContext(), *recorder));
  const std::string policy = EnginePolicy(config);
  ASSAY_TRY(recorder->RecordBuffer("assay-policy", AsBytes(policy), OwnContext()));
  if (manifest) ASSAY_TRY(RecordJson("assay-manifest", manifest_record));
  return {};
}

measure::EngineOptions Daemon::Impl::OptionsOfEngine() {
  measure::EngineOptions options = config.engine;
  options.fanotify.filesystems = config.scope == Scope::kHost;
  options.lsm.run_dir = config.run_dir + "/engine";
  if (software) options.limits.exempt.insert(software->pid());
  // The kernel's LSM hooks don't know mount namespaces, so the scope "namespace" needs fanotify.
  if (config.scope == Scope::kNamespace) options.name = "fanotify";
  if (fs) options.lsm.own_device = fs->Device();
  if (struct stat root{}; in_initramfs && stat("/", &root) == 0) options.rules.initramfs_device = root.st_dev;
  options.rules.known = Known();
  options.rules.refused = [this](const measure::Refusal& refusal) { NoteRefusal(refusal); };
  return options;
}

Result<measure::EngineChoice> Daemon::Impl::NewEngine(const measure::EngineOptions& options) {
  std::optional<measure::EngineChoice> choice;
  const auto start = [&]() -> Result<> {
    ASSAY_ASSIGN(choice, measure::StartEngine(options, *recorder));
    return {};
  };
  if (own_namespace)
    ASSAY_TRY(own_namespace->Run(start));
  else
    ASSAY_TRY(start());
  return std::move(*choice);
}

// The word in brackets of "[none] integrity confidentiality"; "unknown" if the file can't be read.
std::string Lockdown() {
  const Result<Bytes> file = ReadFile("/sys/kernel/security/lockdown", 4096);
  if (!file) return "unknown";
  const std::string_view text = AsText(*file);
  const std::size_t begin = text.find('['), end = text.find(']');
  if (begin >= end || end == std::string_view::npos) return "unknown";
  return std::string(text.substr(begin + 1, end - begin - 1));
}

Result<> Daemon::Impl::StartEngine() {
  if (config.scope == Scope::kNone) {
    log::Warn("no engine: only files that applications pass to the measure node are recorded");
    return RecordJson("assay-engine", {{"engine", "none"}, {"scope", "none"}});
  }
  if (config.scope == Scope::kNamespace) {
    ASSAY_ASSIGN(own_namespace, measure::OwnNamespace::Create());
  }
  const measure::EngineOptions options = OptionsOfEngine();
  if (options.rules.policy->Appraises() && options.rules.appraise == measure::Appraise::kOff)
    log::Warn("the policy's appraise rules do nothing: engine/appraise is off");
  ASSAY_ASSIGN(measure::EngineChoice choice, NewEngine(options));
  json passed_over = json::object();
  for (const auto& [name, error] : choice.passed_over) {
    log::Info("not the {} engine: {}", name, error.Message());
    passed_over[std::string(name)] = error.code();
  }
  const std::string name = choice.engine->Name();
  {
    const MutexLock lock(mutex);
    engine = std::move(choice.engine);
  }
  return RecordJson("assay-engine", {{"engine", name},
                                     {"scope", ScopeName(config.scope)},
                                     {"mounts", options.fanotify.mounts},
                                     {"passed_over", passed_over},
                                     {"lockdown", Lockdown()}});
}

// Loads a policy, which is recorded before it takes effect. An engine that can't change its policy is
// replaced by a new one; the old one stops after the new one has started, and in between both are active.
Result<> Daemon::Impl::LoadPolicy(std::string_view text) {
  if (text.size() > measure::kMaxPolicy) return Fail(UsageError("the policy is too long"));
  const MutexLock loading(load_mutex);
  if (!started) return Fail(StateError(DaemonError::kStarting, "the attester is still starting"));
  const std::shared_ptr<measure::Engine> old = Engine();
  if (!old) return Fail(StateError(DaemonError::kNoEngine, "there is no engine that could use a policy"));
  std::shared_ptr<const measure::Policy> policy;
  if (text.starts_with('/')) {
    ASSAY_ASSIGN(policy, measure::FindPolicy(std::string(text.substr(0, text.find('\n')))));
  } else {
    ASSAY_ASSIGN(measure::Policy parsed, measure::Policy::Parse(text));
    policy = std::make_shared<const measure::Policy>(std::move(parsed));
  }
  Config changed = config;
  changed.engine.rules.policy = policy;
  ASSAY_TRY(recorder->RecordBuffer("assay-policy", AsBytes(EnginePolicy(changed)), OwnContext()));
  if (old->Follow(policy)) {
    const MutexLock lock(mutex);
    config.engine.rules.policy = policy;
  } else {
    measure::EngineOptions options = OptionsOfEngine();
    options.rules.policy = policy;
    options.name = old->Name();
    Result<measure::EngineChoice> choice = NewEngine(options);
    if (!choice) {
      ASSAY_TRY(recorder->RecordBuffer("assay-policy", AsBytes(EnginePolicy(config)), OwnContext()));
      return Fail(choice.error().In("the former policy stays active"));
    }
    {
      const MutexLock lock(mutex);
      engine = std::move(choice->engine);
      config.engine.rules.policy = policy;
    }
    old->Stop();
  }
  log::Info("a new policy is active: {} bytes", policy->text().size());
  return {};
}

void Daemon::Impl::NoteRefusal(const measure::Refusal& r) {
  const json line{{"time_ms", r.context.time_ms}, {"path", r.path},        {"digest", r.digest.hex()},
                  {"hook", r.context.hook},       {"pid", r.context.pid},  {"uid", r.context.uid},
                  {"comm", r.context.comm},       {"enforced", r.enforced}};
  const std::string text = DumpJson(line) + "\n";
  const MutexLock lock(mutex);
  if (refusals.size() + text.size() > kMaxRefusals)
    ++refusals_lost;
  else
    refusals += text;
}

// Measures the programs that ran before the engine started. The hook's name in the journal tells that they
// were measured afterwards.
Result<> Daemon::Impl::MeasureRunning() {
  if (config.scope != Scope::kHost) return {};
  std::map<std::string, std::vector<std::string>> links;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc"), closedir);
  if (!dir) return Fail(OsError("opendir", "/proc", errno));
  const std::shared_ptr<measure::Engine> present = Engine();
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (present && present->IsOwn(std::atoi(name.c_str()))) continue;
    for (auto& [path, link] : ExecutableMappings(name)) links[path].push_back(std::move(link));
  }
  measure::Context context = OwnContext();
  context.hook = "before";
  context.late = true;
  for (const auto& [path, candidates] : links) {
    if (const auto r = MeasureOneOf(candidates, context, *recorder); !r) {
      log::Warn("{} ran before the attester and can't be measured: {}", path, r.error().Message());
      ASSAY_TRY(recorder->RecordViolation(measure::Violation::kUnmeasurable, path, context));
    }
  }
  return {};
}

std::pair<std::string, std::string> Daemon::Impl::EngineState() const {
  if (kernel) {
    const Result<> health = kernel->Health();
    return {std::string(kKernelIma), health ? "ok" : health.error().Message()};
  }
  const std::shared_ptr<measure::Engine> present = Engine();
  if (!present) return {"none", "ok"};
  const Result<> health = present->Health();
  return {present->Name(), health ? "ok" : health.error().Message()};
}

Result<> Daemon::Impl::StartServer() {
  attest::CollectorOptions options;
  options.engine = [this] { return EngineState(); };
  options.started_ms = started_ms;
  if (!kernel) options.run = [this](ByteView statement) { return SignForRun(statement); };
  if (kernel) options.kernel_policy = measure::KernelList::PolicyOptions();
  Result<std::unique_ptr<attest::Collector>> made =
      attest::Collector::Create(std::move(options), List(), *tpm, config.ak);
  {
    const MutexLock lock(mutex);
    keys_error = made ? "" : made.error().Message();
  }
  if (!made) return Fail(made.error());
  collector = std::move(*made);
  attest::ServerOptions serve;
  if (config.serve_unix) serve.unix_path = config.run_dir + "/challenge.sock";
  serve.unix_level = config.unix_level;
  if (!config.listen.empty()) {
    const auto colon = config.listen.rfind(':');
    if (colon == std::string::npos) return Fail(UsageError("serve/listen: not HOST:PORT: " + config.listen));
    serve.listen_host = config.listen.substr(0, colon);
    const int port = std::atoi(config.listen.c_str() + colon + 1);
    if (port < 0 || port > 65535) return Fail(UsageError("serve/listen: not a port: " + config.listen));
    serve.listen_port = port == 0 ? -1 : port;
    ASSAY_ASSIGN(Bytes certificate, ReadFile(config.certificate, 1 << 20));
    ASSAY_ASSIGN(Bytes key, ReadFile(config.key, 64 << 10));
    serve.certificate_pem = AsText(certificate);
    serve.key_pem = AsText(key);
    serve.allow = config.allow;
  }
  ASSAY_ASSIGN(std::unique_ptr<attest::Server> started_server,
               attest::Server::Start(std::move(serve), *collector));
  const MutexLock lock(mutex);
  server = std::move(started_server);
  return {};
}

Result<> Daemon::Impl::StartFs() {
  measure::FsOptions options;
  options.mount_point = config.mount_point;
  options.status = [this] { return Status(); };
  options.policy = [this] {
    if (kernel) return std::string();  // the kernel shows its policy in its own file, if it does
    const MutexLock lock(mutex);
    return config.engine.rules.policy->text();
  };
  if (!kernel) options.load = [this](std::string_view text) { return LoadPolicy(text); };
  options.refusals = [this] {
    const MutexLock lock(mutex);
    return refusals;
  };
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
  {
    const MutexLock lock(mutex);
    config.serve_unix = real.serve_unix;
  }
  config.unix_level = real.unix_level;
  config.listen = real.listen;
  config.certificate = real.certificate;
  config.key = real.key;
  config.allow = real.allow;
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
    const std::string error = r ? "" : r.error().Message();
    if (error != server_error && !r)
      log::Error("challenges are not answered: {} ({})", error, r.error().code());
    server_error = error;
  }
  if (software && !tpm_gone && !software->Alive()) {
    tpm_gone = true;  // the PCRs of the software TPM are lost too, so only a new start helps
    log::Error("the embedded software TPM ended by itself: see {}/tpm/swtpm.log", config.run_dir);
  }
  if (kernel) {
    if (Result<> r = kernel->Sync(); !r) log::Error("the kernel's list: {}", r.error().Message());
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

std::string Daemon::Impl::Status() const {
  // The file system is mounted before the engine starts, and its threads may ask.
  if (!started)
    return json{{"version", ASSAY_VERSION}, {"pid", getpid()}, {"state", "starting"}}.dump() + "\n";
  const measure::RecorderState s = List().State();
  json banks = json::object();
  for (const auto& [alg, value] : s.pcr_values) banks[std::string(HashName(alg))] = value.hex();
  const auto [engine_name, engine_state] = EngineState();
  std::string keys = "ok";
  bool has_run_key = kernel != nullptr;
  const attest::Server* serves = nullptr;  // is valid until this file system is unmounted
  bool serves_unix = false;
  {
    const MutexLock lock(mutex);
    serves = server.get();
    serves_unix = serves != nullptr && config.serve_unix;
    if (!keys_error.empty()) keys = keys_error;
    if (run_key) has_run_key = !run_key->lost();
  }
  const std::optional<attest::NetworkState> network = serves != nullptr ? serves->Network() : std::nullopt;
  const bool well = !s.degraded && !tpm_gone && keys == "ok" && has_run_key && engine_state == "ok" &&
                    (!network || network->serving) && (serves != nullptr || in_initramfs);
  json j = {{"version", ASSAY_VERSION},
            {"pid", getpid()},
            {"started_ms", started_ms},
            {"state", well ? "ok" : "degraded"},
            {"recorder",
             {{"records", s.count},
              {"entries", s.entries},
              {"violations", s.violations},
              {"overflow", s.overflow},
              {"gaps", s.gaps},
              {"degraded", s.degraded},
              {"degraded_reason", s.degraded_reason},
              {"recoveries", recoveries.load()},
              {"list_bytes", s.list_bytes},
              {"pcr", config.pcr},
              {"pcr_values", banks}}},
            {"engine", {{"name", engine_name}, {"state", engine_state}, {"scope", ScopeName(config.scope)}}},
            {"tpm",
             {{"manufacturer", tpm_info.manufacturer},
              {"vendor", tpm_info.vendor},
              {"firmware", tpm_info.firmware},
              {"software", tpm_info.software},
              {"keys", keys},
              {"run_key", has_run_key ? "ok" : "none"},
              {"state", tpm_gone ? "gone" : "ok"}}}};
  const log::Backlog backlog = log::State();
  j["log"] = {{"waiting", backlog.waiting}, {"dropped", backlog.dropped}};
  if (const auto present = Engine()) {
    const measure::EngineStats e = present->Stats();
    j["engine"]["stats"] = {{"events", e.events},         {"measured", e.measured},
                            {"clean", e.clean},           {"not_code", e.not_code},
                            {"violations", e.violations}, {"expired", e.expired},
                            {"errors", e.errors},         {"queue_depth", e.queue_depth},
                            {"stalls", e.stalls},         {"bytes_hashed", e.bytes_hashed},
                            {"refused", e.refused},       {"unrecorded", e.unrecorded},
                            {"untold", e.untold},         {"held", e.held},
                            {"hanging", e.hanging}};
    j["engine"]["stats"]["unasked"] = e.unasked;
    j["engine"]["stats"]["lost"] = e.lost;
    j["engine"]["appraise"] = AppraiseName(config.engine.rules.appraise);
    j["engine"]["refusals_not_listed"] = refusals_lost.load();
  }
  if (own_namespace) j["engine"]["namespace"] = own_namespace->path();
  if (serves_unix) j["challenge"]["unix"] = config.run_dir + "/challenge.sock";
  if (network) {
    j["challenge"]["port"] = serves->port();
    j["challenge"]["network"] = {{"state", network->serving ? "ok" : "down"},
                                 {"pid", network->pid},
                                 {"restarts", network->restarts},
                                 {"last_end", network->last_end},
                                 {"landlock_abi", network->landlock_abi}};
  }
  return DumpJson(j) + "\n";
}

void Daemon::Impl::Stop() {
  // This is recorded before any part is stopped.
  if (recorder && run_recorded) {
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
  if (tpm && software && config.stop_tpm) {
    if (Result<> r = tpm->Shutdown(); !r) log::Warn("TPM2_Shutdown: {}", r.error().Message());
  }
  tpm.reset();
  if (software && config.stop_tpm) {
    if (Result<> r = software->Stop(); !r) log::Warn("stopping the software TPM: {}", r.error().Message());
    if (mounted_run_dir && umount2(config.run_dir.c_str(), MNT_DETACH) != 0)
      log::Warn("{}", OsError("umount2", config.run_dir, errno).Message());
  }
}

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() { impl_->Stop(); }
std::string Daemon::Status() const { return impl_->Status(); }

Result<std::unique_ptr<Daemon>> Daemon::Start(const Config& config, std::optional<Early> early,
                                              const std::string& config_path) {
  if (geteuid() != 0)
    return Fail(UsageError("assayd must run as root, because it measures the code of all users"));
  auto impl = std::make_unique<Impl>();
  Impl& d = *impl;
  // From here on, the destructor stops what was started.
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(impl)));
  d.config = config;
  d.config_path = config_path;
  d.early = std::move(early);
  d.in_initramfs = d.early.has_value();
  if (d.early && (config.tcti == "embedded" || config.scope != Scope::kHost))
    return Fail(UsageError("--early needs the machine's own TPM (tpm/tcti) and the scope host"));
  if (d.early && !config.engine.name.empty() && config.engine.name != "lsm")
    return Fail(UsageError("--early needs engine/engine lsm: fanotify's marks belong to the initramfs"));
  if (d.early) d.config.engine.name = "lsm";
  if (!d.early) ASSAY_TRY(MakeDirs(config.state_dir, 0700));
  ASSAY_ASSIGN(d.mounted_run_dir, EnsureTmpfs(config.run_dir));
  ASSAY_TRY(d.StartTpm());
  ASSAY_TRY(d.OpenManifest());
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
      if (r.error().As<tpm::TpmError>() == nullptr) return Fail(r.error());
      log::Error("challenges are not answered yet: {} ({})", r.error().Message(), r.error().code());
    }
  }
  d.started = true;
  return daemon;
}

void Daemon::Run(int stop_fd) {
  while (true) {
    pollfd wait{.fd = stop_fd, .events = POLLIN, .revents = 0};
    const int n = poll(&wait, 1, impl_->early ? kEarlyPollMs : kPollMs);
    if (n > 0) return;
    impl_->Supervise();
  }
}

}  // namespace assay::daemon
