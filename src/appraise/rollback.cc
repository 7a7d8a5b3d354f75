#include "appraise/rollback.h"

#include <fmt/core.h>

#include "appraise/finding_names.h"

namespace assay::appraise {

void BeginNewest(Round& r) {
  // A TPM that was only restarted (resume from sleep) may go on with the list of the same boot.
  const bool same_boot = !r.out.rebooted || r.out.claims.boot_id == r.host.boot_id;
  if (same_boot)
    r.out.host.newest = r.out.host.newest_before;
  else
    r.out.host.newest_before = r.out.host.newest;
}

// The reference values must still have both versions, and a newer one at the path than the entry's.
bool RollbackJudge::WentBack(const std::string& path, const NewestVersion& seen,
                             const std::string& highest) const {
  if (!r_.references.IsOlder(seen.package, highest, seen.version)) return false;
  const std::optional<Origin> now = r_.references.FindPath(path);
  return !now || now->package != seen.package || r_.references.IsOlder(seen.package, highest, now->version);
}

void RollbackJudge::Judge(const JudgedEntry& e, const std::string& here,
                          const std::vector<const Origin*>& in_place) {
  if (in_place.empty() || !evidence::ContainerOf(e.cgroup).empty()) return;
  const std::string& package = in_place.front()->package;
  // The same content may be of several versions: the file is at least of the lowest, at most of the highest.
  const Origin* lowest = in_place.front();
  const Origin* highest = lowest;
  for (const Origin* o : in_place) {
    if (o->package != package) return;  // two packages have it there, so it tells nothing of a version
    if (r_.references.IsOlder(package, o->version, lowest->version)) lowest = o;
    if (r_.references.IsOlder(package, highest->version, o->version)) highest = o;
  }
  NewestVersions& newest = r_.out.host.newest;
  const auto seen = newest.find(here);
  if (seen != newest.end() && seen->second.package == package) {
    if (WentBack(e.path, seen->second, highest->version)) {
      Report(e, here, seen->second, highest->version);
      return;
    }
    if (r_.references.IsOlder(package, lowest->version, seen->second.version)) return;
    seen->second.version = lowest->version;  // newer, or the reference values have forgotten the former one
    r_.out.host.newest_before.erase(here);   // this boot shows it too
    return;
  }
  if (!lowest->has_older || (seen == newest.end() && newest.size() >= kMaxNewest)) return;
  newest[here] = {package, lowest->version};
}

// The initramfs may keep files from before an upgrade, and what it runs is in the list of an early attester
// and of the kernel. So a newer version that only an earlier boot had is no proof there.
void RollbackJudge::Report(const JudgedEntry& e, const std::string& here, const NewestVersion& seen,
                           const std::string& version) {
  const bool this_boot = !r_.out.host.newest_before.contains(here);
  const auto& own = r_.out.host.own;
  const auto early = own.find("early");
  const bool initramfs = !this_boot && (early == own.end() || early->second == "yes");
  const bool claimed = e.cgroup.empty() && e.context && !evidence::ContainerOf(e.context->cgroup).empty();
  r_.AddFor(e, FindingName::kEntryRollback,
            initramfs || claimed ? Verdict::kTrusted : WeightOf(FindingName::kEntryRollback),
            fmt::format("{} is of {} {}, and the host ran {} of it {}{}", e.path, seen.package, version,
                        seen.version, this_boot ? "before in this boot" : "in an earlier boot",
                        initramfs ? "; the initramfs may still have the old one"
                        : claimed ? "; the attester says that this is in a container"
                                  : ""));
}

}  // namespace assay::appraise
