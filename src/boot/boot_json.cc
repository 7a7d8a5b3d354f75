#include "boot/boot_json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/json_members.h"
#include "base/name_table.h"
#include "base/text.h"
#include "boot/story.h"

namespace assay::boot {
namespace {

using nlohmann::json;

std::string BankName(std::uint16_t alg) {
  const auto known = HashFromTpmAlg(alg);
  return known ? std::string(HashName(*known)) : fmt::format("{:#06x}", alg);
}

json Of(const SpecId& id) {
  json algorithms = json::array();
  for (const AlgorithmSize& a : id.algorithms)
    algorithms.push_back({{"name", BankName(a.alg)}, {"id", a.alg}, {"size", a.size}});
  return {{"kind", "spec-id"},
          {"signature", id.signature},
          {"platform_class", id.platform_class},
          {"version", {id.version_major, id.version_minor, id.errata}},
          {"uintn_size", id.uintn_size},
          {"algorithms", algorithms},
          {"vendor_info", Hex(id.vendor_info)}};
}
json Of(const StartupLocality& l) { return {{"kind", "startup-locality"}, {"locality", l.locality}}; }
json Of(const ReferenceManifest& m) {
  return {{"kind", "reference-manifest"},
          {"signature", m.signature},
          {"vendor_id", m.vendor_id},
          {"reference_manifest", m.reference_manifest.ToString()},
          {"platform", {m.platform_manufacturer, m.platform_model, m.platform_version}},
          {"firmware", {m.firmware_manufacturer, m.firmware_version}},
          {"firmware_manufacturer_id", m.firmware_manufacturer_id},
          {"rim_locator_type", m.rim_locator_type},
          {"rim_locator", Hex(m.rim_locator)}};
}
json Of(const HcrtmComponent& c) {
  return {{"kind", "hcrtm-component"},
          {"description", c.description},
          {"format", c.format},
          {"measurement", Hex(c.measurement)}};
}
json Of(const Separator& s) { return {{"kind", "separator"}, {"value", s.value}}; }
json Of(const TaggedEvent& t) {
  return {{"kind", "tagged"},
          {"id", t.id},
          {"name", t.name},
          {"description", t.description},
          {"data", Hex(t.data)}};
}
json Of(const Text& t) {
  return {{"kind", "text"}, {"text", t.text}, {"prefix", t.prefix}, {"utf16", t.utf16}};
}
json Of(const ImageLoad& i) {
  return {{"kind", "image"},
          {"address", i.address},
          {"length", i.length},
          {"link_time_address", i.link_time_address},
          {"device_path", DevicePathText(i.device_path)},
          {"device_path_data", Hex(i.device_path)},
          {"trailing", i.trailing}};
}
json Of(const Gpt& g) {
  json partitions = json::array();
  for (const Partition& p : g.partitions)
    partitions.push_back({{"type", p.type.ToString()},
                          {"type_name", GuidName(p.type)},
                          {"unique", p.unique.ToString()},
                          {"first_lba", p.first_lba},
                          {"last_lba", p.last_lba},
                          {"attributes", p.attributes},
                          {"name", p.name}});
  return {{"kind", "gpt"}, {"disk", g.disk.ToString()}, {"partitions", partitions}};
}
json Of(const FirmwareBlob& b) {
  return {{"kind", "firmware-blob"}, {"description", b.description}, {"base", b.base}, {"length", b.length}};
}
json Of(const HandoffTables& t) {
  json tables = json::array();
  for (const auto& table : t.tables)
    tables.push_back(
        {{"guid", table.guid.ToString()}, {"name", GuidName(table.guid)}, {"address", table.address}});
  return {{"kind", "handoff-tables"}, {"description", t.description}, {"tables", tables}};
}
json Of(const ImaTemplate& t) {
  return {{"kind", "ima-template"}, {"name", t.name}, {"path", t.path}, {"data", Hex(t.data)}};
}
json Of(const std::monostate&) { return nullptr; }

json Of(const Signature& s) {
  json out = {{"type", s.type_name},
              {"owner", s.owner.ToString()},
              {"owner_name", GuidName(s.owner)},
              {"data", Hex(s.data)}};
  if (s.certificate) {
    const Certificate& c = *s.certificate;
    out["certificate"] = {{"subject", c.subject},     {"issuer", c.issuer},
                          {"serial", c.serial},       {"not_before", c.not_before},
                          {"not_after", c.not_after}, {"fingerprint", c.fingerprint.ToString()}};
  }
  return out;
}

struct Meaning {
  json& out;
  void operator()(const std::monostate&) const {}
  void operator()(bool on) const { out["enabled"] = on; }
  void operator()(const SignatureDatabase& db) const {
    out["signatures"] = json::array();
    for (const Signature& s : db.signatures) out["signatures"].push_back(Of(s));
  }
  void operator()(const Signature& s) const { out["authority"] = Of(s); }
  void operator()(const LoadOption& o) const {
    out["load_option"] = {{"attributes", o.attributes},
                          {"description", o.description},
                          {"device_path", DevicePathText(o.device_path)},
                          {"optional_data", Hex(o.optional_data)}};
  }
  void operator()(const BootOrder& order) const { out["order"] = order.entries; }
  void operator()(const std::string& text) const { out["text"] = text; }
};

json Of(const Variable& v) {
  json out = {{"kind", "variable"}, {"guid", v.guid.ToString()}, {"guid_name", GuidName(v.guid)},
              {"name", v.name},     {"value", Hex(v.value)},     {"trailing", v.trailing}};
  if (!v.fault.empty()) out["fault"] = v.fault;
  std::visit(Meaning{out}, v.meaning);
  return out;
}

// A string with JSON's quotes and escapes. Most strings need no escape.
std::string Quoted(std::string_view text) {
  const bool plain = IsPrintableAscii(text) && text.find_first_of("\"\\") == std::string_view::npos;
  if (!plain) return DumpJson(json(text));
  std::string out;
  out.reserve(text.size() + 2);
  out += '"';
  out += text;
  out += '"';
  return out;
}

// Written without a JSON value in memory, because there may be a hundred thousand of them.
std::string BodyLine(const Decoded& decoded) {
  if (const auto* t = std::get_if<Text>(&decoded.body))
    return fmt::format(R"({{"kind":"text","prefix":{},"text":{},"utf16":{}}})", Quoted(t->prefix),
                       Quoted(t->text), t->utf16);
  return DumpJson(std::visit([](const auto& body) { return Of(body); }, decoded.body));
}

// Also written without a JSON value: every event of the log has one, with ten members.
std::string EventLine(const Examined& x, std::size_t i) {
  const Event& e = x.event(i);
  const Proof& proof = x.proofs[i];
  const Decoded& decoded = x.decoded[i];
  std::string digests;
  for (const LogDigest& d : e.digests)
    digests += fmt::format("{}\"{}\":\"{}\"", digests.empty() ? "" : ",", BankName(d.alg), Hex(d.bytes));
  std::string out = fmt::format(
      R"({{"number":{},"offset":{},"index":{},"register":{},"type":"{}","type_id":{},"digests":{{{}}},)",
      e.number, e.offset, e.index,
      e.measured() ? "\"" + RegisterName(x.log->registers, e.index) + "\"" : std::string("null"),
      e.type == kNoCelType ? fmt::format("cel-content-{}", e.cel->content_type) : EventTypeName(e.type),
      e.type, digests);
  out += fmt::format(R"("size":{},"data":"{}","proof":{{"grade":"{}","how":{},"covered":{}}},"decoded":)",
                     e.data.size(), Hex(e.data), GradeName(proof.grade), Quoted(proof.how),
                     proof.covered.size());
  out += BodyLine(decoded);
  if (!decoded.fault.empty()) out += ",\"fault\":" + Quoted(decoded.fault);
  if (!decoded.trailing.empty()) out += ",\"trailing\":\"" + Hex(decoded.trailing) + "\"";
  if (e.cel) out += fmt::format(",\"record\":{}", e.cel->record);
  return out + "}";
}

json Of(const Problem& p) {
  return {{"name", p.name}, {"severity", SeverityName(p.severity)}, {"text", p.text}, {"events", p.events}};
}
json Of(const std::vector<Problem>& problems) {
  json out = json::array();
  for (const Problem& p : problems) out.push_back(Of(p));
  return out;
}

std::string StoryText(const StoryLine& line) {
  std::string details;
  for (const std::string& d : line.details) details += (details.empty() ? "" : ",") + Quoted(d);
  std::string out =
      fmt::format(R"({{"topic":{},"text":{},"grade":"{}","reason":{},"events":[{}])", Quoted(line.topic),
                  Quoted(line.text), GradeName(line.grade), Quoted(line.reason), fmt::join(line.events, ","));
  if (!line.details.empty()) out += ",\"details\":[" + details + "]";
  if (!line.digest.empty()) out += ",\"digest\":" + Quoted(line.digest);
  return out + "}";
}

// Writes one object, member after member.
class Document {
 public:
  explicit Document(std::FILE* out) : out_(out) {}
  void Member(std::string_view name, const json& value) {
    Name(name);
    Put(DumpJson(value));
  }
  // line(i): returns element i on one line.
  template <typename F>
  void Array(std::string_view name, std::size_t size, F line) {
    Name(name);
    Put("[");
    for (std::size_t i = 0; i < size; ++i) {
      Put(i == 0 ? "\n  " : ",\n  ");
      Put(line(i));
    }
    Put("]");
  }
  // each(element): calls element(line) for each element.
  template <typename F>
  void Stream(std::string_view name, F each) {
    Name(name);
    Put("[");
    bool first = true;
    each([&](std::string_view line) {
      Put(first ? "\n  " : ",\n  ");
      Put(line);
      first = false;
    });
    Put("]");
  }
  void End() { Put("\n}\n"); }

 private:
  void Name(std::string_view name) {
    Put(first_ ? "{\n \"" : ",\n \"");
    first_ = false;
    Put(name);
    Put("\": ");
  }
  void Put(std::string_view text) { std::fwrite(text.data(), 1, text.size(), out_); }
  std::FILE* out_;
  bool first_ = true;
};

json OfReplay(const Replayed& replayed) {
  json out = json::object();
  for (const auto& [bank, registers] : replayed.banks) {
    json values = json::object();
    for (const auto& [index, r] : registers)
      values[std::to_string(index)] = r.no_value.empty() ? json(r.value.hex()) : json(nullptr);
    out[std::string(HashName(bank))] = std::move(values);
  }
  return out;
}

json OfAggregates(const Replayed& replayed) {
  json out = json::object();
  for (const auto& [bank, registers] : replayed.banks) {
    std::map<std::uint32_t, Digest> values;
    for (std::uint32_t i = 0; i < kPcrCount; ++i) {
      if (const auto value = replayed.Value(bank, i)) values.emplace(i, *value);
    }
    json list = json::array();
    for (const Digest& d : BootAggregates(bank, values)) list.push_back(d.hex());
    out[std::string(HashName(bank))] = std::move(list);
  }
  return out;
}

constexpr auto kRegisters = Names<Registers>({{Registers::kPcr, "pcr"}, {Registers::kCc, "cc"}});
constexpr JsonText kRegistersText{[](Registers r) { return kRegisters.Of(r); },
                                  [](std::string_view name) { return kRegisters.Find(name); }};
constexpr JsonText kBank{HashName, HashFromName};
constexpr std::uint8_t kMaxLocality = 4;

constexpr auto kExpectedEvent = [](auto& visit, auto& e) {
  visit("index", e.index);
  visit("type", e.type);
  visit("digest", e.digest);
  visit("label", e.label);
};
constexpr auto kOpenRegister = [](auto& visit, auto& r) {
  visit("index", r.index);
  visit("reason", r.reason);
};
json Of(const std::vector<OpenRegister>& open) {
  json list = json::array();
  for (const OpenRegister& r : open) list.push_back(WriteMembers(kOpenRegister, r));
  return list;
}
constexpr auto kExpectedBoot = [](auto& visit, auto& b) {
  visit.Constant("assay_boot", std::uint64_t{2});
  visit("bank", b.bank, kBank);
  visit("registers", b.registers, kRegistersText);
  visit("startup_locality", b.startup_locality);
  visit("events", b.events, JsonList{kExpectedEvent, JsonDoc::kMaxSize});
  visit("open", b.open, JsonList{kOpenRegister, JsonDoc::kMaxSize});
};

}  // namespace

void WriteBootJson(const EventLog& log, const Examined& x, std::FILE* out, std::string_view time) {
  const Replayed replayed = Replay(log);
  json algorithms = json::array();
  for (const AlgorithmSize& a : log.algorithms)
    algorithms.push_back({{"name", BankName(a.alg)}, {"id", a.alg}, {"size", a.size}});
  Document document(out);
  if (!time.empty()) document.Member("time", time);
  document.Member("format", FormatName(log.format));
  document.Member("registers", kRegisters.Of(log.registers));
  document.Member("bank", HashName(x.bank));
  document.Member("algorithms", algorithms);
  json padding;
  if (log.padding)
    padding = {{"offset", log.padding->offset}, {"size", log.padding->size}, {"byte", log.padding->byte}};
  document.Member("padding", padding);
  if (log.registers == Registers::kPcr) {
    document.Member("startup_locality", replayed.startup_locality);
    document.Member("boot_aggregate", OfAggregates(replayed));
  }
  document.Member("replay", OfReplay(replayed));
  document.Array("events", x.size(), [&](std::size_t i) { return EventLine(x, i); });
  const std::vector<Problem> problems = Check(x);
  document.Array("problems", problems.size(), [&](std::size_t i) { return DumpJson(Of(problems[i])); });
  document.Stream("story", [&](const auto& element) {
    TellBoot(x, [&](const StoryLine& line) { element(StoryText(line)); });
  });
  document.End();
}

std::string ComparisonJson(const std::vector<Comparison>& comparisons,
                           const std::vector<LeftOutValue>& not_compared,
                           const std::vector<Problem>& problems, std::string_view outcome) {
  json list = json::array();
  for (const Comparison& c : comparisons) {
    list.push_back({{"bank", BankName(c.bank)},
                    {"index", c.index},
                    {"given", c.given.hex()},
                    {"replayed", c.replayed ? json(c.replayed->hex()) : json(nullptr)},
                    {"outcome", OutcomeName(c.outcome)},
                    {"reason", c.reason}});
    for (const Digest& d : c.missing_exit) list.back()["missing_exit"].push_back(d.hex());
  }
  json left_out = json::array();
  for (const LeftOutValue& n : not_compared)
    left_out.push_back({{"bank", BankName(n.bank)}, {"index", n.index}, {"reason", n.reason}});
  return DumpJson(
      json{{"outcome", outcome}, {"registers", list}, {"not_compared", left_out}, {"problems", Of(problems)}},
      1);
}

std::string ExpectedJson(const ExpectedBoot& expected) {
  return DumpJson(WriteMembers(kExpectedBoot, expected), 1);
}

Result<ExpectedBoot> ExpectedFromJson(std::string_view text) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "assay-boot"));
  ExpectedBoot out;
  ASSAY_TRY(ReadMembers(kExpectedBoot, doc.root(), out));
  if (out.startup_locality > kMaxLocality)
    return Fail(ParseError("assay-boot", 0, "/startup_locality: there are none but 0 to 4"));
  return out;
}

std::string DiffJson(std::string_view nearest, const std::vector<BootDifference>& differences,
                     const std::vector<OpenRegister>& not_compared) {
  json list = json::array();
  for (const BootDifference& d : differences) {
    json one = WriteMembers(kExpectedEvent, d.event);
    one["change"] = d.added ? "added" : "removed";
    list.push_back(std::move(one));
  }
  return DumpJson(json{{"same", differences.empty()},
                       {"nearest", nearest},
                       {"differences", list},
                       {"not_compared", Of(not_compared)}},
                  1);
}

}  // namespace assay::boot
