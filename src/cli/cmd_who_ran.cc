// Which hosts ran a content, a package's version or what an advisory names, and when. man/assay-who-ran.1
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "appraise/saved_round.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "cli/fleet_commands.h"
#include "cli/list_file.h"
#include "cli/log_filter.h"
#include "cli/progress.h"
#include "cli/verifier.h"
#include "list/list.h"
#include "who_ran/who_ran.h"

namespace assay::cli {
namespace {

using nlohmann::json;
using who_ran::Seen;
using who_ran::Value;

constexpr std::size_t kShown = 20;                       // hosts that are printed for people
constexpr std::size_t kMemory = std::size_t{512} << 20;  // of additions, before they are merged
constexpr std::uint64_t kBootRecords = 8;                // of a list, by which its boot is told from others

struct WhoRanOptions {
  std::string index;
  std::vector<std::string> sources;  // add: [NAME=]PATH
  std::string policy, time;
  std::string digest, package, version, advisory;  // find
  std::vector<std::string> references;
  bool last_boot = false, all = false;
};

// What one source says.
struct Evidence {
  who_ran::RoundFacts facts;
  std::vector<Value> values;
};

struct Source {
  std::string name, path;
};
// A name with a '/' is the beginning of a path.
Source ParseSource(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || text.find('/') < equals) return {.name = "", .path = text};
  return {.name = text.substr(0, equals), .path = text.substr(equals + 1)};
}

// Only what the quote proves is taken.
Result<Evidence> ReadRound(const Source& source, const appraise::Policy& policy) {
  ASSAY_ASSIGN(const appraise::SavedRound round, appraise::LoadRound(source.path));
  appraise::Request request = round.AsRequest();
  request.entries = true;
  const appraise::Appraisal a = Appraise(request, round.before, reference::Indexes(), policy);
  if (a.host.rounds <= round.before.rounds)
    return Fail(UsageError("the round does not prove its list; 'assay appraise' says why"));
  Evidence out{
      .facts = {.host = a.claims.hostname.ToString(), .boot_id = a.claims.boot_id, .time_ms = round.time_ms},
      .values = {}};
  for (const appraise::JudgedEntry& e : a.entries)
    if (e.state != appraise::EntryState::kViolation && e.state != appraise::EntryState::kOwn &&
        !e.digest.empty())
      out.values.push_back(who_ran::ValueOf(e.digest));
  return out;
}

// Violations have no digest, and what the attester says of itself is no content.
void TakeEntry(const ima::RecordView& record, const Result<ima::Entry>& entry, std::vector<Value>& out) {
  if (!entry) return;
  if (record.template_name == ima::TemplateName(ima::Template::kBuf)) {
    if (entry->path != ima::kGroupName) return;
    const Result<std::vector<ima::InnerRecord>> inner = ima::DecodeGroup(entry->buffer);
    if (!inner) return;
    for (const ima::InnerRecord& r : *inner) {
      const ima::OpenedRecord opened = ima::OpenInner(record, r);
      TakeEntry(opened.view, opened.entry, out);
    }
    return;
  }
  if (entry->file_digest && entry->file_digest->digest && !entry->file_digest->digest->AllBytes(0))
    out.push_back(who_ran::ValueOf(ima::FileDigestText(*entry->file_digest)));
}

// A list has neither a name nor a time nor a proof.
Result<Evidence> ReadList(const Source& source, time_t altered, const std::string& time) {
  if (source.name.empty()) return Fail(UsageError("a list does not name its host: NAME=LIST"));
  Evidence out{.facts = {.host = "", .boot_id = "", .time_ms = 0}, .values = {}};
  if (time.empty()) {
    out.facts.time_ms = static_cast<std::uint64_t>(std::max<time_t>(altered, 0)) * 1000;
  } else {
    const Result<std::uint64_t> given = ParseSince(time, NowMs());
    if (!given) return Fail(UsageError("--time: not a time: " + Printable(time)));
    out.facts.time_ms = *given;
  }
  ASSAY_ASSIGN(const ListFile file, ListFile::Read(source.path, std::nullopt));
  ima::ListReader reader(file.list(), file.bank());
  Hasher boot(HashAlg::kSha256);
  while (true) {
    ASSAY_ASSIGN(const std::optional<ima::RecordView> record, reader.Next());
    if (!record) break;
    if (record->index < kBootRecords) boot.Update(record->data);
    TakeEntry(*record, ima::Decode(*record), out.values);
  }
  out.facts.boot_id = boot.Finish().hex();
  return out;
}

Result<Evidence> ReadEvidence(const Source& source, const appraise::Policy& policy, const std::string& time) {
  struct stat info{};
  if (::stat(source.path.c_str(), &info) != 0) return Fail(OsError("stat", source.path, errno));
  Result<Evidence> evidence =
      S_ISDIR(info.st_mode) ? ReadRound(source, policy) : ReadList(source, info.st_mtime, time);
  if (!evidence) return Fail(evidence.error().In(source.path));
  if (!source.name.empty()) evidence->facts.host = source.name;
  return evidence;
}

Result<int> Add(const WhoRanOptions& o, const Session& session) {
  ASSAY_ASSIGN(const appraise::Policy policy, LoadPolicy(o.policy));
  ASSAY_ASSIGN(who_ran::Updates updates, who_ran::Updates::Onto(o.index));
  json failed = json::array();
  std::uint64_t entries = 0;
  Progress progress(session.progress, "evidence");
  for (std::size_t i = 0; i < o.sources.size(); ++i) {
    progress.At(i, o.sources.size());
    const Source source = ParseSource(o.sources[i]);
    const Result<Evidence> evidence = ReadEvidence(source, policy, o.time);
    const Result<who_ran::Round> round =
        evidence ? updates.Begin(evidence->facts) : Result<who_ran::Round>(Fail(evidence.error()));
    if (!round) {
      json failure = ErrorJson(round.error());
      failure["file"] = source.path;
      failed.push_back(std::move(failure));
      fmt::print(stderr, "assay: left out: {}\n", round.error().Message());
      continue;
    }
    for (const Value& value : evidence->values) updates.Ran(*round, value);
    entries += evidence->values.size();
    if (updates.bytes() > kMemory) ASSAY_TRY(updates.Write());
  }
  ASSAY_TRY(updates.Write());
  ASSAY_ASSIGN(const who_ran::WhoRan index, who_ran::WhoRan::Open(o.index));
  const std::size_t added = o.sources.size() - failed.size();
  if (session.json)
    session.Answer({{"added", added},
                    {"entries", entries},
                    {"failed", failed},
                    {"hosts", index.hosts()},
                    {"values", index.values()}});
  else
    fmt::print("{} rounds and lists with {} entries; {} has {} values of {} hosts\n", added, entries, o.index,
               index.values(), index.hosts());
  return failed.empty() ? kExitOk : kExitIncomplete;
}

// The contents of the packages that were asked for. certain: no other package has it.
struct Wanted {
  std::vector<Value> certain, shared;
};

bool IsWanted(const reference::IndexedPackage& p, const WhoRanOptions& o) {
  if (!o.advisory.empty())
    return std::any_of(p.advisories.begin(), p.advisories.end(), [&](const appraise::Advisory& a) {
      return a.id == o.advisory || a.record == o.advisory;
    });
  return (p.package == o.package || p.source == o.package) && (o.version.empty() || p.version == o.version);
}

Result<Wanted> WantedOf(const WhoRanOptions& o) {
  Wanted out;
  if (!o.digest.empty()) {
    const bool bare = o.digest.find(':') == std::string::npos;
    const std::string text = bare ? "sha256:" + o.digest : o.digest;
    if (!ima::ParseFileDigest(text)) return Fail(UsageError("no digest: " + Printable(o.digest)));
    out.certain.push_back(who_ran::ValueOf(text));
    return out;
  }
  constexpr std::uint8_t kOfWanted = 1, kOfOther = 2;
  std::unordered_map<Digest, std::uint8_t> contents;
  bool any = false;
  for (const std::string& path : o.references) {
    ASSAY_ASSIGN(const std::unique_ptr<reference::Index> index, reference::Index::Open(path));
    for (const reference::IndexedContent& c : index->Contents()) {
      if (c.package.package == appraise::kDenied) continue;
      const bool wanted = IsWanted(c.package, o);
      any = any || wanted;
      for (const reference::IndexedFile& f : c.files) contents[f.digest] |= wanted ? kOfWanted : kOfOther;
    }
  }
  if (!any) return Fail(UsageError("the reference values have no such package or advisory"));
  for (const auto& [digest, of] : contents)
    if ((of & kOfWanted) != 0)
      ((of & kOfOther) == 0 ? out.certain : out.shared).push_back(who_ran::ValueOf(digest));
  return out;
}

json PeriodJson(const who_ran::Period& p) {
  return {{"from", DateText(p.from * kDayMs)}, {"to", DateText(p.to * kDayMs)}};
}

// Hosts that have shared content only may have another package that has it.
Result<> PutHosts(const who_ran::WhoRan& index, const Wanted& wanted, bool last_boot, json& hosts) {
  ASSAY_ASSIGN(const std::vector<Seen> certain, index.When(wanted.certain));
  ASSAY_ASSIGN(const std::vector<Seen> shared, index.When(wanted.shared));
  const auto put = [&](const Seen& seen, bool is_certain) -> Result<> {
    ASSAY_ASSIGN(const who_ran::HostFacts host, index.HostAt(seen.host));
    const bool in_last = InLastBoot(seen, host);
    if (last_boot && !in_last) return {};
    hosts.push_back({{"name", host.name},
                     {"first", PeriodJson(seen.first)},
                     {"last", PeriodJson(seen.last)},
                     {"last_boot", in_last},
                     {"certain", is_certain}});
    return {};
  };
  for (const Seen& seen : certain) ASSAY_TRY(put(seen, true));
  for (const Seen& seen : shared) {
    const bool known = std::binary_search(certain.begin(), certain.end(), seen,
                                          [](const Seen& a, const Seen& b) { return a.host < b.host; });
    if (!known) ASSAY_TRY(put(seen, false));
  }
  return {};
}

void PrintHosts(const json& hosts, std::uint64_t of, bool all) {
  std::size_t may = 0;
  for (const json& h : hosts) may += h["certain"].get<bool>() ? 0U : 1U;
  fmt::print("{} of {} hosts ran it\n", hosts.size() - may, of);
  if (may != 0) fmt::print("{} more ran only content of it that other packages have too ('may')\n", may);
  const auto period = [](const json& p) {
    const auto from = p["from"].get<std::string>(), to = p["to"].get<std::string>();
    return from == to ? from : from + ".." + to;
  };
  std::size_t shown = 0;
  for (const json& h : hosts) {
    if (!all && shown++ == kShown) {
      fmt::print("... and {} more hosts (--long prints all)\n", hosts.size() - kShown);
      return;
    }
    fmt::print("{}{}  first {}  last {}{}\n", h["certain"].get<bool>() ? "" : "may  ",
               Printable(h["name"].get<std::string>()), period(h["first"]), period(h["last"]),
               h["last_boot"].get<bool>() ? "  in its last boot" : "");
  }
}

Result<int> Find(const WhoRanOptions& o, const Session& session) {
  if (o.digest.empty() && o.references.empty())
    return Fail(UsageError("--package and --advisory need --reference"));
  ASSAY_ASSIGN(const who_ran::WhoRan index, who_ran::WhoRan::Open(o.index));
  ASSAY_ASSIGN(const Wanted wanted, WantedOf(o));
  json hosts = json::array();
  ASSAY_TRY(PutHosts(index, wanted, o.last_boot, hosts));
  if (session.json) {
    const auto known = [&](const std::vector<Value>& values) {
      return std::count_if(values.begin(), values.end(), [&](const Value& v) { return index.Knows(v); });
    };
    session.Answer({{"hosts", hosts},
                    {"all_hosts", index.hosts()},
                    {"contents", wanted.certain.size() + wanted.shared.size()},
                    {"contents_seen", known(wanted.certain) + known(wanted.shared)}});
  } else {
    PrintHosts(hosts, index.hosts(), o.all);
  }
  return hosts.empty() ? kExitNotTrusted : kExitOk;
}

Result<int> Verify(const WhoRanOptions& o, const Session& session) {
  const Result<who_ran::WhoRan> index = who_ran::WhoRan::Open(o.index);
  const Result<> whole = index ? index->CheckAll() : Result<>(Fail(index.error()));
  if (session.json)
    session.Answer({{"whole", whole.has_value()}, {"damage", whole ? "" : whole.error().Message()}});
  else
    fmt::print("{} {}\n", o.index, whole ? "is whole" : "is damaged: " + whole.error().Message());
  return whole ? kExitOk : kExitNotTrusted;
}

}  // namespace

void AddWhoRan(Command app, Session& session) {
  Command who = app.AddCommand("who-ran", "Which hosts ran a content or a package, and when");
  who.RequireCommand();
  auto o = std::make_shared<WhoRanOptions>();
  Command add = who.AddCommand("add", "Add saved rounds and measurement lists of hosts to an index");
  add.AddOption("--index", o->index, "The index; a new one is made").Required();
  add.AddOption("sources", o->sources, "Folders of 'attest --save', or NAME=LIST")
      .ValueName("[NAME=]PATH")
      .Required();
  add.AddOption("--policy", o->policy, "Appraisal policy (JSON), by which a round proves its list");
  add.AddOption("--time", o->time, "When the lists were read (without it: when their files were changed)");
  add.OnRun([o, &session] { session.Finish(Add(*o, session)); });

  Command find = who.AddCommand("find", "Which hosts ran it: 0 some, 1 none");
  find.AddOption("--index", o->index, "The index").Required();
  Command what = find.AddAlternatives("What");
  what.AddOption("--digest", o->digest, "A content's digest");
  what.AddOption("--package", o->package, "A package, by its own name or its source's");
  what.AddOption("--advisory", o->advisory, "An advisory or CVE that reference values know of");
  find.AddOption("--version", o->version, "Of the package: this version only").Needs(what.Find("--package"));
  find.AddOption("--reference", o->references, "Indexes of reference values, for packages and advisories");
  find.AddFlag("--last-boot", o->last_boot, "Only hosts that have it in the list of their last boot");
  find.AddFlag("--long", o->all, "Print every host");
  find.OnRun([o, &session] { session.Finish(Find(*o, session)); });

  Command verify = who.AddCommand("verify", "Whether an index is whole: 0 it is, 1 it is damaged");
  verify.AddOption("--index", o->index, "The index").Required();
  verify.OnRun([o, &session] { session.Finish(Verify(*o, session)); });
}

}  // namespace assay::cli
