#include "boot/event_log.h"

#include <algorithm>

#include "boot/cel.h"

namespace assay::boot {
namespace {

constexpr std::string_view kFormat = "event-log";
constexpr std::string_view kSpecId = "Spec ID Event", kSpecId03("Spec ID Event03\0", 16);
constexpr std::size_t kSignature = 16;
constexpr std::size_t kSha1Size = 20;
constexpr std::uint32_t kMaxAlgorithms = 16;  // of a TPM; the kernel's bound is 8

bool AllBytes(ByteView b, std::uint8_t byte) {
  return std::all_of(b.begin(), b.end(), [byte](std::uint8_t v) { return v == byte; });
}

// Called at the start of an event: the padding, if the rest of the log is nothing else.
std::optional<Padding> PaddingAt(const Reader& r) {
  const ByteView rest = r.rest();
  if (rest.empty() || !AllBytes(rest, rest[0]) || (rest[0] != 0 && rest[0] != 0xFF)) return std::nullopt;
  return Padding{r.offset(), rest.size(), rest[0]};
}

// TCG_PCClientPCREvent.
Result<Event> Tcg12Event(Reader& r) {
  Event e;
  const ByteView rest = r.rest();
  e.offset = r.offset();
  ASSAY_ASSIGN(e.index, r.U32Le("register index"));
  ASSAY_ASSIGN(e.type, r.U32Le("event type"));
  ASSAY_ASSIGN(const ByteView digest, r.Take(kSha1Size, "digest"));
  e.digests.push_back({static_cast<std::uint16_t>(HashAlg::kSha1), digest});
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("event size"));
  ASSAY_ASSIGN(e.data, r.Take(size, "event data"));
  e.raw = rest.first(static_cast<std::size_t>(r.offset() - e.offset));
  return e;
}

// TCG_PCR_EVENT2.
Result<Event> CryptoAgileEvent(Reader& r, const std::vector<AlgorithmSize>& algorithms) {
  Event e;
  const ByteView rest = r.rest();
  e.offset = r.offset();
  ASSAY_ASSIGN(e.index, r.U32Le("register index"));
  ASSAY_ASSIGN(e.type, r.U32Le("event type"));
  ASSAY_ASSIGN(const std::uint32_t count, r.U32Le("number of digests"));
  if (count > algorithms.size()) return Fail(r.BadAt(r.offset() - 4, "more digests than the log has banks"));
  for (std::uint32_t i = 0; i < count; ++i) {
    ASSAY_ASSIGN(const std::uint16_t alg, r.U16Le("digest algorithm"));
    const auto known = std::find_if(algorithms.begin(), algorithms.end(),
                                    [alg](const AlgorithmSize& a) { return a.alg == alg; });
    if (known == algorithms.end())
      return Fail(r.BadAt(r.offset() - 2, "digest of a bank the log does not have"));
    if (std::any_of(e.digests.begin(), e.digests.end(), [alg](const LogDigest& d) { return d.alg == alg; }))
      return Fail(r.BadAt(r.offset() - 2, "two digests of one bank in one event"));
    ASSAY_ASSIGN(const ByteView digest, r.Take(known->size, "digest"));
    e.digests.push_back({alg, digest});
  }
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("event size"));
  ASSAY_ASSIGN(e.data, r.Take(size, "event data"));
  e.raw = rest.first(static_cast<std::size_t>(r.offset() - e.offset));
  return e;
}

Registers GuessRegisters(const EventLog& log) {
  const auto only = log.algorithms.size() == 1 ? HashFromTpmAlg(log.algorithms[0].alg) : std::nullopt;
  if (only != HashAlg::kSha384 && only != HashAlg::kSm3_256) return Registers::kPcr;
  bool any = false;
  for (const Event& e : log.events) {
    if (!e.measured()) continue;
    if (e.index >= kCcRegisterCount) return Registers::kPcr;
    any = true;
  }
  return any ? Registers::kCc : Registers::kPcr;
}

Result<EventLog> ParseTcg(ByteView data, const ParseOptions& options) {
  EventLog log;
  Reader r(data, kFormat);
  if (PaddingAt(r)) return Fail(r.Bad("no event, only padding"));
  Reader peek(data, kFormat);
  ASSAY_ASSIGN(const std::uint32_t index, peek.U32Le("register index"));
  if (index >= kPcrCount) return Fail(r.BadAt(0, "not an event log: no such register"));
  ASSAY_ASSIGN(Event first, Tcg12Event(r));
  log.format = Format::kTcg12;
  log.algorithms = {{static_cast<std::uint16_t>(HashAlg::kSha1), kSha1Size}};
  const std::uint64_t data_offset = r.offset() - first.data.size();
  const bool header = first.type == kNoAction && AsText(first.data).starts_with(kSpecId);
  const bool agile = header && AsText(first.data).starts_with(kSpecId03) && options.format != Format::kTcg12;
  if (!agile && options.format == Format::kCryptoAgile)
    return Fail(r.BadAt(0, "not a crypto-agile log: it has no Spec ID header"));
  auto spec_id = header ? ParseSpecId(first.data, data_offset) : Result<SpecId>(SpecId());
  if (agile) {
    if (!spec_id) return Fail(spec_id.error());
    log.format = Format::kCryptoAgile;
    log.algorithms = spec_id->algorithms;
  }
  // An older header does not change how the rest is parsed. A malformed one is reported with its event.
  if (header && spec_id) log.spec_id = std::move(*spec_id);
  log.events.push_back(std::move(first));
  while (!r.done()) {
    log.padding = PaddingAt(r);
    if (log.padding) break;
    auto event = log.format == Format::kTcg12 ? Tcg12Event(r) : CryptoAgileEvent(r, log.algorithms);
    if (!event) return Fail(event.error());
    event->number = log.events.size();
    log.events.push_back(std::move(*event));
  }
  log.registers = options.registers ? *options.registers : GuessRegisters(log);
  return log;
}

}  // namespace

const LogDigest* Event::Find(HashAlg alg) const {
  for (const LogDigest& d : digests) {
    if (d.alg == static_cast<std::uint16_t>(alg)) return &d;
  }
  return nullptr;
}

std::vector<HashAlg> EventLog::Banks() const {
  std::vector<HashAlg> banks;
  for (const AlgorithmSize& a : algorithms) {
    const auto alg = HashFromTpmAlg(a.alg);
    if (alg && CanReplay(*alg)) banks.push_back(*alg);
  }
  return banks;
}

std::optional<HashAlg> EventLog::DefaultBank() const {
  const std::vector<HashAlg> banks = Banks();
  for (HashAlg alg :
       {HashAlg::kSha256, HashAlg::kSha512, HashAlg::kSha384, HashAlg::kSm3_256, HashAlg::kSha1}) {
    if (std::find(banks.begin(), banks.end(), alg) != banks.end()) return alg;
  }
  return std::nullopt;
}

Result<SpecId> ParseSpecId(ByteView event_data, std::uint64_t offset) {
  Reader r(event_data, kFormat, offset);
  SpecId id;
  ASSAY_ASSIGN(const ByteView signature, r.Take(kSignature, "Spec ID signature"));
  const std::string_view text = AsText(signature);
  id.signature = std::string(text.substr(0, text.find('\0')));
  if (id.signature != "Spec ID Event00" && id.signature != "Spec ID Event02" &&
      id.signature != "Spec ID Event03")
    return Fail(r.BadAt(offset, "Spec ID signature"));
  ASSAY_ASSIGN(id.platform_class, r.U32Le("platform class"));
  ASSAY_ASSIGN(id.version_minor, r.U8("specification version"));
  ASSAY_ASSIGN(id.version_major, r.U8("specification version"));
  ASSAY_ASSIGN(id.errata, r.U8("specification errata"));
  ASSAY_ASSIGN(id.uintn_size, r.U8("size of UINTN"));
  if (id.signature == "Spec ID Event03") {
    ASSAY_ASSIGN(const std::uint32_t count, r.U32Le("number of algorithms"));
    if (count == 0 || count > kMaxAlgorithms) return Fail(r.BadAt(r.offset() - 4, "number of algorithms"));
    for (std::uint32_t i = 0; i < count; ++i) {
      AlgorithmSize a;
      const std::uint64_t at = r.offset();
      ASSAY_ASSIGN(a.alg, r.U16Le("algorithm"));
      ASSAY_ASSIGN(a.size, r.U16Le("digest size"));
      const auto alg = HashFromTpmAlg(a.alg);
      if (a.size == 0 || (alg && a.size != DigestSize(*alg)))
        return Fail(r.BadAt(at + 2, "digest size of an algorithm"));
      for (const AlgorithmSize& other : id.algorithms) {
        if (other.alg == a.alg) return Fail(r.BadAt(at, "algorithm listed twice"));
      }
      id.algorithms.push_back(a);
    }
  }
  ASSAY_ASSIGN(const std::uint8_t vendor_size, r.U8("vendor info size"));
  ASSAY_ASSIGN(id.vendor_info, r.Take(vendor_size, "vendor info"));
  if (!AllBytes(r.rest(), 0)) return Fail(r.Bad("bytes after the vendor info"));
  return id;
}

Result<EventLog> ParseEventLog(ByteView data, const ParseOptions& options) {
  if (data.empty()) return Fail(ParseError(std::string(kFormat), 0, "empty"));
  if (data.size() > kMaxLog)
    return Fail(ParseError(std::string(kFormat), kMaxLog, "larger than any event log"));
  const bool cel = options.format ? *options.format == Format::kCelTlv : LooksLikeCel(data);
  return cel ? ParseCel(data, options) : ParseTcg(data, options);
}

Bytes EncodeEvent(Format format, const Event& event, bool first) {
  if (format == Format::kCelTlv) return EncodeCelEvent(event);
  Writer w;
  w.U32Le(event.index).U32Le(event.type);
  if (format == Format::kTcg12 || first) {
    const LogDigest* digest = event.Find(HashAlg::kSha1);
    w.Put(digest != nullptr ? digest->bytes : ByteView(Digest::Filled(HashAlg::kSha1, 0).view()));
  } else {
    w.U32Le(static_cast<std::uint32_t>(event.digests.size()));
    for (const LogDigest& d : event.digests) w.U16Le(d.alg).Put(d.bytes);
  }
  w.U32Le(static_cast<std::uint32_t>(event.data.size())).Put(event.data);
  return w.Take();
}

Bytes EncodeSpecId(const std::vector<AlgorithmSize>& algorithms) {
  constexpr std::uint8_t kMinor = 0, kMajor = 2, kErrata = 0, kUint64 = 2;
  Writer w;
  w.Put("Spec ID Event03").U8(0).U32Le(0).U8(kMinor).U8(kMajor).U8(kErrata).U8(kUint64);
  w.U32Le(static_cast<std::uint32_t>(algorithms.size()));
  for (const AlgorithmSize& a : algorithms) w.U16Le(a.alg).U16Le(a.size);
  w.U8(0);
  return w.Take();
}

}  // namespace assay::boot
