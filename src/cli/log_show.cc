// The command `assay log show`.
#include <fmt/core.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "appraise/redaction.h"
#include "base/clock.h"
#include "base/json_dump.h"
#include "base/text.h"
#include "cli/cmd_log.h"
#include "cli/errors.h"
#include "cli/log_filter.h"

namespace assay::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kShortDigest = 16;  // hexadecimal digits of a digest in the table

// JSON must be UTF-8. Invalid bytes are replaced, and the text is also given in hexadecimal.
void PutText(json& out, const std::string& key, std::string_view text) {
  out[key] = text;
  const json& value = out[key];
  if (value.dump(-1, ' ', false, json::error_handler_t::ignore) !=
      value.dump(-1, ' ', false, json::error_handler_t::replace))
    out[key + "_hex"] = Hex(AsBytes(text));
}

// Whether the field has a column of its own in the table.
bool IsDigestOrName(std::string_view id) {
  return id == "d" || id == "d-ng" || id == "d-ngv2" || id == "n" || id == "n-ng";
}

std::optional<std::vector<ima::InnerRecord>> Group(const ima::RecordView& r, const ima::Entry& e) {
  if (r.template_name != ima::TemplateName(ima::Template::kBuf) || e.path != ima::kGroupName)
    return std::nullopt;
  auto inner = ima::DecodeGroup(e.buffer);
  return inner ? std::optional(*std::move(inner)) : std::nullopt;
}

std::string DigestText(const ima::FileDigest& d, std::size_t digits) {
  const std::string hex = Hex(d.bytes);
  return (d.type.empty() ? "" : d.type + ":") + d.alg_name + ":" + hex.substr(0, digits) +
         (hex.size() > digits ? ".." : "");
}

// Whether the column is right; nullopt if its digest can't be computed.
std::optional<bool> ColumnFits(const ima::RecordView& r, HashAlg bank) {
  if (!CanHash(bank)) return std::nullopt;
  return r.violation() || appraise::IsWithheld(r) ||
         Equal(r.template_digest, ima::TemplateDigest(bank, r.template_name, r.data).view());
}

// An entry as JSON, of a record or of an inner record of a group.
json EntryJson(const ima::RecordView& r, const Result<ima::Entry>& e) {
  json out;
  PutText(out, "template", r.template_name);
  if (!e) {
    out["path"] = "";
    out["data"] = Hex(r.data);
    out["error"] = {{"code", e.error().code()}, {"message", Printable(e.error().Message())}};
    return out;
  }
  PutText(out, "path", e->path);
  if (e->file_digest) {
    PutText(out, "digest", DigestText(*e->file_digest, std::string::npos));
    out["comparable"] = e->file_digest->digest.has_value();
  }
  for (const ima::Field& f : e->fields) {
    if (!IsDigestOrName(f.id)) PutText(out, std::string(f.id), ima::FieldText(f));
  }
  return out;
}

json ContextJson(const evidence::ContextEntry& c) {
  json out = {
      {"time", TimeText(c.time_ms)}, {"pid", c.pid}, {"uid", c.uid}, {"comm", c.comm}, {"hook", c.hook}};
  if (!c.cgroup.empty()) out["cgroup"] = c.cgroup;
  if (!c.program.empty()) out["program"] = c.program;
  if (!c.script.empty()) out["script"] = c.script;
  if (!c.under.empty()) out["under"] = c.under;
  if (const std::optional<evidence::Container> in = evidence::ContainerIn(c.cgroup))
    out["container"] = in->id;
  return out;
}

// nullopt: nothing of the record is to be shown.
std::optional<json> RecordJson(const ima::RecordView& r, HashAlg bank, const LogFilter& filter) {
  const Result<ima::Entry> e = ima::Decode(r);
  const auto group = e ? Group(r, *e) : std::nullopt;
  if (!group && !filter.Keeps(r, 0, e)) return std::nullopt;
  json out = EntryJson(r, e);
  out["index"] = r.index;
  out["pcr"] = r.pcr;
  out["template_digest"] = Hex(r.template_digest);
  out["violation"] = r.violation();
  if (const auto fits = ColumnFits(r, bank)) out["template_digest_right"] = *fits;
  if (const evidence::ContextEntry* c = group ? nullptr : filter.ContextOf(r.index, 0))
    out["context"] = ContextJson(*c);
  if (!group) return out;
  out.erase("buf");
  out["entries"] = json::array();
  std::uint32_t sub = 0;
  for (const ima::InnerRecord& i : *group) {
    const auto [inner, entry] = ima::OpenInner(r, i);
    if (filter.Keeps(inner, sub, entry)) {
      out["entries"].push_back(EntryJson(inner, entry));
      out["entries"].back()["violation"] = inner.violation();
      if (const evidence::ContextEntry* c = filter.ContextOf(r.index, sub))
        out["entries"].back()["context"] = ContextJson(*c);
    }
    ++sub;
  }
  return out["entries"].empty() ? std::nullopt : std::optional(out);
}

class Table {
 public:
  Table(const ShowOptions& o, const Session& session, HashAlg bank, const LogFilter& filter)
      : filter_(filter),
        digits_(o.full ? std::string::npos : kShortDigest),
        full_(o.full),
        colour_(session.colour),
        bank_(bank) {}

  void Print(const ima::RecordView& r) const {
    const Result<ima::Entry> e = ima::Decode(r);
    const auto group = e ? Group(r, *e) : std::nullopt;
    if (group) {
      PrintGroup(r, e, *group);
      return;
    }
    if (!filter_.Keeps(r, 0, e)) return;
    PrintRecord(r, e);
    if (!full_ || !e) return;
    for (const ima::Field& f : e->fields) {
      if (!IsDigestOrName(f.id) && !f.value.empty()) fmt::print("           {} {}\n", f.id, FullText(f));
    }
  }

 private:
  void PrintRecord(const ima::RecordView& r, const Result<ima::Entry>& e) const {
    std::string remarks;
    if (r.violation()) remarks += Remark("violation");
    if (ColumnFits(r, bank_) == std::optional(false)) remarks += Remark("wrong template hash");
    fmt::print("{:6} {:2}  {}{}{}\n", r.index, r.pcr, EntryText(r, e), remarks, By(r.index, 0));
  }
  // The group's own line stands before those of its entries that are kept.
  void PrintGroup(const ima::RecordView& r, const Result<ima::Entry>& e,
                  const std::vector<ima::InnerRecord>& group) const {
    bool begun = false;
    std::uint32_t sub = 0;
    for (const ima::InnerRecord& i : group) {
      const auto [inner, entry] = ima::OpenInner(r, i);
      if (filter_.Keeps(inner, sub, entry)) {
        if (!begun) PrintRecord(r, e);
        begun = true;
        fmt::print("           {}{}{}\n", EntryText(inner, entry),
                   inner.violation() ? Remark("violation") : "", By(r.index, sub));
      }
      ++sub;
    }
  }
  std::string By(std::uint64_t record, std::uint32_t sub) const {
    const evidence::ContextEntry* c = filter_.ContextOf(record, sub);
    if (c == nullptr) return "";
    const std::optional<evidence::Container> in = evidence::ContainerIn(c->cgroup);
    return fmt::format("  {} by {} (pid {}, uid {}{}) at {}", Printable(c->hook), Printable(c->comm), c->pid,
                       c->uid, in ? ", " + Printable(in->Text()) : "", TimeText(c->time_ms));
  }
  std::string Remark(std::string_view text) const {
    return fmt::format("  {}[{}]{}", colour_ ? "\x1b[31m" : "", text, colour_ ? "\x1b[0m" : "");
  }
  std::string EntryText(const ima::RecordView& r, const Result<ima::Entry>& e) const {
    const std::string name = Printable(r.template_name);
    if (appraise::IsWithheld(r)) return fmt::format("{} {}", name, Hex(r.template_digest).substr(0, digits_));
    if (!e) return fmt::format("{:8} {}{}", name, Hex(r.data).substr(0, digits_), Remark("can't be decoded"));
    const std::string digest = e->file_digest ? DigestText(*e->file_digest, digits_) : "-";
    std::string text = fmt::format("{:8} {:25} {}", name, Printable(digest), Printable(e->path));
    if (e->file_digest && !HashFromName(e->file_digest->alg_name)) text += Remark("unknown algorithm");
    return text;
  }
  // The full text of a field. A buffer is often readable text.
  static std::string FullText(const ima::Field& f) {
    const std::string_view text = AsText(f.value);
    if (f.id == "buf" && Printable(text) == text) return std::string(text);
    return Printable(ima::FieldText(f));
  }

  const LogFilter& filter_;
  std::size_t digits_;
  bool full_;
  bool colour_;
  HashAlg bank_;
};

// The lists that this machine may have, the best first.
constexpr const char* kLists[] = {"/run/assay/binary_runtime_measurements_sha256", "/run/assayd/list/list",
                                  "/sys/kernel/security/ima/binary_runtime_measurements"};
constexpr const char* kJournal = "/run/assayd/list/journal";

struct Source {
  std::string list, journal;  // journal: empty if no file says which process loaded what
};
Result<Source> SourceOf(const ShowOptions& o) {
  if (!o.file.empty()) return Source{o.file, o.context};
  for (const std::string list : kLists) {
    if (access(list.c_str(), R_OK) != 0) continue;
    const bool own = list.starts_with("/run/") && access(kJournal, R_OK) == 0;
    return Source{list, !o.context.empty() ? o.context : own ? kJournal : ""};
  }
  return Fail(StateError(CommandError::kNoList, "this machine has no measurement list that can be read"));
}

}  // namespace

Result<int> ShowLog(const ShowOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::optional<HashAlg> bank, ParseOptionalBank(o.bank));
  ASSAY_ASSIGN(const Source source, SourceOf(o));
  ASSAY_ASSIGN(const LogFilter filter, LogFilter::Of(o, source.journal, NowMs()));
  ASSAY_ASSIGN(const ListFile file, ListFile::Read(source.list, bank));
  ima::ListReader reader(file.list(), file.bank());
  const Table table(o, session, file.bank(), filter);
  bool first = true;
  // The records are written one by one, because a document of a million records would not fit into memory.
  if (session.json)
    fmt::print("{{\"time\":\"{}\",\"bank\":\"{}\",\"records\":[", TimeText(NowMs()), HashName(file.bank()));
  while (true) {
    Result<std::optional<ima::RecordView>> record = reader.Next();
    if (!record && session.json) {
      const json error = {{"code", record.error().code()}, {"message", record.error().Message()}};
      fmt::print("\n],\"error\":{}}}\n", DumpJson(error));
      fmt::print(stderr, "assay: {}\n", record.error().Message());
      return kExitError;
    }
    if (!record) return Fail(record.error());
    if (!*record) break;
    if (session.json) {
      const std::optional<json> shown = RecordJson(**record, file.bank(), filter);
      if (shown) fmt::print("{}\n{}", std::exchange(first, false) ? "" : ",", DumpJson(*shown));
    } else {
      table.Print(**record);
    }
  }
  if (session.json) fmt::print("\n]}}\n");
  if (file.not_imas() > 0)
    fmt::print(stderr, "{} records of the log are not IMA's: assay boot show\n", file.not_imas());
  return kExitOk;
}

}  // namespace assay::cli
