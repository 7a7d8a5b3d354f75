// The attester's engine: its start, its policy, what it refuses.
#include <sys/stat.h>

#include "base/json_dump.h"
#include "base/log.h"
#include "daemon/daemon_impl.h"
#include "daemon/errors.h"
#include "measure/system/file.h"

namespace assay::daemon {

using nlohmann::json;

namespace {

constexpr std::size_t kMaxRefusals = std::size_t{4} << 20;  // bytes

// The word in brackets of "[none] integrity confidentiality"; "unknown" if the file can't be read.
std::string Lockdown() {
  const Result<Bytes> file = ReadFile("/sys/kernel/security/lockdown", 4096);
  if (!file) return "unknown";
  const std::string_view text = AsText(*file);
  const std::size_t begin = text.find('['), end = text.find(']');
  if (begin >= end || end == std::string_view::npos) return "unknown";
  return std::string(text.substr(begin + 1, end - begin - 1));
}

}  // namespace

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

Result<> Daemon::Impl::StartEngine() {
  if (config.scope == Scope::kNone) {
    log::Warn("no engine: only files that applications pass to the measure node are recorded");
    engine_record = {{"engine", "none"}, {"scope", "none"}};
    return RecordJson("assay-engine", engine_record);
  }
  if (config.scope == Scope::kNamespace) {
    ASSAY_ASSIGN(own_namespace, measure::OwnNamespace::Create());
  }
  ASSAY_TRY(RunEngine(OptionsOfEngine()));
  return RecordJson("assay-engine", engine_record);
}

Result<> Daemon::Impl::RunEngine(const measure::EngineOptions& options) {
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
  engine_record = {{"engine", name},
                   {"scope", ScopeName(config.scope)},
                   {"mounts", options.fanotify.mounts},
                   {"passed_over", passed_over},
                   {"lockdown", Lockdown()}};
  return {};
}

// Loads a policy, which is recorded before it takes effect. An engine that can't change its policy is
// replaced by a new one; the old one stops after the new one has started, and in between both are active.
Result<> Daemon::Impl::LoadPolicy(std::string_view text) {
  if (text.size() > measure::kMaxPolicy) return Fail(UsageError("the policy is too long"));
  const MutexLock loading(load_mutex);
  if (!started) return Fail(StateError(DaemonError::kStarting, "the attester is still starting"));
  if (handing_over)
    return Fail(StateError(HandoverError::kNotNow, "the attester hands over to its successor"));
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
  policy_loaded = true;
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

// A program that shows content at the `measure` node is about to use it as code, so the rules for code that
// is read apply, and for a file those for code that is executed, too.
measure::NodeVerdict Daemon::Impl::JudgeShown(const measure::Shown& shown) const {
  if (!manifest) return measure::NodeVerdict::kUnjudged;
  if (shown.digest != nullptr && manifest->Contains(*shown.digest)) return measure::NodeVerdict::kKnown;
  if (config.engine.rules.appraise != measure::Appraise::kEnforce) return measure::NodeVerdict::kUnknown;
  std::shared_ptr<const measure::Policy> policy;
  {
    const MutexLock lock(mutex);
    policy = config.engine.rules.policy;
  }
  const measure::ThreadStatus thread = measure::StatusOf(shown.tid);
  const measure::Task task{.tid = shown.tid,
                           .uid = thread.uid,
                           .euid = thread.euid,
                           .gid = thread.gid,
                           .egid = thread.egid,
                           .cgroup = thread.cgroup};
  measure::Facts facts = measure::GatherFacts(shown.fd, std::string(shown.path), task, policy->needs());
  facts.code = facts.interpreted = true;
  facts.known = facts.configuration = false;
  using measure::Func;
  const bool refused = policy->Rule(Func::kFileCheck, measure::kMayRead, facts).appraise ||
                       (shown.fd >= 0 && policy->Rule(Func::kBprmCheck, measure::kMayExec, facts).appraise);
  return refused ? measure::NodeVerdict::kRefused : measure::NodeVerdict::kUnknown;
}

Result<> Daemon::Impl::EngineHealth() const {
  if (kernel) return kernel->Health();
  const std::shared_ptr<measure::Engine> present = Engine();
  return present ? present->Health() : Result<>();
}

std::pair<std::string, std::string> Daemon::Impl::EngineState() const {
  const Result<> health = EngineHealth();
  const std::string state = health ? "ok" : health.error().Message();
  if (kernel) return {std::string(kKernelIma), state};
  const std::shared_ptr<measure::Engine> present = Engine();
  return {present ? present->Name() : "none", state};
}

}  // namespace assay::daemon
