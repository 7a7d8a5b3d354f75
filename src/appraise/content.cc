#include "appraise/content.h"

#include <fmt/format.h>

#include <algorithm>

#include "appraise/finding_names.h"
#include "appraise/place.h"
#include "measure/policy/policy.h"

namespace assay::appraise {
namespace {

// The name of the system service that the control group belongs to; empty: it belongs to none. The service
// manager of a user or of a container chooses its paths itself, so its services don't count.
std::string_view ServiceOf(std::string_view cgroup) {
  if (cgroup.starts_with("/user.slice/") || !evidence::ContainerOf(cgroup).empty()) return {};
  while (!cgroup.empty()) {
    const std::size_t slash = cgroup.rfind('/');
    if (slash == std::string_view::npos) return {};
    if (cgroup.ends_with(".service")) return cgroup.substr(slash + 1);
    cgroup = cgroup.substr(0, slash);
  }
  return {};
}

// The index of the origin to judge by: the one with this path, else the one with the best standing; but a
// revoked one comes before all. origins.size() if there is none.
std::size_t Best(const std::vector<Origin>& origins, const std::string& here) {
  std::size_t best = origins.size();
  int best_rank = -1;
  for (std::size_t i = 0; i < origins.size(); ++i) {
    const Origin& o = origins[i];
    const int rank = o.standing == Standing::kRevoked
                         ? 4
                         : (o.standing == Standing::kGood ? 2 : 0) + (IsPlaceOf(o, here) ? 1 : 0);
    if (rank <= best_rank) continue;
    best = i;
    best_rank = rank;
  }
  return best;
}

// Whether a user had the file measured through the `measure` node. That tells the content of a file of this
// user, not that a program loaded it.
bool IsShown(const JudgedEntry& e) { return e.path.starts_with("measure:"); }

}  // namespace

std::string EntryName(const JudgedEntry& e) {
  return e.path.empty() ? fmt::format("record {}", e.record) : e.path;
}

void ContentJudge::Judge(JudgedEntry& e, const Digest* digest, bool component) {
  if (!component && AllowedCgroup(e.cgroup)) {
    e.state = EntryState::kTrusted;
    ++not_judged_;
  } else if (r_.policy.allowed.contains(e.digest) ||
             (component && r_.policy.attester_digests.contains(e.digest))) {
    e.state = EntryState::kTrusted;
  } else {
    JudgeByReference(e, digest);
  }
  const bool known = e.state == EntryState::kTrusted || e.state == EntryState::kVulnerable;
  if (component && !known)
    Report(FindingName::kOwnUnknownBinary, e,
           fmt::format("{} is part of the attester and is not a known build", e.path));
  if (!known && r_.policy.interpreters.contains(e.path))
    Report(FindingName::kOwnInterpreter, e,
           fmt::format("the interpreter {} is not a known build; it may read code that is not measured",
                       e.path));
}

void ContentJudge::AddNotes() {
  if (not_judged_ > 0)
    r_.Add(FindingName::kPolicyNotJudged,
           fmt::format("{} entries of control groups in the policy's allowed_cgroups are not judged",
                       not_judged_));
}

// Only the control group in the record itself counts: a task chooses the path, and the context is only a
// claim of the attester.
bool ContentJudge::AllowedCgroup(const std::string& cgroup) const {
  return !cgroup.empty() &&
         std::any_of(r_.policy.allowed_cgroups.begin(), r_.policy.allowed_cgroups.end(),
                     [&](const std::string& glob) { return measure::GlobMatches(glob, cgroup); });
}

void ContentJudge::JudgeByReference(JudgedEntry& e, const Digest* digest) {
  const std::vector<HashAlg>& strong = r_.policy.file_algs;
  if (digest == nullptr || std::find(strong.begin(), strong.end(), digest->alg()) == strong.end()) {
    const std::string alg = e.digest.substr(0, e.digest.find(':'));
    Report(FindingName::kEntryWeakDigest, e,
           fmt::format("{} was measured with {}, which the policy does not accept", EntryName(e),
                       alg.empty() ? "no digest" : alg));
    return;
  }
  std::vector<Origin> origins = r_.references.Find(*digest);
  const std::string here = NormalisePath(e.path);
  const bool in_place =
      std::any_of(origins.begin(), origins.end(), [&](const Origin& o) { return IsPlaceOf(o, here); });
  const std::size_t best = Best(origins, here);
  if (best == origins.size()) {
    JudgeUnknown(e);
  } else {
    e.origin = std::move(origins[best]);
    JudgeKnown(e, IsPlaceOf(*e.origin, here));
    if (e.state == EntryState::kTrusted && !in_place) JudgePlace(e);
  }
}

// A program of a system service must be at its packaged path.
void ContentJudge::JudgePlace(JudgedEntry& e) {
  const std::string& cgroup = !e.cgroup.empty() || !e.context ? e.cgroup : e.context->cgroup;
  const std::string_view service = ServiceOf(cgroup);
  if (service.empty() || !e.path.starts_with('/')) return;
  e.state = EntryState::kChanged;
  Report(FindingName::kEntryMisplaced, e,
         fmt::format("{} is {} of {} {}, and runs in {} ({})", e.path, e.origin->path, e.origin->package,
                     e.origin->version, service,
                     e.cgroup.empty() ? "as the attester says" : "as its record says"));
}

void ContentJudge::JudgeUnknown(JudgedEntry& e) {
  if (IsShown(e)) {
    Report(FindingName::kEntryShownUnknown, e,
           fmt::format("{} is in no reference value; a user had it measured, and no program loaded it",
                       EntryName(e)));
    return;
  }
  e.origin = r_.references.FindPath(e.path);
  if (e.origin) {
    e.state = EntryState::kChanged;
    Report(
        FindingName::kEntryChanged, e,
        fmt::format("{} is not the file that {} {} has there", e.path, e.origin->package, e.origin->version));
  } else {
    const bool before = e.context && e.context->hook == "before";
    Report(
        FindingName::kEntryUnknown, e,
        fmt::format("{} is in no reference{}", EntryName(e), before ? "; it ran before the attester" : ""));
  }
}

// here: whether the content is known at this path.
void ContentJudge::JudgeKnown(JudgedEntry& e, bool here) {
  const Origin& o = *e.origin;
  const std::string note = o.note.empty() ? "" : " (" + o.note + ")";
  auto what = [&] { return fmt::format("{} is {} of {} {}", e.path, o.path, o.package, o.version); };
  if (o.standing == Standing::kRevoked) {
    e.state = EntryState::kRevoked;
    r_.AddFor(e, FindingName::kEntryRevoked, IsShown(e) ? Verdict::kTrusted : Verdict::kNotTrusted,
              what() + ", which was revoked" + note);
  } else if (o.standing == Standing::kVulnerable) {
    e.state = EntryState::kVulnerable;
    r_.AddFor(e, FindingName::kEntryVulnerable,
              r_.policy.vulnerable_fails && !IsShown(e) ? Verdict::kNotTrusted : Verdict::kTrusted,
              what() + ", which is vulnerable" + note);
  } else if (const std::optional<Origin> there = here ? std::nullopt : r_.references.FindPath(e.path)) {
    e.state = EntryState::kChanged;
    Report(FindingName::kEntrySwapped, e,
           fmt::format("{}, but {} {} has another file there", what(), there->package, there->version));
  } else {
    e.state = EntryState::kTrusted;
  }
}

}  // namespace assay::appraise
