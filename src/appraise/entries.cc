// Validation: each entry against the reference values, and the attester's own records against the policy.
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "appraise/checks.h"
#include "base/json.h"
#include "list/cap.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxOwnBuffer = 1 << 20;
constexpr std::string_view kKernelIma = "kernel-ima";
constexpr const char* kStopped = "stopped";            // in HostState::own: the last run has said its end
constexpr std::string_view kComponent = "component:";  // in HostState::own: path -> digest, empty until seen

std::string EntryName(const JudgedEntry& e) {
  return e.path.empty() ? fmt::format("record {}", e.record) : e.path;
}

class Judge {
 public:
  explicit Judge(Round& round) : r_(round), own_(round.out.host.own) {}

  void Run() {
    ReadContext();
    FindComponents();
    r_.out.entries.reserve(r_.records.size());
    for (const ima::RecordView& record : r_.records) JudgeRecord(record);
    if (not_judged_ > 0)
      r_.Add("policy.not-judged", Verdict::kTrusted,
             fmt::format("{} entries lie at paths that the policy leaves unjudged", not_judged_));
    if (r_.policy.require_attester_records) CheckOwn();
    if (r_.made.contains(Check::kList)) r_.made.insert(Check::kEntries);
  }

 private:
  void ReadContext() {
    Result<std::vector<attest::ContextEntry>> lines = attest::ParseContext(r_.request.evidence.context);
    if (!lines) {
      r_.Add("context.malformed", Verdict::kNotTrusted, lines.error().Message());
      return;
    }
    context_ = std::move(*lines);
    std::sort(context_.begin(), context_.end(),
              [](const auto& a, const auto& b) { return Place(a) < Place(b); });
  }

  static std::pair<std::uint64_t, std::uint32_t> Place(const attest::ContextEntry& c) {
    return {c.index, c.sub};
  }

  std::optional<attest::ContextEntry> ContextOf(std::uint64_t record, std::uint32_t sub) const {
    const std::pair place{record, sub};
    const auto found = std::lower_bound(context_.begin(), context_.end(), place,
                                        [](const auto& c, const auto& at) { return Place(c) < at; });
    return found != context_.end() && Place(*found) == place ? std::optional(*found) : std::nullopt;
  }

  // The attester's own parts, by name, before the entries are looked at: a part that was measured before the
  // attester said that it is one of its parts counts as well.
  void FindComponents() {
    for (const ima::RecordView& record : r_.records) {
      if (record.template_name != "ima-buf" || record.violation()) continue;
      const Result<ima::Entry> entry = ima::Decode(record);
      if (!entry || entry->path != "assay-start") continue;
      const Result<JsonDoc> doc = JsonDoc::Parse(AsText(entry->buffer), "own-record", kMaxOwnBuffer);
      if (doc) (void)ReadComponents(doc->root());  // what is wrong with it is named when the record is judged
    }
    for (const auto& [key, digest] : own_)
      if (key.starts_with(kComponent)) components_.insert(key.substr(kComponent.size()));
  }

  Result<> ReadComponents(const JsonValue& start) {
    ASSAY_ASSIGN(const JsonValue components, start.Array("components"));
    return components.Each([&](const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(std::string path, v.AsStr());
      std::replace(path.begin(), path.end(), ' ', '_');  // as the list writes it
      own_.try_emplace(std::string(kComponent) + path, "");
      return {};
    });
  }

  void JudgeRecord(const ima::RecordView& record) {
    Result<ima::Entry> entry = ima::Decode(record);
    if (!entry) {
      r_.AddAt("entry.malformed", Verdict::kNotTrusted, entry.error().Message(), record.index);
      return;
    }
    if (!record.violation() && entry->path == ima::kGroupName && record.template_name == "ima-buf") {
      JudgeGroup(record, *entry);
      return;
    }
    JudgeEntry(record, std::nullopt, *entry);
  }

  void JudgeGroup(const ima::RecordView& record, const ima::Entry& group) {
    if (!BufferMatches(group)) {
      r_.AddAt("list.group", Verdict::kNotTrusted,
               fmt::format("record {}: a group whose digest is not its buffer's", record.index),
               record.index);
      return;
    }
    const Result<std::vector<ima::InnerRecord>> inner = ima::DecodeGroup(group.buffer);
    if (!inner) {
      r_.AddAt("list.group", Verdict::kNotTrusted,
               fmt::format("record {}: {}", record.index, inner.error().Message()), record.index);
      return;
    }
    std::uint32_t sub = 0;
    for (const ima::InnerRecord& i : *inner) {
      const auto [view, entry] = ima::OpenInner(record, i);
      if (entry) {
        JudgeEntry(view, sub, *entry);
      } else {
        r_.AddAt("entry.malformed", Verdict::kNotTrusted, entry.error().Message(), record.index);
        r_.out.findings.back().sub = sub;
      }
      ++sub;
    }
  }

  static bool BufferMatches(const ima::Entry& e) {
    return e.file_digest && e.file_digest->digest && CanHash(e.file_digest->digest->alg()) &&
           *e.file_digest->digest == Hash(e.file_digest->digest->alg(), e.buffer);
  }

  // sub: the position within a group; nullopt for a record of its own.
  void JudgeEntry(const ima::RecordView& record, std::optional<std::uint32_t> sub, const ima::Entry& entry) {
    JudgedEntry judged;
    judged.record = record.index;
    judged.sub = sub.value_or(0);
    judged.path = entry.path;
    judged.cgroup = entry.cgroup;
    if (entry.file_digest) judged.digest = entry.file_digest->alg_name + ":" + Hex(entry.file_digest->bytes);
    judged.context = ContextOf(record.index, judged.sub);
    const bool buffer = record.template_name == "ima-buf";
    NoteAfterStop(judged);
    if (record.violation()) {
      judged.state = EntryState::kViolation;
      const std::string cause = judged.context ? judged.context->hook : "unknown cause";
      Report("entry.violation", r_.policy.violations_fail ? Verdict::kNotTrusted : Verdict::kTrusted, judged,
             fmt::format("{} could not be measured reliably ({})", EntryName(judged), cause));
    } else if (entry.path == "boot_aggregate") {
      judged.state = EntryState::kOwn;
      if (record.index != 0 || sub)
        Report(
            "list.second-boot-aggregate", Verdict::kNotTrusted, judged,
            fmt::format("record {} is a boot_aggregate: another list begins within this one", record.index));
    } else if (buffer && entry.path.starts_with("assay-")) {
      judged.state = EntryState::kOwn;
      OwnRecord(judged, entry, sub.has_value());
    } else if (buffer && !BufferMatches(entry)) {
      Report("entry.malformed", Verdict::kNotTrusted, judged,
             fmt::format("{}: the digest is not that of the buffer", EntryName(judged)));
    } else {
      JudgeContent(judged, entry);
    }
    ++r_.out.counts[judged.state];
    r_.out.entries.push_back(std::move(judged));
  }

  void JudgeContent(JudgedEntry& e, const ima::Entry& entry) {
    const bool component = components_.contains(e.path);
    if (AllowedPath(e.path)) {
      e.state = EntryState::kTrusted;
      ++not_judged_;
    } else if (r_.policy.allowed.contains(e.digest) ||
               (component && r_.policy.attester_digests.contains(e.digest))) {
      e.state = EntryState::kTrusted;
    } else {
      JudgeByReference(e, entry);
    }
    const bool known = e.state == EntryState::kTrusted || e.state == EntryState::kVulnerable;
    if (component) {
      own_[std::string(kComponent) + e.path] = e.digest;
      if (!known)
        Report("own.unknown-binary", Verdict::kNotTrusted, e,
               fmt::format("{} is part of the attester and is no known build", e.path));
    }
    if (!known && r_.policy.interpreters.contains(e.path))
      Report("own.interpreter", Verdict::kNotTrusted, e,
             fmt::format("the interpreter {} is no known build: what it reads may be unmeasured", e.path));
  }

  void JudgeByReference(JudgedEntry& e, const ima::Entry& entry) {
    const bool strong = entry.file_digest && entry.file_digest->digest &&
                        std::find(r_.policy.file_algs.begin(), r_.policy.file_algs.end(),
                                  entry.file_digest->digest->alg()) != r_.policy.file_algs.end();
    if (!strong) {
      Report("entry.weak-digest", Verdict::kNotTrusted, e,
             fmt::format("{} was measured with {}, which the policy does not accept", EntryName(e),
                         entry.file_digest ? entry.file_digest->alg_name : "no digest"));
      return;
    }
    std::vector<Origin> origins = r_.references.Find(*entry.file_digest->digest);
    const std::string here = NormalisePath(e.path);
    const std::size_t best = Best(origins, here);
    if (best == origins.size()) {
      JudgeUnknown(e);
    } else {
      e.origin = std::move(origins[best]);
      JudgeKnown(e, NormalisePath(e.origin->path) == here);
    }
  }

  // The origin at this very path first; among the rest the best standing, but 'revoked' beats all. The number
  // of origins: there is none.
  static std::size_t Best(const std::vector<Origin>& origins, const std::string& here) {
    std::size_t best = origins.size();
    int best_rank = -1;
    for (std::size_t i = 0; i < origins.size(); ++i) {
      const Origin& o = origins[i];
      const int rank = o.standing == Standing::kRevoked ? 4
                                                        : (o.standing == Standing::kGood ? 2 : 0) +
                                                              (NormalisePath(o.path) == here ? 1 : 0);
      if (rank <= best_rank) continue;
      best = i;
      best_rank = rank;
    }
    return best;
  }

  bool AllowedPath(const std::string& path) const {
    return std::any_of(r_.policy.allowed_paths.begin(), r_.policy.allowed_paths.end(),
                       [&](const std::string& glob) { return fnmatch(glob.c_str(), path.c_str(), 0) == 0; });
  }

  void JudgeUnknown(JudgedEntry& e) {
    e.origin = r_.references.FindPath(e.path);
    if (e.origin) {
      e.state = EntryState::kChanged;
      Report("entry.changed", Verdict::kNotTrusted, e,
             fmt::format("{} is not the file that {} {} has there", e.path, e.origin->package,
                         e.origin->version));
    } else {
      const bool before = e.context && e.context->hook == "before";
      Report(
          "entry.unknown", Verdict::kNotTrusted, e,
          fmt::format("{} is in no reference{}", EntryName(e), before ? "; it ran before the attester" : ""));
    }
  }

  // here: the content is known at this very path.
  void JudgeKnown(JudgedEntry& e, bool here) {
    const Origin& o = *e.origin;
    const std::string note = o.note.empty() ? "" : " (" + o.note + ")";
    auto what = [&] { return fmt::format("{} is {} of {} {}", e.path, o.path, o.package, o.version); };
    if (o.standing == Standing::kRevoked) {
      e.state = EntryState::kRevoked;
      Report("entry.revoked", Verdict::kNotTrusted, e, what() + ", which was revoked" + note);
    } else if (o.standing == Standing::kVulnerable) {
      e.state = EntryState::kVulnerable;
      Report("entry.vulnerable", r_.policy.vulnerable_fails ? Verdict::kNotTrusted : Verdict::kTrusted, e,
             what() + ", which is vulnerable" + note);
    } else if (const std::optional<Origin> there = here ? std::nullopt : r_.references.FindPath(e.path)) {
      e.state = EntryState::kChanged;
      Report("entry.swapped", Verdict::kNotTrusted, e,
             fmt::format("{}, but {} {} has another file there", what(), there->package, there->version));
    } else {
      e.state = EntryState::kTrusted;
    }
  }

  void Report(std::string name, Verdict weight, const JudgedEntry& e, std::string text) {
    Finding f;
    f.name = std::move(name);
    f.weight = weight;
    f.text = std::move(text);
    f.record = e.record;
    f.sub = e.sub;
    f.path = e.path;
    f.digest = e.digest;
    f.cgroup = e.cgroup;
    f.context = e.context;
    r_.out.findings.push_back(std::move(f));
  }

  void OwnRecord(const JudgedEntry& e, const ima::Entry& entry, bool grouped) {
    Result<> read;
    if (grouped)
      read = Fail(StateError("own.malformed", "the attester's own records are never in a group"));
    else if (!BufferMatches(entry))
      read = Fail(StateError("own.malformed", "digest is not the buffer's"));
    else
      read = ReadOwn(e, entry);
    if (!read) Report("own.malformed", Verdict::kNotTrusted, e, e.path + ": " + read.error().Message());
  }

  Result<> ReadOwn(const JudgedEntry& e, const ima::Entry& entry) {
    ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(entry.buffer), "own-record", kMaxOwnBuffer));
    if (e.path == "assay-start") return Started(e, doc.root());
    if (e.path == "assay-stop") {
      own_[kStopped] = "yes";
      return {};
    }
    if (e.path == ima::kCapName) {
      Report("own.capped", Verdict::kNotTrusted, e,
             "this boot was capped: no attester was started in the initramfs, and what ran before this "
             "record is not known");
      return {};
    }
    if (e.path == "assay-engine") return EngineRuns(e, doc.root());
    if (e.path == "assay-policy") {
      own_["policy"] = e.digest;
      if (!r_.policy.attester_policies.empty() && !r_.policy.attester_policies.contains(e.digest))
        Report("own.policy", Verdict::kNotTrusted, e,
               "the attester measures by a policy that is not accepted: " + e.digest);
    } else if (e.path == "assay-manifest") {
      ASSAY_ASSIGN(own_["manifest"], doc.root().Str("sha256"));
    } else {
      Report("own.unknown-record", Verdict::kUnknown, e,
             fmt::format("the attester says something that this verifier does not know: {}", e.path));
    }
    return {};
  }

  // Of a run that has said its end nothing more is known to be measured; what its engine still had in hand
  // may follow.
  void NoteAfterStop(const JudgedEntry& e) {
    const auto stopped = own_.find(kStopped);
    if (stopped == own_.end() || stopped->second != "yes" || e.path == "assay-start" ||
        e.path == ima::kCapName)
      return;
    stopped->second = "and more followed";
    Report("own.after-stop", r_.policy.allow_gaps ? Verdict::kTrusted : Verdict::kNotTrusted, e,
           "the attester had said that it stops when this was recorded");
  }

  Result<> EngineRuns(const JudgedEntry& e, const JsonValue& record) {
    ASSAY_ASSIGN(const std::string engine, record.Str("engine"));
    ASSAY_ASSIGN(const std::string scope, record.Str("scope"));
    own_["engine"] = engine;
    own_["scope"] = scope;
    own_["engine_run"] = own_["runs"];
    if (!r_.policy.engines.contains(engine))
      Report("own.engine", Verdict::kNotTrusted, e,
             fmt::format("the engine is '{}', which the policy does not accept", engine));
    return {};
  }

  Result<> Started(const JudgedEntry& e, const JsonValue& start) {
    // Of the run before nothing holds for this one, whatever else this record says.
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
    if ((first || early) && e.record != 1)
      Report("own.late-start", Verdict::kNotTrusted, e, "the attester's records do not begin the list");
    if (!first || run > 1)
      Report(
          "list.gap", r_.policy.allow_gaps ? Verdict::kTrusted : Verdict::kNotTrusted, e,
          fmt::format("the attester was started again (run {}): what ran meanwhile is not in the list", run));
    if (before > 0)
      Report("own.ran-before", r_.policy.allow_what_ran_before ? Verdict::kTrusted : Verdict::kNotTrusted, e,
             fmt::format("{} process(es) ran before the attester did{}", before,
                         early ? ", all of them from the initramfs" : ""));
    if (first && !early && r_.policy.require_early_start)
      Report("own.late-engine", Verdict::kNotTrusted, e, "the attester was not started in the initramfs");
    return {};
  }

  // The kernel's own list says nothing of what measures. That it measures, and from the boot on, is in it
  // (boot_aggregate is checked with the list); by which policy is only the attester's word.
  void CheckKernelIma() {
    const attest::Claims& c = r_.out.claims;
    if (!r_.policy.engines.contains(std::string(kKernelIma)))
      r_.Add("own.engine", Verdict::kNotTrusted,
             fmt::format("the engine is '{}', which the policy does not accept", kKernelIma));
    if (c.list_count < 2)
      r_.Add("own.kernel-silent", Verdict::kNotTrusted,
             "the kernel's list has nothing but boot_aggregate: no policy of its IMA measures");
    r_.Add("own.kernel-policy", r_.policy.allow_kernel_policy ? Verdict::kTrusted : Verdict::kUnknown,
           fmt::format("nothing proves by which policy the kernel measures; the attester says: '{}'",
                       c.kernel_policy));
  }

  // Was the measuring in place? Asked of everything that this boot's list has said so far.
  void CheckOwn() {
    if (!own_.contains("runs") && r_.out.claims.engine == kKernelIma) {
      CheckKernelIma();
    } else if (!own_.contains("runs")) {
      r_.Add("own.no-start", Verdict::kNotTrusted, "the list does not say what measured");
    } else {
      if (!own_.contains("engine") || own_["engine_run"] != own_["runs"])
        r_.Add("own.no-engine", Verdict::kNotTrusted, "the list does not say that an engine ran");
      else if (own_["scope"] != "host")
        r_.Add("own.scope", Verdict::kTrusted,
               fmt::format("what is measured is not the whole machine: the scope is '{}'", own_["scope"]));
      if (own_.contains(kStopped))
        r_.Add("own.stopped", Verdict::kNotTrusted,
               "the attester has said that it stops: nothing measures any more");
      if (!own_.contains("policy"))
        r_.Add("own.no-policy", Verdict::kNotTrusted, "the list does not say what is measured");
    }
    for (const auto& [key, digest] : own_) {
      if (!key.starts_with(kComponent) || !digest.empty()) continue;
      // In a part of the list it may have been measured before, as what it was then.
      const bool whole = r_.request.first_record == 0;
      r_.Add("own.missing-binary", whole ? Verdict::kNotTrusted : Verdict::kUnknown,
             fmt::format("{} is part of the attester and is not in the list{}", key.substr(kComponent.size()),
                         whole ? "" : " since the last round: ask for the whole list"));
    }
    if (r_.out.claims.engine_state != "ok")
      r_.Add("own.engine-state", Verdict::kUnknown,
             fmt::format("the engine is not well: {}", r_.out.claims.engine_state));
    r_.made.insert(Check::kOwnRecords);
  }

  Round& r_;
  std::map<std::string, std::string>& own_;
  std::vector<attest::ContextEntry> context_;  // by record and position
  std::set<std::string, std::less<>> components_;
  std::uint64_t not_judged_ = 0;
};

}  // namespace

void JudgeEntries(Round& r) {
  // A list from its start says everything again.
  if (r.request.first_record == 0) r.out.host.own.clear();
  Judge(r).Run();
}

}  // namespace assay::appraise
