#include "evidence/evidence.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/name_table.h"
#include "base/text.h"

namespace assay::evidence {
namespace {

using nlohmann::json;
constexpr std::size_t kMaxClaims = 1 << 20;
constexpr std::size_t kMaxLine = 4096;
constexpr std::size_t kMaxCheckpoints = 1024;

constexpr auto kLevels =
    Names<Level>({{Level::kQuote, "quote"}, {Level::kList, "list"}, {Level::kFull, "full"}});

}  // namespace

Bytes Qualifying(ByteView nonce, const Binding& binding, ByteView claims, ByteView context) {
  Writer w;
  w.Put("assay-challenge-v1").U8(0).Put(nonce);
  w.U16Be(static_cast<std::uint16_t>(binding.type.size())).Put(binding.type);
  w.U16Be(static_cast<std::uint16_t>(binding.value.size())).Put(binding.value);
  w.Put(Hash(HashAlg::kSha256, claims).view()).Put(Hash(HashAlg::kSha256, context).view());
  return ToBytes(Hash(HashAlg::kSha256, w.bytes()).view());
}

Bytes RunStatement(ByteView attest) { return Writer().Put("assay-run-v1").U8(0).Put(attest).Take(); }

std::string_view LevelName(Level level) { return kLevels.Of(level); }
Result<Level> ParseLevel(std::string_view name) { return kLevels.Parse(name, "level"); }

Bytes EncodeClaims(const Claims& c) {
  json pcrs = json::array();
  for (const auto& [bank, values] : c.pcrs) {
    json list = json::array();
    for (const auto& [index, value] : values) list.push_back({{"pcr", index}, {"value", Hex(value)}});
    pcrs.push_back({{"bank", bank}, {"values", list}});
  }
  json checkpoints = json::array();
  for (const auto& [records, value] : c.checkpoints)
    checkpoints.push_back({{"records", records}, {"value", Hex(value)}});
  json engine = {{"name", PrintableAscii(c.engine)}, {"state", PrintableAscii(c.engine_state)}};
  if (!c.kernel_policy.empty()) engine["kernel_policy"] = PrintableAscii(c.kernel_policy);
  const json j = {
      {"version", PrintableAscii(c.version)},
      {"hostname", PrintableAscii(c.hostname)},
      {"boot_id", PrintableAscii(c.boot_id)},
      {"started_ms", c.started_ms},
      {"pcr", c.pcr},
      {"list_bank", HashName(c.list_bank)},
      {"first_record", c.first_record},
      {"list_count", c.list_count},
      {"overflow", c.overflow},
      {"violations", c.violations},
      {"gaps", c.gaps},
      {"engine", engine},
      {"challenge",
       {{"nonce", Hex(c.nonce)}, {"binding", {{"type", c.binding.type}, {"value", Hex(c.binding.value)}}}}},
      {"tpm",
       {{"manufacturer", PrintableAscii(c.tpm_manufacturer)},
        {"vendor", PrintableAscii(c.tpm_vendor)},
        {"firmware", PrintableAscii(c.tpm_firmware)},
        {"software", c.tpm_software}}},
      {"level", LevelName(c.level)},
      {"pcrs", pcrs},
      {"checkpoints", checkpoints}};
  return ToBytes(AsBytes(j.dump()));
}

namespace {

Result<Bytes> HexMember(const JsonValue& v, std::string_view key) {
  ASSAY_ASSIGN(const std::string text, v.Str(key));
  return FromHex(text);
}

Result<std::uint32_t> U32Member(const JsonValue& v, std::string_view key) {
  ASSAY_ASSIGN(const std::uint64_t n, v.U64(key));
  if (n > 0xFFFFFFFF) return Fail(ParseError("claims", 0, std::string(key) + ": too large"));
  return static_cast<std::uint32_t>(n);
}

Result<> ParsePcrs(const JsonValue& root, Claims& c) {
  ASSAY_ASSIGN(const JsonValue pcrs, root.Array("pcrs"));
  return pcrs.Each([&](const JsonValue& bank) -> Result<> {
    ASSAY_TRY(bank.OnlyKeys({"bank", "values"}));
    ASSAY_ASSIGN(const std::uint32_t alg, U32Member(bank, "bank"));
    ASSAY_ASSIGN(const JsonValue values, bank.Array("values"));
    if (alg > 0xFFFF || c.pcrs.size() >= 16) return Fail(ParseError("claims", 0, "banks"));
    c.pcrs.emplace_back(static_cast<std::uint16_t>(alg), std::vector<std::pair<std::uint32_t, Bytes>>{});
    return values.Each([&](const JsonValue& value) -> Result<> {
      ASSAY_TRY(value.OnlyKeys({"pcr", "value"}));
      ASSAY_ASSIGN(const std::uint32_t index, U32Member(value, "pcr"));
      ASSAY_ASSIGN(Bytes bytes, HexMember(value, "value"));
      if (c.pcrs.back().second.size() >= 32) return Fail(ParseError("claims", 0, "too many PCRs"));
      c.pcrs.back().second.emplace_back(index, std::move(bytes));
      return {};
    });
  });
}

}  // namespace

Result<Claims> ParseClaims(ByteView bytes) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(bytes), "claims", kMaxClaims));
  const JsonValue root = doc.root();
  ASSAY_TRY(root.OnlyKeys({"version", "hostname", "boot_id", "started_ms", "pcr", "list_bank", "first_record",
                           "list_count", "overflow", "violations", "gaps", "engine", "challenge", "tpm",
                           "level", "pcrs", "checkpoints"}));
  Claims c;
  ASSAY_ASSIGN(c.version, root.Str("version"));
  ASSAY_ASSIGN(c.hostname, root.Str("hostname"));
  ASSAY_ASSIGN(c.boot_id, root.Str("boot_id"));
  ASSAY_ASSIGN(c.started_ms, root.U64("started_ms"));
  ASSAY_ASSIGN(c.pcr, U32Member(root, "pcr"));
  ASSAY_ASSIGN(const std::string bank, root.Str("list_bank"));
  const auto alg = HashFromName(bank);
  if (!alg || !CanHash(*alg))
    return Fail(ParseError("claims", 0, "/list_bank: not a bank that can be replayed"));
  c.list_bank = *alg;
  ASSAY_ASSIGN(c.first_record, root.U64("first_record"));
  ASSAY_ASSIGN(c.list_count, root.U64("list_count"));
  ASSAY_ASSIGN(c.overflow, root.U64("overflow"));
  ASSAY_ASSIGN(c.violations, root.U64("violations"));
  ASSAY_ASSIGN(c.gaps, root.U64("gaps"));
  ASSAY_ASSIGN(const JsonValue engine, root.Object("engine"));
  ASSAY_TRY(engine.OnlyKeys({"name", "state", "kernel_policy"}));
  ASSAY_ASSIGN(c.engine, engine.Str("name"));
  ASSAY_ASSIGN(c.engine_state, engine.Str("state"));
  if (engine.Has("kernel_policy")) {
    ASSAY_ASSIGN(c.kernel_policy, engine.Str("kernel_policy"));
  }
  ASSAY_ASSIGN(const JsonValue challenge, root.Object("challenge"));
  ASSAY_TRY(challenge.OnlyKeys({"nonce", "binding"}));
  ASSAY_ASSIGN(c.nonce, HexMember(challenge, "nonce"));
  ASSAY_ASSIGN(const JsonValue binding, challenge.Object("binding"));
  ASSAY_TRY(binding.OnlyKeys({"type", "value"}));
  ASSAY_ASSIGN(c.binding.type, binding.Str("type"));
  ASSAY_ASSIGN(c.binding.value, HexMember(binding, "value"));
  ASSAY_ASSIGN(const JsonValue tpm, root.Object("tpm"));
  ASSAY_TRY(tpm.OnlyKeys({"manufacturer", "vendor", "firmware", "software"}));
  ASSAY_ASSIGN(c.tpm_manufacturer, tpm.Str("manufacturer"));
  ASSAY_ASSIGN(c.tpm_vendor, tpm.Str("vendor"));
  ASSAY_ASSIGN(c.tpm_firmware, tpm.Str("firmware"));
  ASSAY_ASSIGN(c.tpm_software, tpm.Bool("software"));
  ASSAY_ASSIGN(const std::string level, root.Str("level"));
  ASSAY_ASSIGN(c.level, ParseLevel(level));
  ASSAY_TRY(ParsePcrs(root, c));
  ASSAY_ASSIGN(const JsonValue checkpoints, root.Array("checkpoints"));
  ASSAY_TRY(checkpoints.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_TRY(v.OnlyKeys({"records", "value"}));
    ASSAY_ASSIGN(const std::uint64_t records, v.U64("records"));
    ASSAY_ASSIGN(Bytes value, HexMember(v, "value"));
    if (c.checkpoints.size() >= kMaxCheckpoints) return Fail(ParseError("claims", 0, "too many checkpoints"));
    c.checkpoints.emplace_back(records, std::move(value));
    return {};
  }));
  return c;
}

Bytes EncodeContextLine(const ContextEntry& e) {
  json j = {{"i", e.index},
            {"s", e.sub},
            {"t", e.time_ms},
            {"p", e.pid},
            {"u", e.uid},
            {"c", PrintableAscii(e.comm)},
            {"h", PrintableAscii(e.hook)}};
  if (!e.cgroup.empty()) j["g"] = PrintableAscii(e.cgroup);
  return ToBytes(AsBytes(j.dump() + "\n"));
}

Result<std::vector<ContextEntry>> ParseContext(ByteView lines) {
  std::vector<ContextEntry> out;
  const std::string_view text = AsText(lines);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return Fail(ParseError("context", at, "the last line has no newline"));
    if (end - at > kMaxLine) return Fail(ParseError("context", at, "line too long"));
    auto parse = [&]() -> Result<ContextEntry> {
      ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text.substr(at, end - at), "context", kMaxLine));
      const JsonValue root = doc.root();
      ASSAY_TRY(root.OnlyKeys({"i", "s", "t", "p", "u", "c", "h", "g"}));
      ContextEntry e;
      ASSAY_ASSIGN(e.index, root.U64("i"));
      ASSAY_ASSIGN(e.sub, U32Member(root, "s"));
      ASSAY_ASSIGN(e.time_ms, root.U64("t"));
      ASSAY_ASSIGN(e.pid, U32Member(root, "p"));
      ASSAY_ASSIGN(e.uid, U32Member(root, "u"));
      ASSAY_ASSIGN(e.comm, root.Str("c"));
      ASSAY_ASSIGN(e.hook, root.Str("h"));
      if (root.Has("g")) {
        ASSAY_ASSIGN(e.cgroup, root.Str("g"));
      }
      return e;
    };
    Result<ContextEntry> entry = parse();
    if (!entry) {
      const auto* error = entry.error().As<ParseError>();
      return Fail(ParseError("context", at, error != nullptr ? error->what : entry.error().Message()));
    }
    out.push_back(std::move(*entry));
    at = end + 1;
  }
  return out;
}

std::string ContainerOf(std::string_view cgroup) {
  constexpr std::size_t kId = 64;
  static constexpr std::string_view kMachines[] = {"systemd-nspawn@", "machine-", "lxc.payload."};
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  std::string_view rest = cgroup;
  while (!rest.empty()) {
    const std::size_t slash = rest.rfind('/');
    std::string_view part = slash == std::string_view::npos ? rest : rest.substr(slash + 1);
    rest = rest.substr(0, slash == std::string_view::npos ? 0 : slash);
    for (std::size_t at = 0; at < part.size();) {
      std::size_t end = at;
      while (end < part.size() && is_digit(part[end])) ++end;
      if (end - at == kId) return std::string(part.substr(at, kId));
      at = end + 1;
    }
    for (const std::string_view machine : kMachines) {
      if (!part.starts_with(machine)) continue;
      part.remove_prefix(machine.size());
      if (machine.ends_with('.')) return std::string(part);
      return std::string(part.substr(0, part.rfind('.')));
    }
  }
  return "";
}

}  // namespace assay::evidence
