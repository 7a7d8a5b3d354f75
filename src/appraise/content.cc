#include "appraise/content.h"

#include <fmt/core.h>

#include <algorithm>

#include "appraise/finding_names.h"
#include "appraise/other_digest.h"
#include "appraise/place.h"
#include "base/clock.h"
#include "base/digest_text.h"
#include "list/list.h"
#include "measure/policy/configuration.h"
#include "measure/policy/policy.h"
#include "measure/system/allowable.h"
#include "measure/system/bpf_entry.h"
#include "measure/system/buffer_name.h"

namespace assay::appraise {
namespace {

// The name of the system service that the control group belongs to; empty: it belongs to none. The service
// manager of a user chooses its paths itself, so its services don't count.
std::string_view ServiceOf(std::string_view cgroup) {
  if (cgroup.starts_with("/user.slice/")) return {};
  while (!cgroup.empty()) {
    const std::size_t slash = cgroup.rfind('/');
    if (slash == std::string_view::npos) return {};
    if (cgroup.ends_with(".service")) return cgroup.substr(slash + 1);
    cgroup = cgroup.substr(0, slash);
  }
  return {};
}

// Those that have the content at this path.
std::vector<const Origin*> InPlace(const std::vector<Origin>& origins, const std::string& here) {
  std::vector<const Origin*> in_place;
  for (const Origin& o : origins)
    if (IsPlaceOf(o, here)) in_place.push_back(&o);
  return in_place;
}

// How well an origin speaks for content at a path; the best one is judged by. A revoked one comes before all.
// A superseded one counts at its own path only, where it says more than a good one of another path.
int Rank(const Origin& o, bool here) {
  switch (o.standing) {
    case Standing::kRevoked:
      return 5;
    case Standing::kGood:
      return here ? 4 : 2;
    case Standing::kSuperseded:
      return here ? 3 : -1;
    case Standing::kVulnerable:
      return here ? 1 : 0;
  }
  return -1;
}

// The index of the origin to judge by; origins.size() if there is none.
std::size_t Best(const std::vector<Origin>& origins, const std::string& here) {
  std::size_t best = origins.size();
  int best_rank = -1;
  for (std::size_t i = 0; i < origins.size(); ++i) {
    const int rank = Rank(origins[i], IsPlaceOf(origins[i], here));
    if (rank <= best_rank) continue;
    best = i;
    best_rank = rank;
  }
  return best;
}

// What the record says counts; where it says nothing, what the attester does.
const std::string& CgroupOf(const JudgedEntry& e) {
  return !e.cgroup.empty() || !e.context ? e.cgroup : e.context->cgroup;
}

// Whether a user had the file measured through the `measure` node. That tells the content of a file of this
// user, not that a program loaded it.
bool IsShown(const JudgedEntry& e) { return e.path.starts_with("measure:"); }

// The path that the entry is judged at: for configuration, without what the record says of its use.
std::string_view PlaceIn(std::string_view name) {
  const std::string_view configuration = measure::ConfigurationPath(name);
  return configuration.empty() ? name : configuration;
}

// Whether it is content without a file, which a program executed and had measured through the `measure` node.
bool IsBuffer(const JudgedEntry& e) { return e.path.starts_with(measure::kBufferPrefix); }

}  // namespace

std::string EntryName(const JudgedEntry& e) {
  return e.path.empty() ? fmt::format("record {}", e.record) : e.path;
}

ContentJudge::ContentJudge(Round& round, Order order)
    : r_(round),
      order_(order),
      by_image_(round.references.Images().size()),
      bpf_(round.policy, round.references),
      rollback_(round) {
  for (const TrustedEntry& t : r_.trusted.entries)
    if (!t.Expired(r_.request.now_ms)) trusted_.emplace(t.digest, &t);
}

void ContentJudge::Judge(JudgedEntry& e, const Digest* digest, bool component) {
  owners_ = false;
  comparable_ = true;
  place_ = NormalisePath(PlaceIn(e.path));
  default_place_.clear();
  if (!measure::ConfigurationPath(e.path).empty()) default_place_ = measure::DefaultPlaceOf(place_);
  in_ = component ? std::nullopt : evidence::ContainerIn(CgroupOf(e));
  // The packages of the machine say nothing of the paths of a container.
  paths_ = in_ ? nullptr : &r_.references;
  if (!component && AllowedCgroup(e.cgroup)) {
    e.state = EntryState::kTrusted;
    ++not_judged_;
  } else if (r_.policy.allowed.contains(e.digest) ||
             (component && r_.policy.attester_digests.contains(e.digest))) {
    e.state = EntryState::kTrusted;
  } else {
    JudgeByReference(e, digest);
  }
  if (owners_) ++owner_trusted_;
  if (!comparable_) return;  // a finding says that nothing is known of it
  const bool known = e.state == EntryState::kTrusted || e.state == EntryState::kVulnerable ||
                     e.state == EntryState::kOutdated;
  if (component && !known)
    Report(FindingName::kOwnUnknownBinary, e,
           fmt::format("{} is part of the attester and is not a known build", e.path));
  if (!known && r_.policy.interpreters.contains(e.path))
    Report(FindingName::kOwnInterpreter, e,
           fmt::format("the interpreter {} is not a known build; it may read code that is not measured",
                       e.path));
}

// Such texts are often made anew, so they are counted, by their names, of which the most frequent are told.
void ContentJudge::NoteBuffers() {
  constexpr std::size_t kTold = 5;
  if (buffers_.empty()) return;
  std::vector<std::pair<std::string, std::uint64_t>> names(buffers_.begin(), buffers_.end());
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::uint64_t all = 0;
  std::string told;
  for (std::size_t i = 0; i < names.size(); ++i) {
    all += names[i].second;
    if (i < kTold) told += fmt::format("{}{} ({})", i == 0 ? "" : ", ", names[i].first, names[i].second);
  }
  if (names.size() > kTold) told += fmt::format(", and {} other names", names.size() - kTold);
  r_.Add(FindingName::kEntryBufferUnknown,
         fmt::format("{} contents without a file are in no reference value: {}", all, told));
}

void ContentJudge::AddNotes() {
  NoteBuffers();
  if (not_judged_ > 0)
    r_.Add(FindingName::kPolicyNotJudged,
           fmt::format("{} entries of control groups in the policy's allowed_cgroups are not judged",
                       not_judged_));
  AddImageNotes();
  if (owner_trusted_ > 0)
    r_.Add(FindingName::kPolicyOwnerTrusted,
           fmt::format("{} entries are good by the owner's trusted list", owner_trusted_));
  if (bpf_.by_policy() > 0)
    r_.Add(FindingName::kPolicyPackageBpf,
           fmt::format("{} BPF programs were loaded by programs that the policy allows to make them",
                       bpf_.by_policy()));
  if (const std::string text = bpf_.ByPackages(); !text.empty())
    r_.Add(FindingName::kPolicyPackageBpf,
           "programs of packages loaded BPF programs that they made themselves: " + text);
  std::size_t expired = 0;
  const TrustedEntry* first = nullptr;
  for (const TrustedEntry& t : r_.trusted.entries) {
    if (!t.Expired(r_.request.now_ms)) continue;
    ++expired;
    if (first == nullptr) first = &t;
  }
  if (first != nullptr)
    r_.Add(
        FindingName::kPolicyTrustExpired,
        fmt::format("{} entries of the owner's trusted list have expired, first {}{}, by {} ({})", expired,
                    first->digest, first->path.empty() ? "" : " at " + first->path, first->who, first->why));
}

// An image that no container fits is told too: a mistyped id would judge nothing.
void ContentJudge::AddImageNotes() {
  const std::vector<ImageReference>& images = r_.references.Images();
  for (std::size_t i = 0; i < images.size(); ++i)
    r_.Add(FindingName::kPolicyImages, fmt::format("the image {} judged {} entries of containers '{}'",
                                                   images[i].name, by_image_[i], images[i].who.Text()));
}

// What the owner says of this content at this path; null: nothing.
const TrustedEntry* ContentJudge::OwnersWord(const JudgedEntry& e) const {
  const auto [from, to] = trusted_.equal_range(e.digest);
  for (auto it = from; it != to; ++it)
    if (it->second->path.empty() || NormalisePath(PlaceIn(it->second->path)) == place_) return it->second;
  return nullptr;
}

// What the owner says of other content at this path; null: nothing.
const TrustedEntry* ContentJudge::AcceptedBefore(const JudgedEntry& e) const {
  const auto found = std::find_if(r_.trusted.entries.rbegin(), r_.trusted.entries.rend(), [&](const auto& t) {
    return !t.path.empty() && NormalisePath(PlaceIn(t.path)) == place_ && t.digest != e.digest;
  });
  return found == r_.trusted.entries.rend() ? nullptr : &*found;
}

bool ContentJudge::TrustedByOwner(JudgedEntry& e) {
  const TrustedEntry* word = OwnersWord(e);
  if (word == nullptr) return false;
  e.state = EntryState::kTrusted;
  e.origin = Origin{.standing = Standing::kGood,
                    .package = std::string(kOwner),
                    .version = word->who,
                    .architecture = "",
                    .path = word->path,
                    .note = word->why};
  owners_ = true;
  return true;
}

// Whether the entry is a BPF program of a loader that is allowed to make BPF programs. The loader's digest is
// in the record, so the PCR proves it like the entry itself.
bool ContentJudge::MadeByItsLoader(JudgedEntry& e) {
  const std::optional<Digest> loader = measure::BpfLoader(e.path);
  if (!loader || !bpf_.Take(*loader, std::string(measure::kBpfProgramKind))) return false;
  e.state = EntryState::kTrusted;
  return true;
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
  std::vector<Origin> origins = r_.references.Find(DigestToFind(*digest, e.digest));
  if (origins.empty() && !e.code.empty())
    if (const Result<Digest> code = ParseDigest(e.code)) origins = r_.references.Find(*code);
  std::string here = place_;
  std::vector<const Origin*> in_place = InPlace(origins, here);
  if (in_place.empty() && !default_place_.empty()) {
    in_place = InPlace(origins, default_place_);
    if (!in_place.empty()) here = default_place_;
  }
  const std::size_t best = Best(origins, here);
  // What is revoked or vulnerable is so in an image too.
  const bool warned = best < origins.size() && (origins[best].standing == Standing::kRevoked ||
                                                origins[best].standing == Standing::kVulnerable);
  if (in_ && !warned && JudgeByImage(e, *digest)) return;
  if (origins.empty() && !IsOfContent(*digest, e.digest)) {
    JudgeUncompared(e, digest->alg());
  } else if (best == origins.size()) {
    JudgeUnknown(e, origins.empty() ? nullptr : &origins.front());
  } else {
    const bool told = origins[best].standing == Standing::kRevoked || IsShown(e);
    // A container may have an older version than the machine, at the same path.
    if (order_ == Order::kList && !in_ && !told && !in_place.empty() && OwnersWord(e) == nullptr)
      rollback_.Judge(e, here, in_place);
    e.origin = std::move(origins[best]);
    JudgeKnown(e, IsPlaceOf(*e.origin, here));
    if (e.state == EntryState::kTrusted && !owners_ && in_place.empty()) JudgePlace(e);
  }
}

// An image knows what belongs at the paths of its containers. False: no image that was given for the
// container knows the content or the path, as of a file that was installed there later.
bool ContentJudge::JudgeByImage(JudgedEntry& e, const Digest& digest) {
  const std::vector<ImageReference>& images = r_.references.Images();
  const std::string& here = place_;
  std::size_t at_path = images.size();
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (!images[i].who.Fits(*in_)) continue;
    std::vector<Origin> origins = images[i].values->Find(DigestToFind(digest, e.digest));
    if (const std::size_t best = Best(origins, here); best < origins.size()) {
      ++by_image_[i];
      paths_ = images[i].values;
      e.origin = std::move(origins[best]);
      JudgeKnown(e, IsPlaceOf(*e.origin, here));
      return true;
    }
    if (at_path == images.size() && images[i].values->FindPath(here)) at_path = i;
  }
  if (at_path == images.size() || !IsOfContent(digest, e.digest)) return false;
  ++by_image_[at_path];
  if (TrustedByOwner(e)) return true;
  e.origin = images[at_path].values->FindPath(here);
  e.state = EntryState::kChanged;
  Report(FindingName::kEntryImageChanged, e,
         fmt::format("{} is not the file that the image {} {} has there", e.path, e.origin->package,
                     e.origin->version));
  return true;
}

// A program of a system service must be at its packaged path.
void ContentJudge::JudgePlace(JudgedEntry& e) {
  const std::string_view service = in_ ? std::string_view() : ServiceOf(CgroupOf(e));
  if (service.empty() || !e.path.starts_with('/') || TrustedByOwner(e)) return;
  e.state = EntryState::kChanged;
  Report(FindingName::kEntryMisplaced, e,
         fmt::format("{} is {} of {} {}, and runs in {} ({})", e.path, e.origin->path, e.origin->package,
                     e.origin->version, service,
                     e.cgroup.empty() ? "as the attester says" : "as its record says"));
}

// Reference values have digests of other kinds than SHA-256 of some files only, so it says nothing about the
// file that none of them has this one.
void ContentJudge::JudgeUncompared(JudgedEntry& e, HashAlg alg) {
  if (TrustedByOwner(e)) return;
  comparable_ = false;
  Report(FindingName::kEntryNotComparable,
         IsShown(e) ? Verdict::kTrusted : WeightOf(FindingName::kEntryNotComparable), e,
         fmt::format(
             "{} was measured with {}{}, and the reference values do not have this digest; of most files "
             "they have only the {} of the content",
             EntryName(e), HashName(alg), e.digest.starts_with(ima::kVerityPrefix) ? " of fs-verity" : "",
             HashName(kReferenceAlg)));
}

// superseded: what the content was elsewhere; may be null.
void ContentJudge::JudgeUnknown(JudgedEntry& e, const Origin* superseded) {
  if (TrustedByOwner(e) || MadeByItsLoader(e)) return;
  if (IsShown(e)) {
    Report(FindingName::kEntryShownUnknown, e,
           fmt::format("{} is in no reference value; a user had it measured, and no program loaded it",
                       EntryName(e)));
    return;
  }
  if (IsBuffer(e)) {
    if (r_.policy.buffers_fail)
      Report(FindingName::kEntryBufferUnknown, Verdict::kNotTrusted, e,
             fmt::format("{} is in no reference value; it has no file", EntryName(e)));
    else
      ++buffers_[e.path];
    return;
  }
  const std::string was = superseded == nullptr
                              ? ""
                              : fmt::format("; it is {} of {} {}, which is superseded", superseded->path,
                                            superseded->package, superseded->version);
  e.origin = AtPlace();
  if (!measure::ConfigurationPath(e.path).empty()) {
    ReportConfiguration(
        e, (e.origin ? fmt::format("is not the default of {} {}", e.origin->package, e.origin->version)
                     : "is of no package") +
               was);
  } else if (e.origin) {
    e.state = EntryState::kChanged;
    // The evidence can't tell an altered file from one of an upgrade that no snapshot knows yet.
    const std::string either =
        superseded == nullptr ? "; it was altered, or is of a version that no reference value has yet" : was;
    Report(FindingName::kEntryChanged, e,
           fmt::format("{} is not the file that {} {} has there{}", e.path, e.origin->package,
                       e.origin->version, either));
  } else {
    const bool before = e.context && e.context->hook == "before";
    Report(FindingName::kEntryUnknown, e,
           fmt::format("{} is in no reference{}{}", EntryName(e), was,
                       before ? "; it ran before the attester" : ""));
  }
}

// is: what it is, after the subject. Most machines have files of which nothing is known, so such a file is
// noted.
void ContentJudge::ReportConfiguration(JudgedEntry& e, const std::string& is) {
  const TrustedEntry* before = AcceptedBefore(e);
  const bool changed = before != nullptr || AtPlace();
  if (changed) e.state = EntryState::kChanged;
  Report(FindingName::kEntryConfiguration,
         changed || r_.policy.configuration_fails ? Verdict::kNotTrusted : Verdict::kTrusted, e,
         fmt::format("the configuration {} {}{}", PlaceIn(e.path), is,
                     before == nullptr
                         ? ", and the owner has accepted no content of it"
                         : fmt::format(", and was changed since the owner accepted it ({}, {}: {})",
                                       before->who, DateText(before->when_ms), before->why)));
}

// here: whether the content is known at this path.
void ContentJudge::JudgeKnown(JudgedEntry& e, bool here) {
  const Origin& o = *e.origin;
  const std::string note = o.note.empty() ? "" : " (" + o.note + ")";
  auto what = [&] { return fmt::format("{} is {} of {} {}", e.path, o.path, o.package, o.version); };
  if (o.standing == Standing::kRevoked) {
    e.state = EntryState::kRevoked;
    Report(FindingName::kEntryRevoked, IsShown(e) ? Verdict::kTrusted : Verdict::kNotTrusted, e,
           o.package == kDenied ? fmt::format("{} has content that {} denies{}", e.path, o.version, note)
                                : what() + ", which was revoked" + note);
  } else if (o.standing == Standing::kVulnerable) {
    e.state = EntryState::kVulnerable;
    const std::string known = AdvisoriesText(o.advisories, o.advisory_count);
    Report(FindingName::kEntryVulnerable,
           r_.policy.vulnerable_fails && !IsShown(e) ? Verdict::kNotTrusted : Verdict::kTrusted, e,
           what() + ", which is vulnerable" + note + (known.empty() ? "" : ": " + known));
  } else if (o.standing == Standing::kSuperseded) {
    e.state = EntryState::kOutdated;
    JudgeOutdated(e);
  } else if (!here && !measure::ConfigurationPath(e.path).empty()) {
    const std::string is = fmt::format("is {} of {} {}", o.path, o.package, o.version);
    if (!TrustedByOwner(e)) ReportConfiguration(e, is);
  } else if (const std::optional<Origin> there = here ? std::nullopt : AtPlace();
             there && !TrustedByOwner(e)) {
    e.state = EntryState::kChanged;
    Report(FindingName::kEntrySwapped, e,
           fmt::format("{}, but {} {} has another file there", what(), there->package, there->version));
  } else {
    e.state = EntryState::kTrusted;
  }
}

void ContentJudge::JudgeOutdated(JudgedEntry& e) {
  const Origin& o = *e.origin;
  const std::optional<Origin> now = AtPlace();
  const std::optional<std::uint32_t>& limit = r_.policy.outdated_fails_after_days;
  const bool late = limit && r_.request.now_ms > o.since_ms + *limit * kDayMs;
  Report(FindingName::kEntryOutdated, late && !IsShown(e) ? Verdict::kNotTrusted : Verdict::kTrusted, e,
         fmt::format("{} is of {} {}, superseded since {}{}", e.path, o.package, o.version,
                     DateText(o.since_ms), now ? " by " + now->version : ""));
}

}  // namespace assay::appraise
