#include "attest/inner.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "attest/errors.h"
#include "base/descriptors.h"

namespace assay::attest {
namespace {

constexpr std::string_view kRequestMagic = "ANQ1", kIdentifyMagic = "ANI1", kActivateMagic = "ANE1",
                           kAnswerMagic = "ANA1", kReportMagic = "ANR1", kSetupMagic = "ANS1";
constexpr std::size_t kMaxBanks = 8;
constexpr std::uint32_t kAllPcrs = 0xFFFFFF;
constexpr std::uint8_t kWantList = 1, kWantContext = 2, kWantEventLog = 4, kWantAll = 7;
constexpr std::size_t kMaxPem = 1 << 20;
constexpr std::size_t kMaxReportText = kNetReportMax - 10;

Result<> TakeMagic(Reader& r, std::string_view magic) {
  ASSAY_ASSIGN(const ByteView found, r.Take(magic.size(), "magic"));
  if (AsText(found) != magic) return Fail(r.BadAt(0, "another kind of message"));
  return {};
}

Result<> Done(const Reader& r) {
  if (!r.done()) return Fail(r.Bad("bytes after the message"));
  return {};
}

}  // namespace

// "ANQ1" | fingerprint[32] | exporter[32] | nonce[32] | u64 first_record | u8 want | u8 banks |
// 8 x (u16 bank | u32 PCRs), where unused ones are zero
// "ANI1" | fingerprint[32] | exporter[32] | u8 device
// "ANE1" | fingerprint[32] | exporter[32] | nonce[32] | u16 n | credential[n] | u16 m | secret[m] | u8 device
Bytes EncodeNetRequest(const NetRequest& q) {
  Writer w;
  if (const auto* i = std::get_if<evidence::Identify>(&q.question))
    return w.Put(kIdentifyMagic).Put(q.fingerprint.view()).Put(q.exporter).U8(i->device ? 1 : 0).Take();
  if (const auto* a = std::get_if<evidence::Activate>(&q.question)) {
    w.Put(kActivateMagic).Put(q.fingerprint.view()).Put(q.exporter).Put(a->nonce.view());
    w.U16Be(static_cast<std::uint16_t>(a->credential.size())).Put(a->credential);
    return w.U16Be(static_cast<std::uint16_t>(a->secret.size())).Put(a->secret).U8(a->device ? 1 : 0).Take();
  }
  const auto& c = std::get<evidence::Challenge>(q.question);
  w.Put(kRequestMagic).Put(q.fingerprint.view()).Put(q.exporter).Put(c.nonce.view()).U64Be(c.first_record);
  w.U8(static_cast<std::uint8_t>((c.want_list ? kWantList : 0) | (c.want_context ? kWantContext : 0) |
                                 (c.want_event_log ? kWantEventLog : 0)));
  w.U8(static_cast<std::uint8_t>(c.selection.size()));
  for (std::size_t i = 0; i < kMaxBanks; ++i) {
    std::uint32_t mask = 0;
    if (i < c.selection.size())
      for (const std::uint32_t pcr : c.selection[i].pcrs) mask |= 1U << pcr;
    w.U16Be(i < c.selection.size() ? c.selection[i].bank : 0).U32Be(mask);
  }
  return w.Take();
}

namespace {

// The part of "ANQ1" after the exporter.
Result<evidence::Challenge> TakeChallenge(Reader& r) {
  evidence::Challenge c;
  ASSAY_ASSIGN(const ByteView nonce, r.Take(evidence::kNonceSize, "nonce"));
  ASSAY_ASSIGN(c.nonce, evidence::Nonce::Of(nonce));
  ASSAY_ASSIGN(c.first_record, r.U64Be("first record"));
  ASSAY_ASSIGN(const std::uint8_t want, r.U8("want"));
  if ((want & ~kWantAll) != 0) return Fail(r.BadAt(r.offset() - 1, "want: unknown bits"));
  c.want_list = (want & kWantList) != 0;
  c.want_context = (want & kWantContext) != 0;
  c.want_event_log = (want & kWantEventLog) != 0;
  ASSAY_ASSIGN(const std::uint8_t banks, r.U8("banks"));
  if (banks > kMaxBanks) return Fail(r.BadAt(r.offset() - 1, "too many banks"));
  for (std::size_t i = 0; i < kMaxBanks; ++i) {
    const std::uint64_t at = r.offset();
    ASSAY_ASSIGN(const std::uint16_t alg, r.U16Be("bank"));
    ASSAY_ASSIGN(const std::uint32_t mask, r.U32Be("PCRs"));
    if (i >= banks) {
      if (alg != 0 || mask != 0) return Fail(r.BadAt(at, "a bank beyond the number of banks"));
      continue;
    }
    if (!HashFromTpmAlg(alg)) return Fail(r.BadAt(at, "unknown bank"));
    if (mask == 0 || (mask & ~kAllPcrs) != 0) return Fail(r.BadAt(at + 2, "PCRs are not within 0 to 23"));
    for (const tpm::BankSelection& other : c.selection)
      if (other.bank == alg) return Fail(r.BadAt(at, "a bank named twice"));
    tpm::BankSelection bank{.bank = alg, .pcrs = {}};
    for (std::uint32_t pcr = 0; pcr < 24; ++pcr)
      if ((mask >> pcr & 1U) != 0) bank.pcrs.push_back(pcr);
    c.selection.push_back(std::move(bank));
  }
  return c;
}

Result<Bytes> TakeSized(Reader& r, std::size_t max, std::string_view what) {
  ASSAY_ASSIGN(const std::uint16_t size, r.U16Be(what));
  if (size == 0 || size > max) return Fail(r.BadAt(r.offset() - 2, what));
  ASSAY_ASSIGN(const ByteView bytes, r.Take(size, what));
  return ToBytes(bytes);
}

Result<bool> TakeFlag(Reader& r, std::string_view what) {
  ASSAY_ASSIGN(const std::uint8_t flag, r.U8(what));
  if (flag > 1) return Fail(r.BadAt(r.offset() - 1, std::string(what) + ": neither yes nor no"));
  return flag == 1;
}

// The part of "ANE1" after the exporter.
Result<evidence::Activate> TakeActivate(Reader& r) {
  evidence::Activate a;
  ASSAY_ASSIGN(const ByteView nonce, r.Take(evidence::kNonceSize, "nonce"));
  ASSAY_ASSIGN(a.nonce, evidence::Nonce::Of(nonce));
  ASSAY_ASSIGN(a.credential, TakeSized(r, tpm::kMaxCredential, "credential"));
  ASSAY_ASSIGN(a.secret, TakeSized(r, tpm::kMaxEncryptedSecret, "secret"));
  ASSAY_ASSIGN(a.device, TakeFlag(r, "device"));
  return a;
}

}  // namespace

Result<NetRequest> ParseNetRequest(ByteView packet) {
  Reader r(packet, "net-request");
  ASSAY_ASSIGN(const ByteView magic, r.Take(kRequestMagic.size(), "magic"));
  NetRequest q;
  ASSAY_ASSIGN(const ByteView fingerprint, r.Take(Fingerprint::kSize, "fingerprint"));
  ASSAY_ASSIGN(q.fingerprint, Fingerprint::Of(fingerprint));
  ASSAY_ASSIGN(const ByteView exporter, r.Take(q.exporter.size(), "exporter"));
  std::copy(exporter.begin(), exporter.end(), q.exporter.begin());
  if (AsText(magic) == kRequestMagic) {
    ASSAY_ASSIGN(q.question, TakeChallenge(r));
  } else if (AsText(magic) == kActivateMagic) {
    ASSAY_ASSIGN(q.question, TakeActivate(r));
  } else if (AsText(magic) == kIdentifyMagic) {
    ASSAY_ASSIGN(const bool device, TakeFlag(r, "device"));
    q.question = evidence::Identify{.device = device};
  } else {
    return Fail(r.BadAt(0, "another kind of message"));
  }
  ASSAY_TRY(Done(r));
  return q;
}

Bytes EncodeNetAnswer(std::uint64_t total) { return Writer().Put(kAnswerMagic).U64Be(total).Take(); }

Result<std::uint64_t> ParseNetAnswer(ByteView packet) {
  Reader r(packet, "net-answer");
  ASSAY_TRY(TakeMagic(r, kAnswerMagic));
  ASSAY_ASSIGN(const std::uint64_t total, r.U64Be("total"));
  if (total > evidence::kMaxEvidence) return Fail(r.BadAt(4, "longer than a message may be"));
  ASSAY_TRY(Done(r));
  return total;
}

// "ANR1" | u8 ready | u32 Landlock ABI | u8 length | text
Bytes EncodeNetReport(const NetReport& report) {
  const std::string text = report.text.substr(0, kMaxReportText);
  return Writer()
      .Put(kReportMagic)
      .U8(report.ready ? 1 : 0)
      .U32Be(report.landlock_abi)
      .U8(static_cast<std::uint8_t>(text.size()))
      .Put(text)
      .Take();
}

Result<NetReport> ParseNetReport(ByteView packet) {
  Reader r(packet, "net-report");
  ASSAY_TRY(TakeMagic(r, kReportMagic));
  NetReport report;
  ASSAY_ASSIGN(report.ready, TakeFlag(r, "ready"));
  ASSAY_ASSIGN(report.landlock_abi, r.U32Be("Landlock ABI"));
  ASSAY_ASSIGN(const std::uint8_t size, r.U8("text size"));
  if (size > kMaxReportText) return Fail(r.BadAt(r.offset() - 1, "text too long"));
  ASSAY_ASSIGN(const ByteView text, r.Take(size, "text"));
  ASSAY_TRY(Done(r));
  report.text = AsText(text);
  return report;
}

// "ANS1" | u32 parent | u32 uid | u32 gid | u32 slots | u32 timeout in ms | u32 length | certificate |
// u32 length | key
Bytes EncodeNetSetup(const NetSetup& s) {
  Writer w;
  w.Put(kSetupMagic).U32Be(s.parent).U32Be(s.uid).U32Be(s.gid).U32Be(s.slots).U32Be(s.timeout_ms);
  for (const std::string& pem : {s.certificate_pem, s.key_pem})
    w.U32Be(static_cast<std::uint32_t>(pem.size())).Put(pem);
  return w.Take();
}

Result<NetSetup> ParseNetSetup(ByteView bytes) {
  Reader r(bytes, "net-setup");
  ASSAY_TRY(TakeMagic(r, kSetupMagic));
  NetSetup s;
  ASSAY_ASSIGN(s.parent, r.U32Be("parent"));
  ASSAY_ASSIGN(s.uid, r.U32Be("uid"));
  ASSAY_ASSIGN(s.gid, r.U32Be("gid"));
  ASSAY_ASSIGN(s.slots, r.U32Be("slots"));
  if (s.slots == 0 || s.slots > kMaxSlots) return Fail(r.BadAt(r.offset() - 4, "slots"));
  ASSAY_ASSIGN(s.timeout_ms, r.U32Be("timeout"));
  for (std::string* pem : {&s.certificate_pem, &s.key_pem}) {
    ASSAY_ASSIGN(const std::uint32_t size, r.U32Be("size"));
    if (size > kMaxPem) return Fail(r.BadAt(r.offset() - 4, "too large"));
    ASSAY_ASSIGN(const ByteView text, r.Take(size, "PEM"));
    *pem = AsText(text);
  }
  ASSAY_TRY(Done(r));
  return s;
}

Result<> SendPacket(int fd, ByteView packet) {
  while (send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) < 0) {
    if (errno == EPIPE || errno == ECONNRESET)
      return Fail(StateError(NetError::kClosed, "the other process has closed the socket"));
    if (errno != EINTR) return Fail(OsError("send", "", errno));
  }
  return {};
}

Result<Bytes> ReceivePacket(int fd, std::size_t max) {
  Bytes packet(max + 1);
  ssize_t n = 0;
  while ((n = recv(fd, packet.data(), packet.size(), 0)) < 0) {
    if (errno == ECONNRESET) break;
    if (errno != EINTR) return Fail(OsError("recv", "", errno));
  }
  if (n <= 0) return Fail(StateError(NetError::kClosed, "the other process has closed the socket"));
  if (static_cast<std::size_t>(n) > max) return Fail(ParseError("packet", max, "too long"));
  packet.resize(static_cast<std::size_t>(n));
  return packet;
}

Result<> SendDescriptors(int to, std::span<const int> fds) {
  if (fds.empty() || fds.size() > kMaxDescriptors)
    return Fail(UsageError(std::to_string(fds.size()) + " descriptors do not fit into a packet"));
  constexpr std::array<std::uint8_t, 1> kByte{};
  return SendWithDescriptors(to, kByte, fds);
}

Result<std::vector<UniqueFd>> ReceiveDescriptors(int from) {
  std::array<std::uint8_t, 1> byte{};
  ASSAY_ASSIGN(ReceivedMessage received, ReceiveWithDescriptors(from, byte, kMaxDescriptors));
  if (received.size == 0) return Fail(StateError(NetError::kClosed, "the other side is gone"));
  if (received.cut)
    return Fail(ParseError("net-descriptors", kMaxDescriptors, "more than fit into a packet"));
  return std::move(received.fds);
}

}  // namespace assay::attest
