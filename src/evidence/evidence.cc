#include "evidence/evidence.h"

#include "base/json_members.h"
#include "base/name_table.h"
#include "evidence/container.h"

namespace assay::evidence {
namespace {

constexpr std::size_t kMaxLine = 4096;
constexpr std::size_t kMaxCheckpoints = 1024;
constexpr std::size_t kMaxPcrs = 32;  // of a bank

constexpr auto kLevels =
    Names<Level>({{Level::kQuote, "quote"}, {Level::kList, "list"}, {Level::kFull, "full"}});

constexpr JsonText kLevel{LevelName, ParseLevel};

constexpr JsonText kListBank{HashName, [](std::string_view name) -> Result<HashAlg> {
                               const std::optional<HashAlg> alg = HashFromName(name);
                               if (!alg || !CanHash(*alg))
                                 return Fail(UsageError("not a bank that can be replayed"));
                               return *alg;
                             }};

// The value of a PCR, whose bank is told elsewhere.
auto DigestIn(HashAlg bank) {
  return JsonText{[](const Digest& value) { return value.hex(); },
                  [bank](std::string_view text) -> Result<Digest> {
                    ASSAY_ASSIGN(const Bytes bytes, FromHex(text));
                    return Digest::Of(bank, bytes);
                  }};
}

struct PcrValue {
  std::uint32_t pcr = 0;
  Digest value;
};
struct BankValues {
  std::uint16_t bank = 0;
  std::vector<PcrValue> values;
};
auto PcrValueMembers(HashAlg bank) {
  return [bank](auto& visit, auto& v) {
    visit("pcr", v.pcr);
    visit("value", v.value, DigestIn(bank));
  };
}
constexpr auto kBankValues = [](auto& visit, auto& v) {
  visit("bank", v.bank);
  // What a bank's values are is known by its name: of an unknown one there can be none.
  const std::optional<HashAlg> alg = HashFromTpmAlg(v.bank);
  visit("values", v.values, JsonList{PcrValueMembers(alg.value_or(HashAlg::kSha256)), alg ? kMaxPcrs : 0});
};
constexpr JsonForm kPcrValues{[](const tpm::PcrValues& banks) {
                                nlohmann::json list = nlohmann::json::array();
                                for (const auto& [bank, values] : banks) {
                                  BankValues one{bank, {}};
                                  for (const auto& [pcr, value] : values) one.values.push_back({pcr, value});
                                  list.push_back(WriteMembers(kBankValues, one));
                                }
                                return list;
                              },
                              [](const JsonValue& list) -> Result<tpm::PcrValues> {
                                tpm::PcrValues banks;
                                ASSAY_TRY(list.Each([&](const JsonValue& v) -> Result<> {
                                  BankValues one;
                                  ASSAY_TRY(ReadMembers(kBankValues, v, one));
                                  if (banks.contains(one.bank))
                                    return Fail(v.Bad("a bank that is named twice"));
                                  auto& values = banks[one.bank];
                                  for (const PcrValue& value : one.values)
                                    if (!values.emplace(value.pcr, value.value).second)
                                      return Fail(v.Bad("a PCR that is named twice"));
                                  return {};
                                }));
                                return banks;
                              }};

auto CheckpointMembers(const HashAlg& bank) {
  return [&bank](auto& visit, auto& point) {
    visit("records", point.records);
    visit("value", point.value, DigestIn(bank));
  };
}

// list_bank stands before what is told in it.
constexpr auto kClaims = [](auto& visit, auto& c) {
  visit("version", c.version);
  visit("hostname", c.hostname);
  visit("boot_id", c.boot_id);
  visit("started_ms", c.started_ms);
  visit("pcr", c.pcr);
  visit("list_bank", c.list_bank, kListBank);
  visit("first_record", c.first_record);
  visit("list_count", c.list_count);
  visit("overflow", c.overflow);
  visit("violations", c.violations);
  visit("gaps", c.gaps);
  visit.Optional("recorder", c.recorder);
  visit.Optional("tpm_reset", c.tpm_reset);
  visit.Object("engine", [&](auto& engine) {
    engine("name", c.engine);
    engine("state", c.engine_state);
    engine.Optional("kernel_policy", c.kernel_policy);
  });
  visit.Object("challenge", [&](auto& challenge) {
    challenge("nonce", c.nonce);
    challenge("binding", c.binding, kBindingMembers);
  });
  visit.Object("tpm", [&](auto& tpm) {
    tpm("manufacturer", c.tpm_manufacturer);
    tpm("vendor", c.tpm_vendor);
    tpm("firmware", c.tpm_firmware);
    tpm("software", c.tpm_software);
  });
  visit("level", c.level, kLevel);
  visit("pcrs", c.pcrs, kPcrValues);
  visit("checkpoints", c.checkpoints, JsonList{CheckpointMembers(c.list_bank), kMaxCheckpoints});
};

constexpr auto kContextLine = [](auto& visit, auto& e) {
  visit("i", e.index);
  visit("s", e.sub);
  visit("t", e.time_ms);
  visit("p", e.pid);
  visit("u", e.uid);
  visit("c", e.comm);
  visit("h", e.hook);
  visit.Optional("g", e.cgroup);
  visit.Optional("x", e.program);
  visit.Optional("r", e.script);
  visit.Optional("a", e.under);
};

}  // namespace

Bytes Qualifying(const Nonce& nonce, const Binding& binding, ByteView claims, ByteView context) {
  return Qualifying(nonce, binding, claims, Hash(HashAlg::kSha256, context));
}

Bytes Qualifying(const Nonce& nonce, const Binding& binding, ByteView claims, const Digest& context) {
  Writer w;
  w.Put("assay-challenge-v1").U8(0).Put(nonce.view());
  w.U16Be(static_cast<std::uint16_t>(binding.type.size())).Put(binding.type);
  w.U16Be(static_cast<std::uint16_t>(binding.value.size())).Put(binding.value);
  w.Put(Hash(HashAlg::kSha256, claims).view()).Put(context.view());
  return ToBytes(Hash(HashAlg::kSha256, w.bytes()).view());
}

Bytes RunStatement(ByteView attest) { return Writer().Put("assay-run-v1").U8(0).Put(attest).Take(); }

std::string_view LevelName(Level level) { return kLevels.Of(level); }
Result<Level> ParseLevel(std::string_view name) { return kLevels.Parse(name, "level"); }

Bytes EncodeClaims(const Claims& c) {
  return ToBytes(AsBytes(DumpJson(WriteMembers(kClaims, c, JsonStrings::kAscii))));
}

Result<Claims> ParseClaims(ByteView bytes) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(bytes), "claims", kMaxClaims));
  Claims c;
  ASSAY_TRY(ReadMembers(kClaims, doc.root(), c));
  return c;
}

Bytes EncodeContextLine(const ContextEntry& e) {
  return ToBytes(AsBytes(DumpJson(WriteMembers(kContextLine, e, JsonStrings::kAscii)) + "\n"));
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
      ContextEntry e;
      ASSAY_TRY(ReadMembers(kContextLine, doc.root(), e));
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
  const std::optional<Container> container = ContainerIn(cgroup);
  return container ? container->id : "";
}

}  // namespace assay::evidence
