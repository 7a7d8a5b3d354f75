// Validation: each entry against the reference values, and the attester's own records against the policy.
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "appraise/checks.h"
#include "base/json.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxOwnBuffer = 1 << 20;
constexpr std::string_view kComponent = "component:";  // in HostState::own: path -> digest, empty until seen

std::string EntryName(const JudgedEntry& e) {
  return e.path.empty() ? fmt::format("record {}", e.record) : e.path;
}

class Judge {
 public:
  explicit Judge(Round& round) : r_(round), own_(round.out.host.own) {}

  void Run() {
    ReadContext();
    for (const ima::RecordView& record : r_.records) JudgeRecord(record);
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
    for (attest::ContextEntry& c : *lines) context_[{c.index, c.sub}] = std::move(c);
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
    JudgeEntry(record, 0, *entry, record.violation());
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
      ima::RecordView view = record;
      view.template_name = i.template_name;
      view.data = i.data;
      view.raw = {};
      Result<ima::Entry> entry = ima::Decode(view);
      if (entry)
        JudgeEntry(view, sub, *entry, false);
      else
        r_.AddAt("entry.malformed", Verdict::kNotTrusted, entry.error().Message(), record.index);
      ++sub;
    }
  }

  static bool BufferMatches(const ima::Entry& e) {
    return e.file_digest && e.file_digest->digest && CanHash(e.file_digest->digest->alg()) &&
           *e.file_digest->digest == Hash(e.file_digest->digest->alg(), e.buffer);
  }

  void JudgeEntry(const ima::RecordView& record, std::uint32_t sub, const ima::Entry& entry, bool violation) {
    JudgedEntry judged;
    judged.record = record.index;
    judged.sub = sub;
    judged.path = entry.path;
    if (entry.file_digest) judged.digest = entry.file_digest->alg_name + ":" + Hex(entry.file_digest->bytes);
    if (const auto c = context_.find({record.index, sub}); c != context_.end()) judged.context = c->second;
    if (violation) {
      judged.state = EntryState::kViolation;
      const std::string cause = judged.context ? judged.context->hook : "unknown cause";
      Report("entry.violation", r_.policy.violations_fail ? Verdict::kNotTrusted : Verdict::kTrusted, judged,
             fmt::format("{} could not be measured reliably ({})", EntryName(judged), cause));
    } else if (record.index == 0 && sub == 0 && entry.path == "boot_aggregate") {
      judged.state = EntryState::kOwn;
    } else if (record.template_name == "ima-buf" && entry.path.starts_with("assay-")) {
      judged.state = EntryState::kOwn;
      OwnRecord(judged, entry);
    } else {
      JudgeContent(judged, entry);
    }
    ++r_.out.counts[judged.state];
    r_.out.entries.push_back(std::move(judged));
  }

  void JudgeContent(JudgedEntry& e, const ima::Entry& entry) {
    const bool strong = entry.file_digest && entry.file_digest->digest &&
                        std::find(r_.policy.file_algs.begin(), r_.policy.file_algs.end(),
                                  entry.file_digest->digest->alg()) != r_.policy.file_algs.end();
    if (!strong) {
      e.state = EntryState::kUnknown;
      Report("entry.weak-digest", Verdict::kNotTrusted, e,
             fmt::format("{} was measured with {}, which the policy does not accept", EntryName(e),
                         entry.file_digest ? entry.file_digest->alg_name : "no digest"));
      return;
    }
    const Digest& digest = *entry.file_digest->digest;
    const std::vector<Origin> origins = r_.references.Find(digest);
    const std::optional<Origin> at_path = r_.references.FindPath(e.path);
    const Origin* best = Best(origins, at_path ? at_path->path : e.path);
    const bool component = own_.contains(std::string(kComponent) + e.path);
    if (r_.policy.allowed.contains(e.digest) || AllowedPath(e.path) ||
        (component && r_.policy.attester_digests.contains(e.digest))) {
      e.state = EntryState::kTrusted;
      if (best != nullptr) e.origin = *best;
    } else if (best == nullptr) {
      JudgeUnknown(e, at_path);
    } else {
      e.origin = *best;
      JudgeKnown(e, at_path);
    }
    const bool good = e.state == EntryState::kTrusted;
    if (component) {
      own_[std::string(kComponent) + e.path] = e.digest;
      if (!good)
        Report("own.unknown-binary", Verdict::kNotTrusted, e,
               fmt::format("{} is part of the attester and is no known build", e.path));
    }
    if (!good && r_.policy.interpreters.contains(e.path))
      Report("own.interpreter", Verdict::kNotTrusted, e,
             fmt::format("the interpreter {} is no known build: what it reads may be unmeasured", e.path));
  }

  // The origin at this very path first; among the rest the best standing, but 'revoked' beats all.
  static const Origin* Best(const std::vector<Origin>& origins, const std::string& path) {
    const Origin* best = nullptr;
    auto rank = [&](const Origin& o) {
      if (o.standing == Standing::kRevoked) return 4;
      return (o.standing == Standing::kGood ? 2 : 0) + (o.path == path ? 1 : 0);
    };
    for (const Origin& o : origins)
      if (best == nullptr || rank(o) > rank(*best)) best = &o;
    return best;
  }

  bool AllowedPath(const std::string& path) const {
    return std::any_of(r_.policy.allowed_paths.begin(), r_.policy.allowed_paths.end(),
                       [&](const std::string& glob) { return fnmatch(glob.c_str(), path.c_str(), 0) == 0; });
  }

  void JudgeUnknown(JudgedEntry& e, const std::optional<Origin>& at_path) {
    if (at_path) {
      e.state = EntryState::kChanged;
      e.origin = at_path;
      Report(
          "entry.changed", Verdict::kNotTrusted, e,
          fmt::format("{} is not the file that {} {} has there", e.path, at_path->package, at_path->version));
    } else {
      e.state = EntryState::kUnknown;
      Report("entry.unknown", Verdict::kNotTrusted, e, fmt::format("{} is in no reference", EntryName(e)));
    }
  }

  void JudgeKnown(JudgedEntry& e, const std::optional<Origin>& at_path) {
    const Origin& o = *e.origin;
    const std::string what = fmt::format("{} is {} of {} {}", e.path, o.path, o.package, o.version);
    const std::string note = o.note.empty() ? "" : " (" + o.note + ")";
    if (o.standing == Standing::kRevoked) {
      e.state = EntryState::kRevoked;
      Report("entry.revoked", Verdict::kNotTrusted, e, what + ", which was revoked" + note);
    } else if (o.standing == Standing::kVulnerable) {
      e.state = EntryState::kVulnerable;
      Report("entry.vulnerable", r_.policy.vulnerable_fails ? Verdict::kNotTrusted : Verdict::kTrusted, e,
             what + ", which is vulnerable" + note);
    } else if (at_path && o.path != at_path->path) {
      e.state = EntryState::kChanged;
      Report("entry.swapped", Verdict::kNotTrusted, e,
             fmt::format("{}, but {} {} has another file there", what, at_path->package, at_path->version));
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
    f.context = e.context;
    r_.out.findings.push_back(std::move(f));
  }

  void OwnRecord(const JudgedEntry& e, const ima::Entry& entry) {
    Result<> read = BufferMatches(entry) ? ReadOwn(e, entry)
                                         : Fail(StateError("own.malformed", "digest is not the buffer's"));
    if (!read) Report("own.malformed", Verdict::kNotTrusted, e, e.path + ": " + read.error().Message());
  }

  Result<> ReadOwn(const JudgedEntry& e, const ima::Entry& entry) {
    if (e.path == "assay-policy") {
      own_["policy"] = e.digest;
      if (!r_.policy.attester_policies.empty() && !r_.policy.attester_policies.contains(e.digest))
        Report("own.policy", Verdict::kNotTrusted, e,
               "the attester measures by a policy that is not accepted: " + e.digest);
      return {};
    }
    ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(entry.buffer), "own-record", kMaxOwnBuffer));
    if (e.path == "assay-start") return Started(e, doc.root());
    if (e.path == "assay-engine") {
      ASSAY_ASSIGN(const std::string engine, doc.root().Str("engine"));
      ASSAY_ASSIGN(const std::string scope, doc.root().Str("scope"));
      own_["engine"] = engine;
      own_["scope"] = scope;
      own_["engine_run"] = own_["runs"];
      if (!r_.policy.engines.contains(engine))
        Report("own.engine", Verdict::kNotTrusted, e,
               fmt::format("the engine is '{}', which the policy does not accept", engine));
    } else if (e.path == "assay-manifest") {
      ASSAY_ASSIGN(own_["manifest"], doc.root().Str("sha256"));
    }
    return {};
  }

  Result<> Started(const JudgedEntry& e, const JsonValue& start) {
    ASSAY_ASSIGN(const std::uint64_t run, start.U64("run"));
    ASSAY_ASSIGN(const std::uint64_t before, start.U64("tasks_before"));
    ASSAY_ASSIGN(own_["executable"], start.Str("executable"));
    ASSAY_ASSIGN(own_["version"], start.Str("version"));
    ASSAY_ASSIGN(const JsonValue components, start.Array("components"));
    const bool first = !own_.contains("runs");
    own_["runs"] = std::to_string(run);
    if (first && e.record != 1)
      Report("own.no-start", Verdict::kNotTrusted, e, "the attester's records do not begin the list");
    if (!first || run > 1)
      Report(
          "list.gap", r_.policy.allow_gaps ? Verdict::kTrusted : Verdict::kNotTrusted, e,
          fmt::format("the attester was started again (run {}): what ran meanwhile is not in the list", run));
    if (before > 0)
      Report("own.ran-before", r_.policy.allow_what_ran_before ? Verdict::kTrusted : Verdict::kNotTrusted, e,
             fmt::format("{} process(es) ran before the attester did", before));
    return components.Each([&](const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(std::string path, v.AsStr());
      std::replace(path.begin(), path.end(), ' ', '_');  // as the list writes it
      own_.try_emplace(std::string(kComponent) + path, "");
      return {};
    });
  }

  // Was the measuring in place? Asked of everything that this boot's list has said so far.
  void CheckOwn() {
    if (!own_.contains("runs")) {
      r_.Add("own.no-start", Verdict::kNotTrusted, "the list does not say what measured");
    } else {
      if (!own_.contains("engine") || own_["engine_run"] != own_["runs"])
        r_.Add("own.engine", Verdict::kNotTrusted, "the list does not say that an engine ran");
      if (!own_.contains("policy"))
        r_.Add("own.policy", Verdict::kNotTrusted, "the list does not say what is measured");
    }
    for (const auto& [key, digest] : own_) {
      if (!key.starts_with(kComponent) || !digest.empty()) continue;
      r_.Add("own.unknown-binary", Verdict::kNotTrusted,
             fmt::format("{} is part of the attester and is not in the list", key.substr(kComponent.size())));
    }
    if (r_.out.claims.engine_state != "ok")
      r_.Add("own.engine", Verdict::kUnknown,
             fmt::format("the engine is not well: {}", r_.out.claims.engine_state));
    r_.made.insert(Check::kOwnRecords);
  }

  Round& r_;
  std::map<std::string, std::string>& own_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, attest::ContextEntry> context_;
};

}  // namespace

void JudgeEntries(Round& r) {
  // A list from its start says everything again.
  if (r.request.first_record == 0) r.out.host.own.clear();
  Judge(r).Run();
}

}  // namespace assay::appraise
