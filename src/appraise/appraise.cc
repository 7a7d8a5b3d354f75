#include "appraise/appraise.h"

#include <fmt/format.h>

#include <algorithm>

#include "appraise/checks.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxStanding = 5000;

Verdict Worse(Verdict a, Verdict b) {
  auto rank = [](Verdict v) { return v == Verdict::kNotTrusted ? 2 : v == Verdict::kUnknown ? 1 : 0; };
  return rank(a) >= rank(b) ? a : b;
}

bool SameFinding(const Finding& a, const Finding& b) {
  return a.name == b.name && a.record == b.record && a.sub == b.sub && a.path == b.path &&
         a.digest == b.digest;
}

// What the list showed once in a boot stays true until the next.
bool Stays(const Finding& f) {
  return f.weight != Verdict::kTrusted && f.record &&
         (f.name.starts_with("entry.") || f.name.starts_with("own.") || f.name == "list.gap");
}

void KeepStanding(Round& r) {
  Appraisal& out = r.out;
  std::vector<Finding> standing = r.request.first_record == 0 ? std::vector<Finding>{} : out.host.standing;
  for (const Finding& f : standing) {
    if (std::none_of(out.findings.begin(), out.findings.end(),
                     [&](const Finding& g) { return SameFinding(f, g); }))
      out.findings.push_back(f);
  }
  standing.clear();
  for (const Finding& f : out.findings)
    if (Stays(f) && standing.size() < kMaxStanding) standing.push_back(f);
  out.host.standing = std::move(standing);
}

}  // namespace

std::string_view VerdictName(Verdict v) {
  switch (v) {
    case Verdict::kTrusted:
      return "trusted";
    case Verdict::kNotTrusted:
      return "not-trusted";
    case Verdict::kUnknown:
      break;
  }
  return "could-not-tell";
}

std::string_view EntryStateName(EntryState s) {
  switch (s) {
    case EntryState::kTrusted:
      return "trusted";
    case EntryState::kVulnerable:
      return "vulnerable";
    case EntryState::kRevoked:
      return "revoked";
    case EntryState::kChanged:
      return "changed";
    case EntryState::kViolation:
      return "violation";
    case EntryState::kOwn:
      return "own";
    case EntryState::kUnknown:
      break;
  }
  return "unknown";
}

Appraisal Appraise(const Request& request, const HostState& host, const ReferenceValues& references,
                   const Policy& policy) {
  Round r{.request = request,
          .host = host,
          .references = references,
          .policy = policy,
          .out = {},
          .made = {},
          .quote = {},
          .pcrs = {},
          .records = {}};
  if (CheckQuote(r) && CheckList(r)) JudgeEntries(r);
  const bool proven = r.sound && r.made.contains(Check::kList);
  if (!policy.require_attester_records) r.made.insert(Check::kOwnRecords);
  KeepStanding(r);
  Appraisal out = std::move(r.out);
  out.verdict = Verdict::kTrusted;
  for (const Finding& f : out.findings) out.verdict = Worse(out.verdict, f.weight);
  if (out.verdict == Verdict::kTrusted && r.made.size() != static_cast<std::size_t>(Check::kCount)) {
    Finding f;
    f.name = "internal.unchecked";
    f.weight = Verdict::kUnknown;
    f.text = "not every check was made";
    out.findings.push_back(std::move(f));
    out.verdict = Verdict::kUnknown;
  }
  // A round that proved nothing teaches nothing.
  if (proven)
    ++out.host.rounds;
  else
    out.host = host;
  return out;
}

}  // namespace assay::appraise
