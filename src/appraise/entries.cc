// Judges each entry by the reference values, and the attester's own records by the policy.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "appraise/checks.h"
#include "appraise/content.h"
#include "appraise/finding_names.h"
#include "appraise/handover_check.h"
#include "appraise/measuring.h"
#include "appraise/program_allowances.h"
#include "base/json.h"
#include "list/cap.h"
#include "list/path_text.h"
#include "measure/system/byte_code.h"
#include "measure/system/violation_record.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxOwnBuffer = 1 << 20;
constexpr std::string_view kKernelIma = "kernel-ima";
constexpr std::string_view kKernelsKexec = "kexec-cmdline";  // security/integrity/ima/ima_kexec.c

class Judge {
 public:
  explicit Judge(Round& round)
      : r_(round), own_(round.out.host.own), content_(round), allowed_(round.policy, round.references) {}

  void Run() {
    ReadContext();
    FindComponents();
    if (r_.request.entries) r_.out.entries.reserve(r_.records.size());
    for (std::size_t i = 0; i < r_.records.size(); ++i) {
      next_ = i + 1 < r_.records.size() ? &r_.records[i + 1] : nullptr;
      is_beside_ = std::exchange(next_is_beside_, false);
      JudgeRecord(r_.records[i]);
    }
    content_.AddNotes();
    if (r_.request.redaction)
      r_.Add(FindingName::kListWithheld,
             fmt::format("{} of {} records are withheld as none of {}'s, {} of them violations; whoever "
                         "redacted the round vouches for that",
                         withheld_, r_.records.size(), ContainerText(), withheld_violations_));
    if (allowed_.by_policy() > 0)
      r_.Add(FindingName::kPolicyViolationsAllowed,
             fmt::format("{} violations are of kinds that the policy allows to their programs",
                         allowed_.by_policy()));
    if (const std::string text = allowed_.ByPackages(); !text.empty())
      r_.Add(FindingName::kPolicyPackageViolations,
             "programs of packages caused violations that they are made to cause: " + text);
    if (r_.policy.require_attester_records) CheckOwn();
    if (r_.made.contains(Check::kList)) r_.made.insert(Check::kEntries);
  }

 private:
  // "container 4f0c9a7b1d22"; the pattern, where it fits several.
  std::string ContainerText() const { return "container " + r_.request.redaction->container.Text(); }

  void ReadContext() {
    if (r_.request.redaction) return;  // the quote covers a context that is withheld
    Result<std::vector<evidence::ContextEntry>> lines = evidence::ParseContext(r_.request.evidence.context);
    if (!lines) {
      r_.Add(FindingName::kContextMalformed, lines.error().Message());
      return;
    }
    context_ = std::move(*lines);
    std::sort(context_.begin(), context_.end(),
              [](const auto& a, const auto& b) { return Place(a) < Place(b); });
  }

  static std::pair<std::uint64_t, std::uint32_t> Place(const evidence::ContextEntry& c) {
    return {c.index, c.sub};
  }

  std::optional<evidence::ContextEntry> ContextOf(std::uint64_t record, std::uint32_t sub) const {
    const std::pair place{record, sub};
    const auto found = std::lower_bound(context_.begin(), context_.end(), place,
                                        [](const auto& c, const auto& at) { return Place(c) < at; });
    return found != context_.end() && Place(*found) == place ? std::optional(*found) : std::nullopt;
  }

  // Finds the paths of the attester's own components before the entries are judged, because a component may
  // have been measured before the record that names it.
  void FindComponents() {
    for (const ima::RecordView& record : r_.records) {
      if (record.template_name != ima::TemplateName(ima::Template::kBuf) || record.violation()) continue;
      const Result<ima::Entry> entry = ima::Decode(record);
      if (!entry || (entry->path != "assay-start" && entry->path != kHandoverName)) continue;
      writer_ = ima::ListWriter::kAttester;
      const Result<JsonDoc> doc = JsonDoc::Parse(AsText(entry->buffer), "own-record", kMaxOwnBuffer);
      if (doc) (void)ReadComponents(doc->root());  // its faults are reported when the record is judged
    }
    if (own_.contains("runs")) writer_ = ima::ListWriter::kAttester;
    for (const auto& [key, digest] : own_)
      if (key.starts_with(kComponent)) components_.insert(key.substr(kComponent.size()));
  }

  Result<> ReadComponents(const JsonValue& start) {
    ASSAY_ASSIGN(const JsonValue components, start.Array("components"));
    return components.Each([&](const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(std::string path, v.AsStr());
      own_.try_emplace(ComponentKey(ima::PathText(std::move(path))), "");
      return {};
    });
  }

  void JudgeRecord(const ima::RecordView& record) {
    if (r_.Withheld(record)) {
      ++withheld_;
      if (record.violation()) ++withheld_violations_;
      JudgedEntry others;
      others.record = record.index;
      NoteAfterStop(others);
      return;
    }
    Result<ima::Entry> entry = ima::Decode(record);
    if (!entry) {
      r_.AddAt(FindingName::kEntryMalformed, entry.error().Message(), record.index);
      return;
    }
    if (!HasTemplate(record)) return;
    if (!record.violation() && entry->path == ima::kGroupName &&
        record.template_name == ima::TemplateName(ima::Template::kBuf)) {
      JudgeGroup(record, *entry);
      return;
    }
    JudgeEntry(record, std::nullopt, *entry);
  }

  void JudgeGroup(const ima::RecordView& record, const ima::Entry& group) {
    if (!BufferMatches(group)) {
      r_.AddAt(FindingName::kListGroup,
               fmt::format("record {}: the group's digest is not that of its buffer", record.index),
               record.index);
      return;
    }
    const Result<std::vector<ima::InnerRecord>> inner = ima::DecodeGroup(group.buffer);
    if (!inner) {
      r_.AddAt(FindingName::kListGroup, fmt::format("record {}: {}", record.index, inner.error().Message()),
               record.index);
      return;
    }
    std::uint32_t sub = 0;
    for (const ima::InnerRecord& i : *inner) {
      const auto [view, entry] = ima::OpenInner(record, i);
      if (entry) {
        if (HasTemplate(view, sub)) JudgeEntry(view, sub, *entry);
      } else {
        r_.AddAt(FindingName::kEntryMalformed, entry.error().Message(), record.index, sub);
      }
      ++sub;
    }
  }

  // Whether the list may have a record with this template; the PCR does not prove a template's name.
  // boot_aggregate in an attester's list may come from the kernel.
  bool HasTemplate(const ima::RecordView& record, std::uint32_t sub = 0) {
    if (ima::HasTemplate(writer_, record.template_name) ||
        (record.index == 0 && ima::HasTemplate(ima::ListWriter::kKernel, record.template_name)))
      return true;
    r_.AddAt(FindingName::kEntryMalformed,
             fmt::format("record {}: a list of this kind has no template '{}'", record.index,
                         record.template_name),
             record.index, sub);
    return false;
  }

  static bool BufferMatches(const ima::Entry& e) {
    return e.file_digest && e.file_digest->digest && CanHash(e.file_digest->digest->alg()) &&
           *e.file_digest->digest == Hash(e.file_digest->digest->alg(), e.buffer);
  }

  // sub: the position within a group; nullopt for a record of its own.
  void JudgeEntry(const ima::RecordView& record, std::optional<std::uint32_t> sub, const ima::Entry& entry) {
    const std::size_t findings = r_.out.findings.size();
    JudgedEntry judged;
    judged.record = record.index;
    judged.sub = sub.value_or(0);
    judged.path = entry.path;
    judged.cgroup = entry.cgroup;
    if (entry.file_digest) judged.digest = ima::FileDigestText(*entry.file_digest);
    judged.context = ContextOf(record.index, judged.sub);
    const bool buffer = record.template_name == ima::TemplateName(ima::Template::kBuf);
    if (const auto code = sub ? std::nullopt : ByteCodeBeside(judged)) judged.code = code->code.ToString();
    NoteAfterStop(judged);
    if (record.violation()) {
      judged.state = EntryState::kViolation;
      JudgeViolation(judged, sub.has_value());
    } else if (entry.path.empty()) {
      Report(FindingName::kEntryMalformed, judged,
             fmt::format("record {} has no name, so the path of its content is unknown", record.index));
    } else if (entry.path == "boot_aggregate") {
      judged.state = EntryState::kOwn;
      if (record.index != 0 || sub)
        Report(FindingName::kListSecondBootAggregate, judged,
               fmt::format("record {} is a boot_aggregate, so another list begins inside this one",
                           record.index));
    } else if (buffer && entry.path.starts_with("assay-")) {
      judged.state = EntryState::kOwn;
      OwnRecord(judged, entry, sub.has_value());
    } else if (buffer && !BufferMatches(entry)) {
      Report(FindingName::kEntryMalformed, judged,
             fmt::format("{}: the digest is not that of the buffer", EntryName(judged)));
    } else {
      if (buffer && entry.path == kKernelsKexec) ReportKexec(judged, EntryName(judged));
      JudgeContent(judged, entry);
    }
    ++r_.out.counts[judged.state];
    // Findings are grouped by the packages of their entries.
    if (r_.request.entries || (judged.origin && r_.out.findings.size() > findings))
      r_.out.entries.push_back(std::move(judged));
  }

  // The text of the record after the one that is judged, if it has this name.
  std::optional<std::string> NextText(std::string_view name) const {
    if (next_ == nullptr || next_->violation() ||
        next_->template_name != ima::TemplateName(ima::Template::kBuf))
      return std::nullopt;
    const Result<ima::Entry> entry = ima::Decode(*next_);
    if (!entry || entry->path != name || !BufferMatches(*entry)) return std::nullopt;
    return std::string(AsText(entry->buffer));
  }

  // The record after a violation, which names the program that caused it. The PCR proves it like the
  // violation itself.
  std::optional<measure::ViolationRecord> ViolationBeside(const JudgedEntry& violation) {
    const std::optional<std::string> text = NextText(measure::kViolationRecord);
    if (!text) return std::nullopt;
    Result<measure::ViolationRecord> record = measure::ParseViolation(*text);
    if (!record || record->path != violation.path) return std::nullopt;
    next_is_beside_ = true;
    return std::move(*record);
  }

  // The same for byte code: what it is, whenever and wherever it was compiled.
  std::optional<measure::ByteCodeRecord> ByteCodeBeside(const JudgedEntry& e) {
    const std::optional<std::string> text = NextText(measure::kByteCodeRecord);
    if (!text) return std::nullopt;
    Result<measure::ByteCodeRecord> record = measure::ParseByteCode(*text);
    if (!record || record->path != e.path || record->digest.ToString() != e.digest) return std::nullopt;
    next_is_beside_ = true;
    return std::move(*record);
  }

  void JudgeViolation(const JudgedEntry& e, bool grouped) {
    const std::optional<measure::ViolationRecord> by = grouped ? std::nullopt : ViolationBeside(e);
    if (!by) {
      Report(FindingName::kEntryViolation, e,
             fmt::format("{} could not be measured reliably ({})", EntryName(e),
                         e.context ? e.context->hook : "unknown cause"));
      return;
    }
    if (allowed_.Take(by->program, by->violation)) return;
    Report(FindingName::kEntryViolation, e,
           fmt::format("{} could not be measured reliably ({} by the program {})", EntryName(e),
                       by->violation, by->program.ToString()));
  }

  void ReportKexec(const JudgedEntry& e, const std::string& image) {
    Report(FindingName::kEntryKexec, e,
           fmt::format("{} was loaded by kexec; its command line is not known", image));
  }

  void JudgeContent(JudgedEntry& e, const ima::Entry& entry) {
    const bool component = components_.contains(e.path);
    if (component) own_[ComponentKey(e.path)] = e.digest;
    const bool known_alg = entry.file_digest && entry.file_digest->digest;
    content_.Judge(e, known_alg ? &*entry.file_digest->digest : nullptr, component);
  }

  void Report(FindingName name, const JudgedEntry& e, std::string text) {
    Report(name, WeightOf(name), e, std::move(text));
  }
  void Report(FindingName name, Verdict weight, const JudgedEntry& e, std::string text) {
    r_.AddFor(e, name, weight, std::move(text));
  }

  void OwnRecord(const JudgedEntry& e, const ima::Entry& entry, bool grouped) {
    Result<> read;
    if (grouped)
      read = Fail(ParseError("own-record", 0, "the attester's own records are never in a group"));
    else if (!BufferMatches(entry))
      read = Fail(ParseError("own-record", 0, "the digest is not that of the buffer"));
    else
      read = ReadOwn(e, entry);
    if (!read) Report(FindingName::kOwnMalformed, e, e.path + ": " + read.error().Message());
  }

  Result<> ReadOwn(const JudgedEntry& e, const ima::Entry& entry) {
    ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(entry.buffer), "own-record", kMaxOwnBuffer));
    if (e.path == "assay-start") return Started(e, doc.root());
    if (e.path == "assay-stop") {
      own_[kStopped] = "yes";
      return {};
    }
    if (e.path == ima::kCapName) {
      Report(FindingName::kOwnCapped, e,
             "this boot was capped: no attester was started in the initramfs, so what ran before this record "
             "is not known");
      return {};
    }
    if (e.path == "assay-engine") return EngineRuns(e, doc.root());
    if (e.path == "assay-policy") return PolicyRules(e, entry, doc.root());
    if (e.path == kHandoverName) {
      ASSAY_TRY(ReadComponents(doc.root()));
      ASSAY_ASSIGN(const std::vector<Fault> faults, JudgeHandover(doc.root(), own_));
      for (const Fault& f : faults) Report(f.name, e, f.text);
      return {};
    }
    if (e.path == measure::kViolationRecord) {
      if (!is_beside_) return Fail(ParseError("own-record", 0, "no violation stands before it"));
    } else if (e.path == measure::kByteCodeRecord) {
      if (!is_beside_) return Fail(ParseError("own-record", 0, "no entry of byte code stands before it"));
    } else if (e.path == "assay-kexec") {
      ASSAY_ASSIGN(const std::string image, doc.root().Str("path"));
      ReportKexec(e, image);
    } else if (e.path == "assay-limit") {
      ASSAY_ASSIGN(const std::uint64_t refused, doc.root().U64("refused"));
      Report(
          FindingName::kOwnLimit, e,
          fmt::format(
              "{} requests of users to have a file measured were refused because they exceeded their limit",
              refused));
    } else if (e.path == "assay-uninstrumented") {
      return StartedWithoutHook(e, doc.root());
    } else if (e.path == "assay-manifest") {
      ASSAY_ASSIGN(own_["manifest"], doc.root().Str("sha256"));
      ASSAY_ASSIGN(const std::string refused, ManifestRefused(doc.root(), r_.policy));
      if (!refused.empty()) Report(FindingName::kOwnManifest, e, refused);
    } else {
      Report(FindingName::kOwnUnknownRecord, e,
             fmt::format("the attester's record is of a kind that this verifier does not know: {}", e.path));
    }
    return {};
  }

  // A copy is named by its own path, so it weighs if any start has to be instrumented.
  Result<> StartedWithoutHook(const JudgedEntry& e, const JsonValue& record) {
    ASSAY_ASSIGN(const std::string path, record.Str("path"));
    ASSAY_ASSIGN(const std::string hook, record.Str("hook"));
    std::string said, digest;
    if (record.Has("said")) {
      ASSAY_ASSIGN(said, record.Str("said"));
    }
    if (record.Has("digest")) {
      ASSAY_ASSIGN(digest, record.Str("digest"));
    }
    Report(FindingName::kEntryUninstrumented,
           r_.policy.instrumented.empty() ? Verdict::kTrusted : WeightOf(FindingName::kEntryUninstrumented),
           e,
           fmt::format("{}{} was started without its hook '{}'{}: what it interpreted may not be in the list",
                       path, digest.empty() ? "" : " (" + digest + ")", hook,
                       said.empty() ? "" : ", but said '" + said + "'"));
    return {};
  }

  // Judges the record of what is measured and when. A record whose digest is in the verifier's policy is
  // accepted as it is.
  Result<> PolicyRules(const JudgedEntry& e, const ima::Entry& entry, const JsonValue& record) {
    const auto former = own_.find("policy");
    const bool changed =
        former != own_.end() && former->second != e.digest && former->second != DigestUnguarded(entry);
    own_["policy"] = e.digest;
    if (r_.policy.attester_policies.contains(e.digest)) return {};
    if (!r_.policy.attester_policies.empty()) {
      Report(FindingName::kOwnPolicy, e,
             "the attester measures by a policy that is not accepted: " + e.digest);
      return {};
    }
    if (changed)
      Report(FindingName::kOwnPolicyChanged, e,
             "the attester measures by another policy than before: " + e.digest);
    ASSAY_ASSIGN(const std::vector<Fault> faults, JudgeMeasuring(record, r_.policy));
    for (const Fault& f : faults) Report(f.name, e, f.text);
    return {};
  }

  // After its stop record a run is not known to measure anything. Only records of events that its engine was
  // still handling may follow.
  void NoteAfterStop(const JudgedEntry& e) {
    const auto stopped = own_.find(kStopped);
    if (stopped == own_.end() || stopped->second != "yes" || e.path == "assay-start" ||
        e.path == ima::kCapName)
      return;
    stopped->second = "and more followed";
    Report(FindingName::kOwnAfterStop, r_.policy.allow_gaps ? Verdict::kTrusted : Verdict::kNotTrusted, e,
           "this was recorded after the attester had recorded that it stops");
  }

  Result<> EngineRuns(const JudgedEntry& e, const JsonValue& record) {
    ASSAY_ASSIGN(const std::string engine, record.Str("engine"));
    ASSAY_ASSIGN(const std::string scope, record.Str("scope"));
    own_["engine"] = engine;
    own_["scope"] = scope;
    own_["engine_run"] = own_["runs"];
    if (!r_.policy.engines.contains(engine))
      Report(FindingName::kOwnEngine, e,
             fmt::format("the engine is '{}', which the policy does not accept", engine));
    if (!record.Has("mounts")) return {};
    ASSAY_ASSIGN(const JsonValue mounts, record.Array("mounts"));
    ASSAY_ASSIGN(const bool whole, IsWholeScope(mounts));
    // A policy that was accepted by its digest was accepted with its mounts.
    if (!whole && r_.policy.attester_policies.empty())
      Report(FindingName::kOwnMounts, e, "not all mounts of the scope are measured");
    return {};
  }

  Result<> Started(const JudgedEntry& e, const JsonValue& start) {
    // Facts of the previous run do not apply to this one, even if this record is malformed.
    for (const char* key : {"run_key", "engine", "engine_run", kStopped}) own_.erase(key);
    if (start.Has("run_key")) {
      ASSAY_ASSIGN(own_["run_key"], start.Str("run_key"));
    }
    ASSAY_ASSIGN(const std::uint64_t run, start.U64("run"));
    ASSAY_ASSIGN(const std::uint64_t before, start.U64("tasks_before"));
    ASSAY_ASSIGN(own_["executable"], start.Str("executable"));
    ASSAY_ASSIGN(own_["version"], start.Str("version"));
    ASSAY_TRY(ReadComponents(start));
    bool early = false;
    if (start.Has("initramfs")) {
      ASSAY_ASSIGN(early, start.Bool("initramfs"));
    }
    const bool first = !own_.contains("runs");
    own_["runs"] = std::to_string(run);
    own_["early"] = first && run == 1 && early && e.record == 1 ? "yes" : "no";
    if ((first || early) && e.record != 1)
      Report(FindingName::kOwnLateStart, e, "the attester's records do not begin the list");
    if (!first || run > 1)
      Report(
          FindingName::kListGap, r_.policy.allow_gaps ? Verdict::kTrusted : Verdict::kNotTrusted, e,
          fmt::format("the attester was restarted (run {}); programs that ran in between are not in the list",
                      run));
    if (before > 0)
      Report(FindingName::kOwnRanBefore,
             r_.policy.allow_what_ran_before ? Verdict::kTrusted : Verdict::kNotTrusted, e,
             fmt::format("{} process(es) ran before the attester{}", before,
                         early ? ", all of them from the initramfs" : ""));
    if (first && !early && r_.policy.require_early_start)
      Report(FindingName::kOwnLateEngine, e, "the attester was not started in the initramfs");
    return {};
  }

  // The kernel's own list has no records of an attester. It proves that the kernel measures from the boot on
  // (boot_aggregate is checked with the list). The policy is only a claim of the attester.
  void CheckKernelIma() {
    const evidence::Claims& c = r_.out.claims;
    if (!r_.policy.engines.contains(std::string(kKernelIma)))
      r_.Add(FindingName::kOwnEngine,
             fmt::format("the engine is '{}', which the policy does not accept", kKernelIma));
    if (c.list_count < 2)
      r_.Add(FindingName::kOwnKernelSilent,
             "the kernel's list has only the boot_aggregate, so no IMA policy measures");
    r_.Add(FindingName::kOwnKernelPolicy,
           r_.policy.allow_kernel_policy ? Verdict::kTrusted : Verdict::kUnknown,
           fmt::format("nothing proves which policy the kernel measures by; the attester says: '{}'",
                       c.kernel_policy));
  }

  // Checks whether the attester measured as required, by everything that the list of this boot has proved so
  // far.
  void CheckOwn() {
    if (!own_.contains("runs") && r_.out.claims.engine == kKernelIma) {
      CheckKernelIma();
    } else if (!own_.contains("runs")) {
      r_.Add(FindingName::kOwnNoStart, "the list has no record of an attester's start");
    } else {
      if (!own_.contains("engine") || own_["engine_run"] != own_["runs"])
        r_.Add(FindingName::kOwnNoEngine, "the list does not say that an engine ran");
      else if (own_["scope"] != "host")
        r_.Add(FindingName::kOwnScope,
               fmt::format("what is measured is not the whole machine: the scope is '{}'", own_["scope"]));
      if (own_.contains(kStopped))
        r_.Add(FindingName::kOwnStopped,
               "the attester has recorded that it stops, so nothing is measured any more");
      if (!own_.contains("policy"))
        r_.Add(FindingName::kOwnNoPolicy, "the list has no record of what is measured");
    }
    for (const auto& [key, digest] : own_) {
      if (!key.starts_with(kComponent) || !digest.empty()) continue;
      // If only a part of the list was sent, the component may have been measured in an earlier part.
      const bool whole = r_.request.first_record == 0;
      r_.Add(FindingName::kOwnMissingBinary, whole ? Verdict::kNotTrusted : Verdict::kUnknown,
             fmt::format("{} is part of the attester and is not in the list{}", key.substr(kComponent.size()),
                         whole ? "" : " since the last round: ask for the whole list"));
    }
    if (r_.out.claims.engine_state != "ok")
      r_.Add(FindingName::kOwnEngineState,
             fmt::format("the engine reports an error: {}", r_.out.claims.engine_state));
    r_.made.insert(Check::kOwnRecords);
  }

  Round& r_;
  std::map<std::string, std::string>& own_;
  ContentJudge content_;
  std::vector<evidence::ContextEntry> context_;  // by record and position
  std::set<std::string, std::less<>> components_;
  ima::ListWriter writer_ = ima::ListWriter::kKernel;
  const ima::RecordView* next_ = nullptr;            // the record after the one that is judged
  bool is_beside_ = false, next_is_beside_ = false;  // whether it belongs to the record before it
  ProgramAllowances allowed_;
  std::uint64_t withheld_ = 0, withheld_violations_ = 0;
};

}  // namespace

void JudgeEntries(Round& r) {
  // A list that is sent from its start proves everything again.
  if (r.request.first_record == 0) {
    r.out.host.own.clear();
    BeginNewest(r);
  }
  Judge(r).Run();
}

}  // namespace assay::appraise
