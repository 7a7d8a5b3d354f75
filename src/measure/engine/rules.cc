#include "measure/engine/rules.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/log_event.h"
#include "measure/engine/audit.h"
#include "measure/system/event_fields.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxTold = 65'536;

std::shared_ptr<const Policy> DefaultPolicy() {
  static const auto policy = std::make_shared<const Policy>(*Policy::Parse(*Policy::BuiltIn("default")));
  return policy;
}

}  // namespace

bool LooksLikeCode(int fd, ElfKind elf, const std::string& path, const std::vector<std::string>& extensions) {
  if (elf != ElfKind::kNone) return elf != ElfKind::kObject;
  std::array<char, 2> magic{};
  const ssize_t n = pread(fd, magic.data(), magic.size(), 0);
  if (std::string_view(magic.data(), n > 0 ? static_cast<std::size_t>(n) : 0) == "#!") return true;
  return std::any_of(extensions.begin(), extensions.end(),
                     [&](const std::string& e) { return path.ends_with(e); });
}

Rules::Rules(const RulesOptions& options, std::shared_ptr<Notices> notices)
    : policy_(options.policy ? options.policy : DefaultPolicy()),
      extensions_(options.extensions),
      measured_device_(options.initramfs_device),
      appraise_(options.appraise),
      known_(options.known),
      notices_(notices ? std::move(notices) : std::make_shared<Notices>(options.refused)) {}

Ruling Rules::RuleAll(const Use& use) const {
  Ruling all;
  for (const Hook& hook : use.hooks) {
    const Ruling r = policy_->Rule(hook.func, hook.access, use.facts);
    all.measure |= r.measure;
    if (r.record == ima::Template::kNgCgroup) all.record = r.record;
    all.appraise |= r.appraise;
    all.audit |= r.audit;
  }
  if (appraise_ == Appraise::kOff) all.appraise = false;
  return all;
}

Use Rules::Look(int fd, std::string path, const Task& task, std::vector<Hook> hooks,
                std::optional<ElfKind> elf, const Opener* opener) const {
  Use use{.path = std::move(path), .hooks = std::move(hooks)};
  use.facts = GatherFacts(fd, use.path, task, policy_->needs());
  if ((policy_->needs() & kNeedCode) != 0)
    use.facts.code = fd < 0 || LooksLikeCode(fd, elf ? *elf : ElfKindOf(fd), use.path, extensions_);
  if (NeedsOpener() && opener != nullptr) {
    const Opened file{.fd = fd,
                      .path = use.path,
                      .opener = opener->program,
                      .words = opener->words,
                      .words_cut = opener->words_cut,
                      .path_holds = opener->path_holds,
                      .own_output = opener->own_output,
                      .measured_device = measured_device_,
                      .extensions = &extensions_};
    use.reading = opener->marks_only ? ReadingOfMarks(file) : ReadingOf(file);
    use.facts.interpreted = use.reading == Reading::kCode;
    if ((policy_->needs() & kNeedConfiguration) != 0) LookAtConfiguration(use, *opener);
  }
  use.ruling = RuleAll(use);
  return use;
}

// A file that some program reads as configuration is never data for all of them.
void Rules::LookAtConfiguration(Use& use, const Opener& opener) const {
  const bool any = IsConfiguration(use.path);
  use.facts.configuration =
      any && (opener.program == Interpreter::kUnknown || IsConfigurationOf(opener.reader, use.path));
  use.configured = *use.facts.configuration && opener.program == Interpreter::kNone &&
                   use.reading != Reading::kCode && use.hooks.size() == 1;
  if (any && use.reading == Reading::kData) use.reading = Reading::kDataHere;
}

bool Rules::Settle(Use& use, const Digest* digest, const Context& context) {
  use.facts.known = digest != nullptr && known_ && known_(*digest);
  use.ruling = RuleAll(use);
  if (use.ruling.audit) Tell("measure", use, digest, context, true);
  if (!use.ruling.appraise || *use.facts.known) return true;
  const bool enforced = appraise_ == Appraise::kEnforce;
  ++refused_;
  const bool is_new = IsNew(use.path, digest);
  if (enforced || is_new) Tell(enforced ? "refuse" : "would-refuse", use, digest, context, !enforced);
  if (!is_new) return !enforced;
  std::vector<log::Field> fields = EventFields(use.path, context);
  if (digest != nullptr) fields.push_back({"digest", digest->ToString()});
  log::WriteEvent(
      log::Level::kWarn, enforced ? "refused" : "would-be-refused", fields,
      fmt::format(
          "{} {}: {} (process {}, {}, user {})", enforced ? "refused" : "would be refused:", use.path,
          digest != nullptr ? digest->hex() + " is not in the manifest" : "its content can't be relied on",
          context.pid, context.comm, context.uid));
  notices_->Refused({use.path, digest != nullptr ? *digest : Digest(), context, enforced});
  return !enforced;
}

// A refusal is reported once, because an exec asks twice, and a program that tries again and again would fill
// the log.
bool Rules::IsNew(const std::string& path, const Digest* digest) {
  const std::string key = path + '\0' + (digest != nullptr ? digest->hex() : "");
  const MutexLock lock(mutex_);
  if (told_.size() >= kMaxTold) told_.clear();
  return told_.insert(std::hash<std::string>()(key)).second;
}

// The ruling on a measured digest in the manifest holds for every use. Another digest may be ruled on
// differently at the next hook, if the policy appraises; so may a use that no rule asked about, for the next
// task, if the policy depends on the task.
bool Rules::Lasting(const Use& use) const {
  if (use.configured) return false;  // an interpreter may open it next, and read it as code
  if (use.ruling.measure && policy_->RecordsCgroups()) return false;  // each group has its own record
  if (use.ruling.any())
    return use.ruling.measure && (use.facts.known.value_or(false) || !policy_->Appraises());
  return !policy_->DependsOnTask() && use.reading == Reading::kData;
}

void Rules::Tell(std::string_view operation, const Use& use, const Digest* digest, const Context& context,
                 bool success) const {
  notices_->Audit(
      fmt::format("op={} name={} hash={} hook={} pid={} uid={} comm={}", operation, AuditValue(use.path),
                  digest != nullptr ? std::string(HashName(digest->alg())) + ":" + digest->hex() : "?",
                  context.hook, context.pid, context.uid, AuditValue(context.comm)),
      success);
}

}  // namespace assay::measure
