#include "boot/cel.h"

#include <algorithm>
#include <map>

namespace assay::boot {
namespace {

constexpr std::string_view kFormat = "cel";
constexpr std::uint8_t kRecordNumber = 0, kDigests = 3;
constexpr std::uint8_t kEventType = 0, kEventData = 1;         // inside kCelPcClientStd
constexpr std::size_t kHeader = 5;                             // type and length
constexpr std::size_t kMaxRecordNumber = 8, kMaxRegister = 4;  // bytes

struct Tlv {
  std::uint8_t type = 0;
  ByteView value;
  ByteView raw;
  std::uint64_t offset = 0;  // of the type
};

Result<Tlv> TakeTlv(Reader& r, std::string_view what) {
  Tlv tlv;
  const ByteView rest = r.rest();
  tlv.offset = r.offset();
  ASSAY_ASSIGN(tlv.type, r.U8(what));
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Be(what));
  ASSAY_ASSIGN(tlv.value, r.Take(size, what));
  tlv.raw = rest.first(kHeader + size);
  return tlv;
}

bool IsRegisterType(std::uint8_t type) {
  return type == kCelPcr || type == kCelNvIndex || type == kCelCcRegister;
}

// Tools write integers with as many bytes as the value needs, with four, or with eight.
Result<std::uint64_t> Number(const Reader& r, const Tlv& tlv, std::size_t max, std::string_view what) {
  if (tlv.value.empty() || tlv.value.size() > max) return Fail(r.BadAt(tlv.offset + 1, what));
  std::uint64_t v = 0;
  for (std::uint8_t b : tlv.value) v = v << 8 | b;
  return v;
}

Result<> TakeDigests(const Tlv& tlv, Event& e) {
  Reader r(tlv.value, kFormat, tlv.offset + kHeader);
  while (!r.done()) {
    ASSAY_ASSIGN(const Tlv digest, TakeTlv(r, "digest"));
    const auto alg = HashFromTpmAlg(digest.type);
    if (digest.value.empty() || (alg && digest.value.size() != DigestSize(*alg)))
      return Fail(r.BadAt(digest.offset + 1, "digest size"));
    if (std::any_of(e.digests.begin(), e.digests.end(),
                    [&](const LogDigest& d) { return d.alg == digest.type; }))
      return Fail(r.BadAt(digest.offset, "two digests of one bank in one record"));
    e.digests.push_back({digest.type, digest.value});
  }
  return {};
}

Result<> OpenContent(const Tlv& content, Event& e) {
  e.cel->content_type = content.type;
  e.cel->content = content.raw;
  e.type = kNoCelType;
  e.data = content.value;
  if (content.type != kCelPcClientStd) return {};
  Reader r(content.value, kFormat, content.offset + kHeader);
  ASSAY_ASSIGN(const Tlv type, TakeTlv(r, "event type"));
  if (type.type != kEventType) return Fail(r.BadAt(type.offset, "event type"));
  ASSAY_ASSIGN(const std::uint64_t number, Number(r, type, 4, "event type"));
  ASSAY_ASSIGN(const Tlv data, TakeTlv(r, "event data"));
  if (data.type != kEventData) return Fail(r.BadAt(data.offset, "event data"));
  if (!r.done()) return Fail(r.Bad("bytes after the event data"));
  e.type = static_cast<std::uint32_t>(number);
  e.data = data.value;
  return {};
}

Result<Event> TakeRecord(Reader& r) {
  Event e;
  e.cel.emplace();
  const ByteView rest = r.rest();
  e.offset = r.offset();
  ASSAY_ASSIGN(const Tlv number, TakeTlv(r, "record number"));
  if (number.type != kRecordNumber) return Fail(r.BadAt(number.offset, "record number"));
  ASSAY_ASSIGN(e.cel->record, Number(r, number, kMaxRecordNumber, "record number"));
  ASSAY_ASSIGN(const Tlv index, TakeTlv(r, "register"));
  if (!IsRegisterType(index.type)) return Fail(r.BadAt(index.offset, "register"));
  e.cel->register_type = index.type;
  ASSAY_ASSIGN(const std::uint64_t register_index, Number(r, index, kMaxRegister, "register"));
  e.index = static_cast<std::uint32_t>(register_index);
  ASSAY_ASSIGN(const Tlv digests, TakeTlv(r, "digests"));
  if (digests.type != kDigests) return Fail(r.BadAt(digests.offset, "digests"));
  ASSAY_TRY(TakeDigests(digests, e));
  ASSAY_ASSIGN(const Tlv content, TakeTlv(r, "content"));
  ASSAY_TRY(OpenContent(content, e));
  e.raw = rest.first(static_cast<std::size_t>(r.offset() - e.offset));
  return e;
}

// Record numbers: one count for the log, or one for each register. A gap means that records are missing.
class Numbering {
 public:
  bool Follows(std::uint64_t number, std::uint32_t index) {
    const auto [it, is_new] = next_of_.try_emplace(index, number);
    whole_ = whole_ && (total_ == 0 || number == next_);
    each_ = each_ && number == it->second;
    next_ = number + 1;
    it->second = number + 1;
    ++total_;
    return whole_ || each_;
  }

 private:
  std::map<std::uint32_t, std::uint64_t> next_of_;
  std::uint64_t next_ = 0, total_ = 0;
  bool whole_ = true, each_ = true;
};

}  // namespace

// A TCG log may begin with the same bytes (PCR 0, EV_SEPARATOR or EV_S_CRTM_VERSION), so the next two fields
// are checked too: there a TCG log has a digest, which would have to have chosen bytes.
bool LooksLikeCel(ByteView data) {
  Reader r(data, kFormat);
  const auto number = TakeTlv(r, "");
  if (!number || number->type != kRecordNumber || number->value.empty() ||
      number->value.size() > kMaxRecordNumber)
    return false;
  const auto index = TakeTlv(r, "");
  if (!index || !IsRegisterType(index->type) || index->value.empty() || index->value.size() > kMaxRegister)
    return false;
  const auto digests = TakeTlv(r, "");
  return digests && digests->type == kDigests;
}

Result<EventLog> ParseCel(ByteView data, const ParseOptions& options) {
  EventLog log;
  log.format = Format::kCelTlv;
  Reader r(data, kFormat);
  Numbering numbering;
  while (!r.done()) {
    const ByteView rest = r.rest();
    if (!log.events.empty() && (rest[0] == 0 || rest[0] == 0xFF) &&
        std::all_of(rest.begin(), rest.end(), [&](std::uint8_t b) { return b == rest[0]; })) {
      log.padding = Padding{r.offset(), rest.size(), rest[0]};
      break;
    }
    ASSAY_ASSIGN(Event e, TakeRecord(r));
    if (!log.events.empty() && log.events[0].cel->register_type != e.cel->register_type)
      return Fail(r.BadAt(e.offset, "registers of two kinds in one log"));
    if (!numbering.Follows(e.cel->record, e.index))
      return Fail(r.BadAt(e.offset, "record number out of order"));
    e.number = log.events.size();
    // The digest of an event that is not extended belongs to no bank: a copied Spec ID header has a SHA-1
    // digest.
    for (const LogDigest& d : e.measured() ? e.digests : std::vector<LogDigest>()) {
      const auto same = [&](const AlgorithmSize& a) { return a.alg == d.alg; };
      if (std::none_of(log.algorithms.begin(), log.algorithms.end(), same))
        log.algorithms.push_back({d.alg, static_cast<std::uint16_t>(d.bytes.size())});
    }
    log.events.push_back(std::move(e));
  }
  const std::uint8_t register_type = log.events[0].cel->register_type;
  if (register_type == kCelNvIndex) return Fail(r.BadAt(0, "the log is of NV indexes"));
  const Registers own = register_type == kCelCcRegister ? Registers::kCc : Registers::kPcr;
  log.registers = options.registers.value_or(own);
  return log;
}

Bytes EncodeCelEvent(const Event& event) {
  constexpr std::size_t kNumberSize = 8;
  const CelFields cel = event.cel.value_or(CelFields{event.number, kCelPcr, kCelPcClientStd, {}});
  Writer digests;
  for (const LogDigest& d : event.digests)
    digests.U8(static_cast<std::uint8_t>(d.alg))
        .U32Be(static_cast<std::uint32_t>(d.bytes.size()))
        .Put(d.bytes);
  Writer content;
  if (cel.content_type == kCelPcClientStd) {
    content.U8(kEventType).U32Be(4).U32Be(event.type);
    content.U8(kEventData).U32Be(static_cast<std::uint32_t>(event.data.size())).Put(event.data);
  } else {
    content.Put(event.data);
  }
  Writer w;
  w.U8(kRecordNumber).U32Be(kNumberSize).U64Be(cel.record);
  w.U8(cel.register_type).U32Be(1).U8(static_cast<std::uint8_t>(event.index));
  w.U8(kDigests).U32Be(static_cast<std::uint32_t>(digests.bytes().size())).Put(digests.bytes());
  w.U8(cel.content_type).U32Be(static_cast<std::uint32_t>(content.bytes().size())).Put(content.bytes());
  return w.Take();
}

}  // namespace assay::boot
