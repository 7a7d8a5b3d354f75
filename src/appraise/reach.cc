// Determines how far the verdict reaches, from the attester's own records in the list and from the boot.
#include <algorithm>

#include "appraise/checks.h"
#include "appraise/finding_names.h"
#include "base/name_table.h"

namespace assay::appraise {
namespace {

std::string Own(const Round& r, const char* key) {
  const auto found = r.out.host.own.find(key);
  return found == r.out.host.own.end() ? std::string() : found->second;
}

// Whether the boot is proven. Programs that ran before the attester then came from the initramfs, which is a
// part of the boot.
bool BootProven(const Round& r, bool boot_expected) {
  return boot_expected && r.made.contains(Check::kBoot) &&
         std::none_of(r.out.findings.begin(), r.out.findings.end(), [](const Finding& f) {
           return GroupOf(f.name) == FindingGroup::kBoot && f.weight != Verdict::kTrusted;
         });
}

Reach ReachOf(const Round& r, bool boot_expected) {
  const std::string scope = Own(r, "scope");
  if (!r.made.contains(Check::kList) || Own(r, "runs").empty() || scope.empty()) return Reach::kUnknown;
  if (r.request.redaction) return Reach::kContainer;
  if (scope != "host") return Reach::kNamespace;
  return Own(r, "early") == "yes" && BootProven(r, boot_expected) ? Reach::kBoot : Reach::kStart;
}

constexpr auto kReaches = Names<Reach>({{Reach::kUnknown, "unknown"},
                                        {Reach::kContainer, "container"},
                                        {Reach::kNamespace, "namespace"},
                                        {Reach::kStart, "start"},
                                        {Reach::kBoot, "boot"}});

}  // namespace

std::string_view ReachName(Reach r) { return kReaches.Of(r); }
std::optional<Reach> ReachFromName(std::string_view name) { return kReaches.Find(name); }

void JudgeReach(Round& r, bool boot_expected) {
  r.out.reach = ReachOf(r, boot_expected);
  if (r.policy.require_early_start && !boot_expected)
    r.Add(FindingName::kOwnEarlyUnproven,
          "only the attester itself says that it was started in the initramfs: no expected boot was given");
  if (r.out.reach < r.policy.require_reach)
    r.Add(FindingName::kOwnReach, "the verdict reaches less far than the policy demands: '" +
                                      std::string(ReachName(r.out.reach)) + "', not '" +
                                      std::string(ReachName(r.policy.require_reach)) + "'");
}

}  // namespace assay::appraise
