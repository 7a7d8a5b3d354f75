#include "appraise/causes.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "appraise/finding_names.h"
#include "base/name_table.h"
#include "base/text.h"

namespace assay::appraise {
namespace {

using Key = std::pair<CauseKind, std::string>;

std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : slash == 0 ? "/" : path.substr(0, slash);
}

// The kind of a finding that is not about a file.
CauseKind KindOf(const Finding& f) {
  switch (GroupOf(f.name)) {
    case FindingGroup::kBoot:
      return CauseKind::kBoot;
    case FindingGroup::kList:
      return CauseKind::kList;
    case FindingGroup::kOwn:
    case FindingGroup::kEntry:
      return CauseKind::kAttester;
    case FindingGroup::kOther:
      break;
  }
  const std::string_view name = NameText(f.name);
  if (name.starts_with("policy.")) return CauseKind::kPolicy;
  for (const std::string_view part : {"run.", "claims.", "context.", "evidence.", "internal."})
    if (name.starts_with(part)) return CauseKind::kAttester;
  return CauseKind::kTpm;
}

bool Weighs(const Finding& f) { return f.weight != Verdict::kTrusted; }

// How many names a path has: 2 for "/home/ann".
std::ptrdiff_t DepthOf(const std::string& path) { return std::count(path.begin(), path.end(), '/'); }
// Folders that are higher up belong to everybody, and say nothing of what the files in them have in common.
constexpr std::ptrdiff_t kMinDepth = 3;

// Groups the findings about files: by the package, else by the folder or by the loading program, whichever
// has more of them. A folder that has findings also takes those of the folders in it.
class Files {
 public:
  Files(const std::vector<JudgedEntry>& entries, const std::vector<const Finding*>& findings) {
    for (const JudgedEntry& e : entries)
      if (e.origin) packages_[{e.record, e.sub}] = &*e.origin;
    for (const Finding* f : findings) {
      if (!IsAboutFile(*f)) continue;
      ++folders_[{Weighs(*f), FolderOf(f->path)}];
      if (f->context) ++programs_[{Weighs(*f), f->context->comm}];
    }
    for (const auto& [folder, count] : folders_)
      trees_[{folder.first, TreeOf(folder.first, folder.second)}] += count;
  }

  static bool IsAboutFile(const Finding& f) {
    return GroupOf(f.name) == FindingGroup::kEntry && f.path.find('/') != std::string::npos;
  }

  const Origin* OriginOf(const Finding& f) const {
    const auto origin = packages_.find({f.record.value_or(0), f.sub});
    return origin == packages_.end() ? nullptr : origin->second;
  }

  Key Of(const Finding& f) const {
    if (const Origin* origin = OriginOf(f))
      return {CauseKind::kPackage, origin->package + " " + origin->version};
    const std::string tree = TreeOf(Weighs(f), FolderOf(f.path));
    if (f.context && programs_.at({Weighs(f), f.context->comm}) > trees_.at({Weighs(f), tree}))
      return {CauseKind::kProgram, f.context->comm};
    return {CauseKind::kFolder, tree};
  }

 private:
  std::string TreeOf(bool weighs, const std::string& folder) const {
    std::string tree = folder;
    for (std::string up = FolderOf(folder); DepthOf(up) >= kMinDepth; up = FolderOf(up))
      if (folders_.contains({weighs, up})) tree = up;
    return tree;
  }

  std::map<std::pair<std::uint64_t, std::uint32_t>, const Origin*> packages_;  // by place in the list
  std::map<std::pair<bool, std::string>, std::size_t> folders_, trees_, programs_;
};

// Whether the owner's word settles it.
bool MayBeTrusted(const Finding* f) {
  return Weighs(*f) && (f->name == FindingName::kEntryUnknown || f->name == FindingName::kEntryChanged ||
                        f->name == FindingName::kEntrySwapped || f->name == FindingName::kEntryMisplaced ||
                        f->name == FindingName::kEntryConfiguration);
}

// Whether a comes before b: the greater weight first, then the newer. A finding that is not about a record is
// of this round.
bool Before(const Finding* a, const Finding* b) {
  constexpr std::uint64_t kNow = ~std::uint64_t{0};
  return std::pair(Severity(a->weight), a->record.value_or(kNow)) >
         std::pair(Severity(b->weight), b->record.value_or(kNow));
}

const Finding* Part(const Cause& cause, FindingName name) {
  const auto found = std::find_if(cause.findings.begin(), cause.findings.end(),
                                  [&](const Finding* f) { return f->name == name; });
  return found == cause.findings.end() ? nullptr : *found;
}

// The part of a boot that makes the others change: with another kernel come another initramfs, another
// command line and other commands of the boot loader.
const Finding* MainPart(const Cause& boot) {
  for (const FindingName name :
       {FindingName::kBootSecureBoot, FindingName::kBootSecureBootKeys, FindingName::kBootKernel,
        FindingName::kBootInitrd, FindingName::kBootCmdline, FindingName::kBootAddon})
    if (const Finding* f = Part(boot, name)) return f;
  return boot.findings.front();
}

}  // namespace

std::string_view CauseKindName(CauseKind k) {
  static constexpr auto kNames = Names<CauseKind>({{CauseKind::kPackage, "package"},
                                                   {CauseKind::kFolder, "folder"},
                                                   {CauseKind::kProgram, "program"},
                                                   {CauseKind::kBoot, "boot"},
                                                   {CauseKind::kList, "list"},
                                                   {CauseKind::kAttester, "attester"},
                                                   {CauseKind::kTpm, "tpm"},
                                                   {CauseKind::kPolicy, "policy"}});
  return kNames.Of(k);
}

std::string CauseText(const Cause& cause) {
  switch (cause.kind) {
    case CauseKind::kPackage:
    case CauseKind::kFolder:
    case CauseKind::kProgram:
      return fmt::format("{} {}", CauseKindName(cause.kind), Printable(cause.name));
    case CauseKind::kBoot:
      break;
    case CauseKind::kList:
      return "the measurement list";
    case CauseKind::kAttester:
      return "the attester";
    case CauseKind::kTpm:
      return "the TPM";
    case CauseKind::kPolicy:
      return "the policy";
  }
  if (Part(cause, FindingName::kBootKernel) != nullptr) return "the boot: another kernel";
  return Part(cause, FindingName::kBootInitrd) != nullptr ? "the boot: another initramfs" : "the boot";
}

std::vector<std::string> NextSteps(const Cause& cause) {
  std::vector<std::string> steps;
  const auto add = [&](const Finding* f) {
    const std::string step(NextStepOf(f->name));
    if (!step.empty() && std::find(steps.begin(), steps.end(), step) == steps.end()) steps.push_back(step);
  };
  if (cause.kind == CauseKind::kBoot)
    add(MainPart(cause));
  else
    for (const Finding* f : cause.findings) add(f);
  if (cause.kind == CauseKind::kFolder && DepthOf(cause.name) >= kMinDepth &&
      std::count_if(cause.findings.begin(), cause.findings.end(), MayBeTrusted) > 1)
    steps.push_back(fmt::format(
        "If all of this is what it should be: assay --json attest ... | assay trust --from-findings - "
        "--match '{}/**' --trusted LIST --key KEY --why TEXT",
        Printable(cause.name)));
  return steps;
}

std::vector<std::pair<std::string, std::size_t>> ReasonsOf(const Cause& cause) {
  std::map<std::string, std::size_t> counts;
  for (const Finding* f : cause.findings)
    if (!f->reason.empty()) ++counts[f->reason];
  std::vector<std::pair<std::string, std::size_t>> reasons(counts.begin(), counts.end());
  std::sort(reasons.begin(), reasons.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return reasons;
}

std::vector<const Finding*> AllOf(const std::vector<Finding>& findings) {
  std::vector<const Finding*> all;
  all.reserve(findings.size());
  for (const Finding& f : findings) all.push_back(&f);
  return all;
}

std::vector<Cause> CausesOf(const std::vector<JudgedEntry>& entries,
                            const std::vector<const Finding*>& findings) {
  const Files files(entries, findings);
  std::vector<Cause> causes;
  std::map<std::pair<bool, Key>, std::size_t> places;
  for (const Finding* f : findings) {
    const Key key = Files::IsAboutFile(*f) ? files.Of(*f) : Key{KindOf(*f), ""};
    const auto [at, is_new] = places.try_emplace({Weighs(*f), key}, causes.size());
    if (is_new) {
      causes.push_back({.kind = key.first, .name = key.second, .findings = {}});
      if (const Origin* origin = key.first == CauseKind::kPackage ? files.OriginOf(*f) : nullptr)
        causes.back().advisories = origin->advisories;
    }
    causes[at->second].findings.push_back(f);
  }
  // Findings of the same rank stay in the order in which they were found.
  const auto in_order = [](const Finding* a, const Finding* b) {
    return Before(a, b) || (!Before(b, a) && std::less<>()(a, b));
  };
  for (Cause& c : causes) {
    std::sort(c.findings.begin(), c.findings.end(), in_order);
    c.weight = c.findings.front()->weight;
  }
  std::sort(causes.begin(), causes.end(),
            [&](const Cause& a, const Cause& b) { return in_order(a.findings.front(), b.findings.front()); });
  return causes;
}

std::optional<Changes> ChangesSince(const HostState& before, const Appraisal& a) {
  if (before.rounds == 0 || a.host.rounds <= before.rounds) return std::nullopt;
  std::set<const Finding*, ByIdentity> known, now;
  // After a reboot the list is another one, and its records' numbers say nothing of the former's.
  if (!a.rebooted)
    for (const Finding& f : before.standing) known.insert(&f);
  Changes changes;
  for (const Finding& f : a.findings) {
    if (!f.record || !Weighs(f)) continue;
    now.insert(&f);
    if (known.contains(&f))
      ++changes.standing;
    else
      changes.fresh.insert(&f);
  }
  for (const Finding& f : before.standing)
    if (a.rebooted || !now.contains(&f)) changes.gone.push_back(f);
  return changes;
}

}  // namespace assay::appraise
