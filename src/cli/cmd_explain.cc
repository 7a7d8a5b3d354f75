// Says what is known of a content, a path or a finding: its package, where and by what it was loaded, who
// else has it, and what to do next. man/assay-explain.1
#include <fmt/core.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "appraise/finding_names.h"
#include "appraise/other_digest.h"
#include "appraise/reason.h"
#include "appraise/result.h"
#include "appraise/saved_round.h"
#include "base/clock.h"
#include "base/digest_text.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/verifier.h"
#include "list/list.h"

namespace assay::cli {
namespace {

using appraise::Finding;
using appraise::FindingName;
using appraise::JudgedEntry;
using nlohmann::json;

constexpr std::size_t kBefore = 5;  // what the same process loaded before, at most
constexpr std::size_t kShown = 10;  // places that are printed for people
constexpr std::size_t kMaxHosts = 10'000;

struct ExplainOptions {
  std::string subject, policy, trusted, state, save, states;
  std::vector<std::string> references;
};

// The subject of the question. A digest, a path and a finding's name may each have many entries.
struct Subject {
  std::optional<Digest> digest, to_find;  // of content; as reference values are asked for it
  std::string verity;                     // a digest of fs-verity, as text
  std::optional<FindingName> finding;
  std::string path;

  bool Is(const std::string& of_digest, const std::string& of_path) const {
    if (digest) return digest->ToString() == of_digest;
    if (!verity.empty()) return verity == of_digest;
    return !finding && appraise::NormalisePath(path) == appraise::NormalisePath(of_path);
  }
  bool Is(const Finding& f) const { return finding ? f.name == *finding : Is(f.digest, f.path); }
};

Subject ParseSubject(const std::string& text) {
  Subject s;
  for (const std::string& digest : {text, "sha256:" + text})
    if (const Result<Digest> parsed = ParseDigest(digest)) s.digest = *parsed;
  if (!s.digest && ima::ParseFileDigest(text)) s.verity = text;
  if (s.digest) s.to_find = appraise::DigestToFind(*s.digest, s.digest->ToString());
  if (!s.verity.empty()) s.to_find = appraise::StandIn(s.verity);
  s.finding = appraise::FindingFromName(text);
  if (!s.digest && s.verity.empty() && !s.finding) s.path = text;
  return s;
}

json PlaceJson(const std::optional<evidence::ContextEntry>& c, const appraise::ReferenceValues& references) {
  if (!c) return nullptr;
  json place = {
      {"time", TimeText(c->time_ms)}, {"pid", c->pid}, {"uid", c->uid}, {"comm", c->comm}, {"hook", c->hook},
      {"cgroup", c->cgroup}};
  const std::string reason = ReasonText(*c, references);
  if (reason.empty()) return place;
  place["program"] = c->program;
  place["script"] = c->script;
  place["under"] = c->under;
  place["reason"] = reason;
  return place;
}

// One entry of the list, or one standing finding about an entry.
json SeenJson(const std::string& path, const std::string& digest, std::optional<std::uint64_t> record,
              const std::optional<evidence::ContextEntry>& context,
              const appraise::ReferenceValues& references) {
  json j = {{"path", path}, {"digest", digest}, {"by", PlaceJson(context, references)}};
  if (record) j["record"] = *record;
  return j;
}

// What a saved round knows: the entries, and what the same process loaded before the first of them.
Result<> AskRound(const ExplainOptions& o, const Subject& subject,
                  const appraise::ReferenceValues& references, const appraise::Policy& policy,
                  const appraise::TrustedList& trusted, json& out, std::set<FindingName>& names) {
  Result<appraise::SavedRound> round = appraise::LoadRound(o.save);
  if (!round) return Fail(round.error().In(o.save));
  const appraise::Appraisal a = Appraise(round->AsRequest(), round->before, references, policy, {}, trusted);
  const JudgedEntry* first = nullptr;
  for (const JudgedEntry& e : a.entries) {
    if (subject.finding || !subject.Is(e.digest, e.path)) continue;
    if (first == nullptr) first = &e;
    json seen = SeenJson(e.path, e.digest, e.record, e.context, references);
    seen["state"] = EntryStateName(e.state);
    out["seen"].push_back(std::move(seen));
  }
  if (first != nullptr && first->context) {
    std::vector<std::string> before;
    for (const JudgedEntry& e : a.entries) {
      if (&e == first) break;
      if (e.context && e.context->pid == first->context->pid) before.push_back(e.path);
    }
    if (before.size() > kBefore) before.erase(before.begin(), before.end() - kBefore);
    out["same_process_before"] = before;
  }
  for (const Finding& f : a.findings) {
    if (!subject.Is(f)) continue;
    names.insert(f.name);
    out["findings"].push_back({{"name", NameText(f.name)}, {"text", f.text}});
  }
  return {};
}

void AskState(const Subject& subject, const appraise::HostState& state,
              const appraise::ReferenceValues& references, json& out, std::set<FindingName>& names) {
  for (const Finding& f : state.standing) {
    if (!subject.Is(f)) continue;
    names.insert(f.name);
    json standing = SeenJson(f.path, f.digest, f.record, f.context, references);
    standing["name"] = NameText(f.name);
    standing["text"] = f.text;
    out["standing"].push_back(std::move(standing));
  }
}

// The states of other hosts that have the same standing finding, by their files' names.
Result<> AskHosts(const ExplainOptions& o, const Subject& subject, json& out) {
  glob_t found{};
  const int status = glob(o.states.c_str(), 0, nullptr, &found);
  std::vector<std::string> files(found.gl_pathv, found.gl_pathv + std::min(found.gl_pathc, kMaxHosts));
  globfree(&found);
  if (status != 0 && status != GLOB_NOMATCH) return Fail(OsError("glob", o.states, errno));
  for (const std::string& file : files) {
    std::error_code error;
    if (!o.state.empty() && std::filesystem::equivalent(file, o.state, error)) continue;
    ASSAY_ASSIGN(const appraise::HostState state, LoadState(file));
    const auto has = std::count_if(state.standing.begin(), state.standing.end(),
                                   [&](const Finding& f) { return subject.Is(f); });
    out["hosts_asked"] = out.value("hosts_asked", 0) + 1;
    if (has > 0) out["hosts"].push_back({{"state", file}, {"findings", has}});
  }
  return {};
}

std::string By(const json& by) {
  if (by.is_null()) return "";
  const std::string cgroup = by.value("cgroup", "");
  return fmt::format(", by {} (pid {}, uid {}) at {}, {}{}", Printable(by.value("comm", "")),
                     by.value("pid", 0U), by.value("uid", 0U), by.value("time", ""),
                     Printable(by.value("hook", "")), cgroup.empty() ? "" : ", in " + Printable(cgroup));
}

void PrintSeen(const json& list, const char* what) {
  std::size_t n = 0;
  for (const json& s : list) {
    if (++n > kShown) continue;
    fmt::print("{}{} {}{}{}\n", what, s.contains("state") ? " (" + s.value("state", "") + ")" : "",
               Printable(s.value("path", "")),
               s.contains("record") ? fmt::format(" in record {}", s.value("record", 0ULL)) : "",
               By(s.at("by")));
    if (const json& by = s.at("by"); by.is_object() && by.contains("reason"))
      fmt::print("  the attester says: {}\n", Printable(by.value("reason", "")));
    if (s.contains("text")) fmt::print("  {}: {}\n", s.value("name", ""), Printable(s.value("text", "")));
  }
  if (n > kShown) fmt::print("  and {} more\n", n - kShown);
}

void PrintText(const json& j) {
  for (const json& o : j.at("packages"))
    fmt::print("package  {} {}, {}: {}{}{}\n", Printable(o.value("package", "")),
               Printable(o.value("version", "")), Printable(o.value("path", "")), o.value("standing", ""),
               o.contains("superseded_since") ? " since " + o.value("superseded_since", "") : "",
               o.value("note", "").empty() ? "" : " (" + Printable(o.value("note", "")) + ")");
  if (j.at("packages").empty() && j.value("references", 0) > 0 && j.value("kind", "") != "finding")
    fmt::print("package  none of the {} index(es) has it\n", j.value("references", 0));
  for (const json& t : j.at("trusted"))
    fmt::print("owner    trusted by {}: {}\n", Printable(t.value("who", "")), Printable(t.value("why", "")));
  PrintSeen(j.at("seen"), "seen    ");
  for (const json& p : j.at("same_process_before"))
    fmt::print("before   the same process loaded {}\n", Printable(p.get<std::string>()));
  PrintSeen(j.at("standing"), "standing");
  for (const json& f : j.at("findings"))
    fmt::print("finding  {}: {}\n", f.value("name", ""), Printable(f.value("text", "")));
  if (j.contains("hosts_asked"))
    fmt::print("others   {} of {} other host(s) have it\n", j.at("hosts").size(), j.value("hosts_asked", 0));
  for (const json& h : j.at("hosts")) fmt::print("         {}\n", Printable(h.value("state", "")));
  for (const json& m : j.at("meaning"))
    fmt::print("{}\n  weight   {}\n  to do    {}\n", m.value("name", ""), m.value("weight", ""),
               m.value("remedy", ""));
}

Result<int> Explain(const ExplainOptions& o, const Session& session) {
  const Subject subject = ParseSubject(o.subject);
  ASSAY_ASSIGN(const appraise::Policy policy, LoadPolicy(o.policy));
  ASSAY_ASSIGN(const reference::Indexes references, LoadReferences(o.references));
  json out = {{"subject", o.subject},
              {"kind", subject.digest || !subject.verity.empty() ? "digest"
                       : subject.finding                         ? "finding"
                                                                 : "path"},
              {"references", o.references.size()}};
  for (const char* list :
       {"packages", "trusted", "seen", "same_process_before", "standing", "findings", "hosts", "meaning"})
    out[list] = json::array();
  std::set<FindingName> names;
  if (subject.finding) names.insert(*subject.finding);
  if (subject.to_find)
    for (const appraise::Origin& origin : references.Find(*subject.to_find))
      out["packages"].push_back(appraise::ToJson(origin));
  if (!subject.path.empty())
    if (const std::optional<appraise::Origin> origin = references.FindPath(subject.path))
      out["packages"].push_back(appraise::ToJson(*origin));
  appraise::TrustedList trusted;
  if (!o.trusted.empty()) {
    ASSAY_ASSIGN(const std::string text, ReadText(o.trusted, appraise::kMaxTrustedList));
    ASSAY_ASSIGN(trusted, appraise::ParseTrusted(text));
  }
  for (const appraise::TrustedEntry& t : trusted.entries)
    if (!subject.finding && subject.Is(t.digest, t.path))
      out["trusted"].push_back({{"digest", t.digest},
                                {"path", t.path},
                                {"who", t.who},
                                {"why", t.why},
                                {"until_ms", t.expires_ms}});
  if (!o.save.empty()) ASSAY_TRY(AskRound(o, subject, references, policy, trusted, out, names));
  if (!o.state.empty()) {
    ASSAY_ASSIGN(const appraise::HostState state, LoadState(o.state));
    AskState(subject, state, references, out, names);
  }
  if (!o.states.empty()) ASSAY_TRY(AskHosts(o, subject, out));
  for (const FindingName name : names)
    out["meaning"].push_back({{"name", NameText(name)},
                              {"weight", appraise::VerdictName(appraise::WeightOf(name))},
                              {"remedy", appraise::RemedyOf(name)}});
  bool known = false;
  for (const char* list : {"packages", "trusted", "seen", "standing", "findings", "hosts", "meaning"})
    known = known || !out[list].empty();
  out["known"] = known;
  if (session.json)
    session.Answer(out);
  else if (known)
    PrintText(out);
  else
    fmt::print("nothing is known of {} in what was given\n", Printable(o.subject));
  return known ? kExitOk : kExitNotTrusted;
}

}  // namespace

void AddExplain(Command app, Session& session) {
  auto o = std::make_shared<ExplainOptions>();
  Command explain =
      app.AddCommand("explain", "Say what is known of a digest, a path or a finding, and what to do next");
  explain.AddOption("subject", o->subject, "A digest, a path, or a finding's name").Required();
  explain.AddOption("--reference", o->references, "Indexes of reference values; self: of this assay");
  explain.AddOption("--policy", o->policy, "Appraisal policy (JSON)");
  explain.AddOption("--trusted", o->trusted, "The owner's trusted list");
  explain.AddOption("--state", o->state, "The host's state file");
  explain.AddOption("--save", o->save, "A round of this host, saved by 'assay attest --save'");
  explain.AddOption("--states", o->states, "State files of other hosts, as a pattern ('hosts/*.json')");
  explain.OnRun([o, &session] { session.Finish(Explain(*o, session)); });
}

}  // namespace assay::cli
