// Results as lines for people: docs/formats/result.md, "For people".
#include <fmt/core.h>

#include <algorithm>

#include "appraise/causes.h"
#include "appraise/enrolment.h"
#include "appraise/finding_names.h"
#include "appraise/result.h"
#include "base/clock.h"
#include "base/text.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxCauses = 20, kMaxParts = 5, kMaxReasons = 3;  // that are printed without Shown::all

// Notes are dim: they say nothing bad.
std::string Mark(Verdict weight, bool colour) {
  if (weight == Verdict::kTrusted) return colour ? "\x1b[2mnote\x1b[0m" : "note";
  return Tinted(weight, weight == Verdict::kUnknown ? "?   " : "!   ", colour);
}

std::string Line(const Finding& f, bool colour = false) {
  return fmt::format("{} {}: {}\n", Mark(f.weight, colour), NameText(f.name), Printable(f.text));
}

// The first line: the verdict and how far it reaches.
std::string VerdictLine(const Appraisal& a, bool colour) {
  std::string counted;
  for (const auto& [state, n] : a.counts)
    counted += fmt::format("{}{} {}", counted.empty() ? "" : ", ", n, EntryStateName(state));
  std::string out = Tinted(a.verdict, VerdictName(a.verdict), colour) + ", " + ReachText(a);
  if (!a.claims.hostname.empty()) out += "; " + Printable(a.claims.hostname.ToString());
  if (!counted.empty()) out += ": " + counted;
  if (!a.host.identity.empty())
    out += fmt::format(" (identity: {}{})", Printable(a.host.identity),
                       a.claims.tpm_software || a.host.tpm_software ? ", software" : "");
  return out + "\n";
}

class Teller {
 public:
  Teller(const Appraisal& a, bool colour, const Shown& shown) : a_(a), colour_(colour), shown_(shown) {
    if (shown.before != nullptr) changes_ = ChangesSince(*shown.before, a);
  }

  std::string Tell() {
    Round();
    const std::vector<Cause> causes = CausesOf(a_.entries, Selected(a_, shown_));
    for (std::size_t i = 0; i < causes.size() && i < Limit(kMaxCauses); ++i) Tell(causes[i]);
    More(causes.size(), kMaxCauses, "causes", "");
    Gone();
    return std::move(out_);
  }

 private:
  std::size_t Limit(std::size_t limit) const { return shown_.all ? ~std::size_t{0} : limit; }
  bool IsNew(const Finding& f) const { return changes_ && changes_->fresh.contains(&f); }

  void More(std::size_t all, std::size_t limit, std::string_view what, std::string_view indent) {
    if (all > Limit(limit))
      out_ += fmt::format("{}... and {} more {} (--long prints all)\n", indent, all - limit, what);
  }

  void Round() {
    if (!changes_) return;
    out_ += fmt::format("round {}: ", a_.host.rounds);
    if (a_.rebooted)
      out_ += fmt::format("the machine was rebooted, and its list begins anew ({} findings went with it)\n",
                          changes_->gone.size());
    else
      out_ += fmt::format("of the findings {} are new, {} stand, {} went\n", changes_->fresh.size(),
                          changes_->standing, changes_->gone.size());
  }

  void Gone() {
    if (!changes_ || a_.rebooted) return;
    const std::vector<Finding>& gone = changes_->gone;
    for (std::size_t i = 0; i < gone.size() && i < Limit(kMaxParts); ++i)
      out_ += fmt::format("went {}: {}\n", NameText(gone[i].name), Printable(gone[i].text));
    More(gone.size(), kMaxParts, "that went", "");
  }

  void Tell(const Cause& cause) {
    const bool one = cause.findings.size() == 1;
    if (one) {
      const Finding& f = *cause.findings.front();
      out_ += Line(f, colour_);
      if (IsNew(f)) out_.insert(out_.size() - 1, "  (new)");
      Detail(f);
    } else {
      Parts(cause);
    }
    for (const std::string& step : NextSteps(cause)) out_ += fmt::format("       next: {}\n", step);
  }

  void Parts(const Cause& cause) {
    const auto fresh = std::count_if(cause.findings.begin(), cause.findings.end(),
                                     [&](const Finding* f) { return IsNew(*f); });
    out_ += fmt::format("{} {}: {} {}{}\n", Mark(cause.weight, colour_), CauseText(cause),
                        cause.findings.size(), cause.weight == Verdict::kTrusted ? "notes" : "findings",
                        fresh > 0 ? fmt::format(", {} new", fresh) : "");
    for (std::size_t i = 0; i < cause.findings.size() && i < Limit(kMaxParts); ++i) {
      const Finding& f = *cause.findings[i];
      out_ += fmt::format(
          "       {}: {}{}\n", NameText(f.name), Printable(f.text),
          IsNew(f) && fresh < static_cast<std::ptrdiff_t>(cause.findings.size()) ? "  (new)" : "");
      if (shown_.all) Detail(f);
    }
    More(cause.findings.size(), kMaxParts, cause.weight == Verdict::kTrusted ? "notes" : "findings",
         "       ");
    if (!shown_.all) Newest(cause);
    Reasons(cause);
  }

  void Reasons(const Cause& cause) {
    const auto reasons = ReasonsOf(cause);
    for (std::size_t i = 0; i < reasons.size() && i < Limit(kMaxReasons); ++i)
      out_ += fmt::format("       {} of {}, the attester says: {}\n", reasons[i].second,
                          cause.findings.size(), Printable(reasons[i].first));
    More(reasons.size(), kMaxReasons, "reasons", "       ");
  }

  // The process of the newest finding stands for those of the others.
  void Newest(const Cause& cause) {
    const auto known = std::find_if(cause.findings.begin(), cause.findings.end(),
                                    [](const Finding* f) { return f->context.has_value(); });
    if (known != cause.findings.end()) By((*known)->context.value(), "newest by");
  }

  void Detail(const Finding& f) {
    if (!f.digest.empty()) out_ += fmt::format("       digest {}\n", Printable(f.digest));
    if (f.context) By(*f.context, "by");
    if (!f.reason.empty()) out_ += fmt::format("       the attester says: {}\n", Printable(f.reason));
  }

  void By(const evidence::ContextEntry& c, std::string_view word) {
    out_ += fmt::format("       {} {} (pid {}, uid {}) at {}, {}{}\n", word, Printable(c.comm), c.pid, c.uid,
                        TimeText(c.time_ms), Printable(c.hook),
                        c.cgroup.empty() ? "" : ", in " + Printable(c.cgroup));
  }

  const Appraisal& a_;
  const bool colour_;
  const Shown& shown_;
  std::optional<Changes> changes_;
  std::string out_;
};

}  // namespace

std::string Tinted(Verdict v, std::string_view text, bool colour) {
  const char* tint = v == Verdict::kTrusted      ? "\x1b[32m"
                     : v == Verdict::kNotTrusted ? "\x1b[31m"
                                                 : "\x1b[33m";
  return colour ? fmt::format("{}{}\x1b[0m", tint, text) : std::string(text);
}

std::string Describe(const Appraisal& a, bool entries, bool colour, const Shown& shown) {
  std::string out = VerdictLine(a, colour);
  if (entries) {
    for (const JudgedEntry& e : a.entries) {
      out += fmt::format("{:>6}  {:<10} {}", e.record, EntryStateName(e.state), Printable(e.path));
      if (e.origin) out += fmt::format("  ({} {})", e.origin->package, e.origin->version);
      out += "\n";
    }
  }
  return out + Teller(a, colour, shown).Tell();
}

std::string Describe(const Enrolment& e, bool colour) {
  std::string out;
  for (const Finding& f : e.findings) {
    out += Line(f, colour);
    const std::string_view step = NextStepOf(f.name);
    if (!step.empty()) out += fmt::format("       next: {}\n", step);
  }
  out += fmt::format("     EK {}\n     AK {}\n", e.ek_name, e.ak_name);
  if (!e.device.subject.empty()) out += fmt::format("     machine {}\n", Printable(e.device.subject));
  const bool done = e.verdict == Verdict::kTrusted;
  out += Tinted(e.verdict, done ? "enrolled" : "refused", colour);
  if (done) out += fmt::format(" (identity: {}{})", e.identity, e.host.tpm_software ? ", software" : "");
  return out + "\n";
}

}  // namespace assay::appraise
