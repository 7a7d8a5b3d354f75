#include "appraise/appraise.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "appraise/checks.h"
#include "appraise/content.h"
#include "appraise/finding_names.h"
#include "base/clock.h"
#include "base/digest_text.h"
#include "base/name_table.h"
#include "list/path_text.h"

namespace assay::appraise {
namespace {

constexpr FindingName kMore = FindingName::kListMoreFindings;

// Whether a finding stays in later rounds. A finding about a record of the list stays true until the next
// boot. Other findings are made again in each round.
bool Stays(const Finding& f) {
  const FindingGroup group = GroupOf(f.name);
  return f.weight != Verdict::kTrusted && f.record &&
         (group == FindingGroup::kEntry || group == FindingGroup::kOwn || group == FindingGroup::kList);
}

// Whether a finding follows from an entry's content alone, so that the entry can be judged again without its
// record. A rollback follows from what came before it, so it stands until the whole list is judged again.
bool IsOfContent(FindingName name) {
  switch (name) {
    case FindingName::kEntryChanged:
    case FindingName::kEntryImageChanged:
    case FindingName::kEntryMisplaced:
    case FindingName::kEntryConfiguration:
    case FindingName::kEntrySwapped:
    case FindingName::kEntryUnknown:
    case FindingName::kEntryBufferUnknown:
    case FindingName::kEntryOutdated:
    case FindingName::kEntryVulnerable:
    case FindingName::kEntryRevoked:
    case FindingName::kEntryWeakDigest:
    case FindingName::kEntryNotComparable:
    case FindingName::kOwnUnknownBinary:
    case FindingName::kOwnInterpreter:
      return true;
    default:
      return false;
  }
}

// Judges the entries of standing findings by what is known now, and takes these findings out of `standing`.
void JudgeAgain(Round& r, std::vector<Finding>& standing) {
  ContentJudge judge(r, ContentJudge::Order::kAny);
  std::set<std::pair<std::uint64_t, std::uint32_t>> done;
  std::vector<Finding> others;
  for (const Finding& f : standing) {
    if (!f.record || !IsOfContent(f.name)) {
      others.push_back(f);
      continue;
    }
    if (!done.emplace(*f.record, f.sub).second) continue;
    JudgedEntry e;
    e.record = *f.record;
    e.sub = f.sub;
    e.path = f.path;
    e.digest = f.digest;
    e.code = f.code;
    e.cgroup = f.cgroup;
    e.context = f.context;
    const Result<Digest> digest = ima::ParseFileDigest(e.digest);
    judge.Judge(e, digest ? &*digest : nullptr, r.out.host.own.contains(ComponentKey(e.path)));
  }
  standing = std::move(others);
}

// What content is judged with, in one digest. It changes when a word of the owner expires, and each day where
// the policy sets outdated content a limit in days.
std::string JudgedWith(const Round& r) {
  Hasher hasher(HashAlg::kSha256);
  const auto put = [&](std::string_view part) {
    hasher.Update(AsBytes(part));
    hasher.Update(AsBytes(std::string_view("\0", 1)));
  };
  put(r.references.Fingerprint());
  put(EncodePolicy(r.policy));
  if (r.policy.outdated_fails_after_days) put(std::to_string(r.request.now_ms / kDayMs));
  for (const TrustedEntry& t : r.trusted.entries) {
    if (t.Expired(r.request.now_ms)) continue;
    put(t.digest);
    put(t.path);
  }
  return hasher.Finish().hex();
}

// Adds one finding for all findings of a name that are only counted.
void AddUntold(Round& r) {
  for (const auto& [name, so_far] : r.alike) {
    if (so_far.untold == 0) continue;
    Finding f;
    f.name = FindingName::kListMoreAlike;
    f.weight = so_far.weight;
    f.text = fmt::format("from record {} on, {} more have the finding {}; they are counted and not told",
                         so_far.first_record, so_far.untold, NameText(name));
    f.record = so_far.first_record;
    r.out.findings.push_back(std::move(f));
  }
}

void KeepStanding(Round& r) {
  Appraisal& out = r.out;
  std::vector<Finding> before =
      r.request.first_record == 0 ? std::vector<Finding>{} : std::move(out.host.standing);
  const std::string with = JudgedWith(r);
  if (r.request.first_record == 0) {
    out.host.judged_with = with;
  } else if (r.host.judged_with != with) {
    JudgeAgain(r, before);
    r.Add(
        FindingName::kListJudgedOtherwise,
        fmt::format("the {} records before this round were judged by other reference values, another policy "
                    "or another trusted list",
                    r.request.first_record));
  }
  if (!before.empty()) {
    std::set<const Finding*, ByIdentity> now;
    for (const Finding& f : out.findings) now.insert(&f);
    std::vector<Finding> again;
    for (const Finding& f : before)
      if (!now.contains(&f)) again.push_back(f);
    for (Finding& f : again) out.findings.push_back(std::move(f));
  }
  std::vector<Finding> standing;
  bool more = false;
  // The findings with the greatest weight must not be dropped.
  for (const Verdict weight : {Verdict::kNotTrusted, Verdict::kUnknown}) {
    for (const Finding& f : out.findings) {
      if (!Stays(f) || f.weight != weight) continue;
      if (standing.size() < kMaxStanding && f.name != kMore)
        standing.push_back(f);
      else
        more = true;
    }
  }
  if (more) {
    Finding f;
    f.name = kMore;
    f.text = "this boot has more findings than are kept; ask for the whole list to see all of them";
    f.record = 0;
    standing.push_back(std::move(f));
  }
  out.host.standing = std::move(standing);
}

constexpr auto kVerdicts = Names<Verdict>({{Verdict::kTrusted, "trusted"},
                                           {Verdict::kNotTrusted, "not-trusted"},
                                           {Verdict::kUnknown, "could-not-tell"}});

}  // namespace

std::string NormalisePath(std::string_view path) {
  std::string out(path);
  for (const std::string_view root : {"/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"})
    if (path.starts_with(root)) out = "/usr" + out;
  return ima::PathText(std::move(out));
}

std::string_view VerdictName(Verdict v) { return kVerdicts.Of(v); }
std::optional<Verdict> VerdictFromName(std::string_view name) { return kVerdicts.Find(name); }

std::string_view StandingName(Standing s) {
  static constexpr auto kNames = Names<Standing>({{Standing::kGood, "good"},
                                                  {Standing::kVulnerable, "vulnerable"},
                                                  {Standing::kRevoked, "revoked"},
                                                  {Standing::kSuperseded, "superseded"}});
  return kNames.Of(s);
}

std::string AdvisoriesText(const std::vector<Advisory>& worst, std::size_t all) {
  constexpr std::size_t kTold = 3;
  std::string out;
  for (std::size_t i = 0; i < std::min(worst.size(), kTold); ++i) {
    const Advisory& a = worst[i];
    out += fmt::format("{}{}{}{}{}", i == 0 ? "" : "; ", a.id, a.record.empty() ? "" : " of " + a.record,
                       a.severity.empty() ? "" : " (" + a.severity + ")",
                       a.fixed.empty() ? ", not fixed yet" : ", fixed in " + a.fixed);
  }
  if (all > kTold) out += fmt::format("; and {} more", all - kTold);
  return out;
}

std::string_view EntryStateName(EntryState s) {
  static constexpr auto kNames = Names<EntryState>({{EntryState::kTrusted, "trusted"},
                                                    {EntryState::kOutdated, "outdated"},
                                                    {EntryState::kVulnerable, "vulnerable"},
                                                    {EntryState::kRevoked, "revoked"},
                                                    {EntryState::kChanged, "changed"},
                                                    {EntryState::kUnknown, "unknown"},
                                                    {EntryState::kViolation, "violation"},
                                                    {EntryState::kOwn, "own"}});
  return kNames.Of(s);
}

Appraisal Appraise(const Request& request, const HostState& host, const ReferenceValues& references,
                   const Policy& policy, const std::vector<boot::ExpectedBoot>& boots,
                   const TrustedList& trusted) {
  Round r{.request = request,
          .host = host,
          .references = references,
          .policy = policy,
          .trusted = trusted,
          .out = {},
          .made = {},
          .quote = {},
          .pcrs = {},
          .records = {},
          .extends = PackedDigests(),
          .alike = {}};
  if (CheckQuote(r)) {
    CheckBoot(r, boots);
    if (CheckList(r)) JudgeEntries(r);
    CheckRun(r);
    CheckCap(r);
    JudgeReach(r, !boots.empty());
  }
  const bool proven = r.sound && r.made.contains(Check::kList);
  if (!policy.require_attester_records) r.made.insert(Check::kOwnRecords);
  AddUntold(r);
  KeepStanding(r);
  Appraisal out = std::move(r.out);
  out.verdict = Verdict::kTrusted;
  for (const Finding& f : out.findings) out.verdict = Worse(out.verdict, f.weight);
  if (out.verdict == Verdict::kTrusted && r.made.size() != static_cast<std::size_t>(Check::kCount)) {
    Finding f;
    f.name = FindingName::kInternalUnchecked;
    f.weight = Verdict::kUnknown;
    f.text = "not every check could be made";
    out.findings.push_back(std::move(f));
    out.verdict = Verdict::kUnknown;
  }
  // A round that proved nothing does not change the host's state.
  if (proven)
    ++out.host.rounds;
  else
    out.host = host;
  return out;
}

}  // namespace assay::appraise
