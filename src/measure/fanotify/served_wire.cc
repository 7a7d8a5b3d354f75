#include "measure/fanotify/served_wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/errors.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxText = std::size_t{64} << 10;
constexpr std::size_t kMaxItems = 1024;
constexpr std::uint32_t kViolations = static_cast<std::uint32_t>(Violation::kHooksSilent) + 1;

constexpr std::array kStats{&EngineStats::events,       &EngineStats::measured,    &EngineStats::clean,
                            &EngineStats::not_code,     &EngineStats::violations,  &EngineStats::expired,
                            &EngineStats::errors,       &EngineStats::queue_depth, &EngineStats::stalls,
                            &EngineStats::bytes_hashed, &EngineStats::refused,     &EngineStats::unrecorded,
                            &EngineStats::unasked,      &EngineStats::lost,        &EngineStats::held,
                            &EngineStats::hanging,      &EngineStats::untold};

void PutText(Writer& w, std::string_view text) {
  text = text.substr(0, kMaxText);
  w.U32Le(static_cast<std::uint32_t>(text.size())).Put(text);
}

Result<std::string> TakeText(Reader& r) {
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("size"));
  if (size > kMaxText) return Fail(r.Bad("a text is too long"));
  ASSAY_ASSIGN(const ByteView text, r.Take(size, "text"));
  return std::string(AsText(text));
}

Result<bool> TakeFlag(Reader& r) {
  ASSAY_ASSIGN(const std::uint8_t value, r.U8("flag"));
  if (value > 1) return Fail(r.Bad("a flag is neither 0 nor 1"));
  return value == 1;
}

Result<std::uint32_t> TakeCount(Reader& r) {
  ASSAY_ASSIGN(const std::uint32_t count, r.U32Le("count"));
  if (count > kMaxItems) return Fail(r.Bad("too many items"));
  return count;
}

Result<> End(const Reader& r) {
  if (!r.done()) return Fail(r.Bad("more than was expected"));
  return {};
}

void PutContext(Writer& w, const Context& c) {
  w.U64Le(c.time_ms).U32Le(static_cast<std::uint32_t>(c.pid)).U32Le(c.uid).U8(c.late ? 1 : 0);
  for (const std::string* text : {&c.comm, &c.hook, &c.cgroup, &c.program, &c.script, &c.under})
    PutText(w, *text);
}

Result<Context> TakeContext(Reader& r) {
  Context c;
  ASSAY_ASSIGN(c.time_ms, r.U64Le("time"));
  ASSAY_ASSIGN(const std::uint32_t pid, r.U32Le("pid"));
  c.pid = static_cast<pid_t>(pid);
  ASSAY_ASSIGN(c.uid, r.U32Le("uid"));
  ASSAY_ASSIGN(c.late, TakeFlag(r));
  for (std::string* text : {&c.comm, &c.hook, &c.cgroup, &c.program, &c.script, &c.under}) {
    ASSAY_ASSIGN(*text, TakeText(r));
  }
  return c;
}

void PutDigest(Writer& w, const Digest& digest) {
  w.U8(static_cast<std::uint8_t>(digest.size())).Put(digest.view());
}

// Empty: none was sent.
Result<Digest> TakeDigest(Reader& r, HashAlg alg) {
  ASSAY_ASSIGN(const std::uint8_t size, r.U8("digest size"));
  ASSAY_ASSIGN(const ByteView digest, r.Take(size, "digest"));
  if (size == 0) return Digest();
  return Digest::Of(alg, digest);
}

}  // namespace

Bytes Encode(const ServedSetup& setup) {
  Writer w;
  PutText(w, setup.point);
  w.U64Le(setup.device).U8(setup.filesystem ? 1 : 0).U16Le(static_cast<std::uint16_t>(setup.bank));
  PutText(w, setup.policy);
  w.U8(static_cast<std::uint8_t>(setup.appraise));
  w.U32Le(static_cast<std::uint32_t>(setup.extensions.size()));
  for (const std::string& extension : setup.extensions) PutText(w, extension);
  w.U64Le(setup.initramfs_device);
  const HeldLimits& l = setup.limits;
  w.U32Le(l.workers).U64Le(static_cast<std::uint64_t>(l.deadline.count()));
  w.U8(l.expiry == Expiry::kRefuse ? 1 : 0).U64Le(static_cast<std::uint64_t>(l.record_grace.count()));
  w.U32Le(static_cast<std::uint32_t>(l.exempt.size()));
  for (const pid_t pid : l.exempt) w.U32Le(static_cast<std::uint32_t>(pid));
  return w.Take();
}

Result<ServedSetup> ParseServedSetup(ByteView packet) {
  Reader r(packet, "served");
  ServedSetup setup;
  ASSAY_ASSIGN(setup.point, TakeText(r));
  ASSAY_ASSIGN(setup.device, r.U64Le("device"));
  ASSAY_ASSIGN(setup.filesystem, TakeFlag(r));
  ASSAY_ASSIGN(const std::uint16_t bank, r.U16Le("bank"));
  const std::optional<HashAlg> known = HashFromTpmAlg(bank);
  if (!known || !CanHash(*known)) return Fail(r.Bad("no such bank"));
  setup.bank = *known;
  ASSAY_ASSIGN(setup.policy, TakeText(r));
  ASSAY_ASSIGN(const std::uint8_t appraise, r.U8("appraise"));
  if (appraise > static_cast<std::uint8_t>(Appraise::kEnforce)) return Fail(r.Bad("appraise"));
  setup.appraise = static_cast<Appraise>(appraise);
  ASSAY_ASSIGN(const std::uint32_t extensions, TakeCount(r));
  for (std::uint32_t i = 0; i < extensions; ++i) {
    ASSAY_ASSIGN(std::string extension, TakeText(r));
    setup.extensions.push_back(std::move(extension));
  }
  ASSAY_ASSIGN(setup.initramfs_device, r.U64Le("initramfs"));
  HeldLimits& l = setup.limits;
  ASSAY_ASSIGN(l.workers, r.U32Le("workers"));
  ASSAY_ASSIGN(const std::uint64_t deadline, r.U64Le("deadline"));
  l.deadline = std::chrono::milliseconds(deadline);
  ASSAY_ASSIGN(const bool refuse, TakeFlag(r));
  l.expiry = refuse ? Expiry::kRefuse : Expiry::kAllow;
  ASSAY_ASSIGN(const std::uint64_t grace, r.U64Le("grace"));
  l.record_grace = std::chrono::milliseconds(grace);
  ASSAY_ASSIGN(const std::uint32_t exempt, TakeCount(r));
  for (std::uint32_t i = 0; i < exempt; ++i) {
    ASSAY_ASSIGN(const std::uint32_t pid, r.U32Le("pid"));
    l.exempt.insert(static_cast<pid_t>(pid));
  }
  ASSAY_TRY(End(r));
  return setup;
}

Bytes Encode(const SinkCall& call) {
  Writer w;
  w.U8(static_cast<std::uint8_t>(call.kind)).U8(call.flag ? 1 : 0);
  w.U32Le(static_cast<std::uint32_t>(call.violation));
  PutDigest(w, call.digest);
  PutDigest(w, call.code);
  PutText(w, call.path);
  PutContext(w, call.context);
  return w.Take();
}

Result<SinkCall> ParseSinkCall(ByteView packet, HashAlg bank) {
  Reader r(packet, "served");
  SinkCall call;
  ASSAY_ASSIGN(const std::uint8_t kind, r.U8("kind"));
  if (kind < 1 || kind > static_cast<std::uint8_t>(SinkCall::Kind::kRefused)) return Fail(r.Bad("kind"));
  call.kind = static_cast<SinkCall::Kind>(kind);
  ASSAY_ASSIGN(call.flag, TakeFlag(r));
  ASSAY_ASSIGN(const std::uint32_t violation, r.U32Le("violation"));
  if (violation >= kViolations) return Fail(r.Bad("no such violation"));
  call.violation = static_cast<Violation>(violation);
  ASSAY_ASSIGN(call.digest, TakeDigest(r, bank));
  ASSAY_ASSIGN(call.code, TakeDigest(r, HashAlg::kSha256));
  const bool needed = call.kind == SinkCall::Kind::kRecord || call.kind == SinkCall::Kind::kKnown;
  if (needed && call.digest.size() == 0) return Fail(r.Bad("no digest"));
  ASSAY_ASSIGN(call.path, TakeText(r));
  ASSAY_ASSIGN(call.context, TakeContext(r));
  ASSAY_TRY(End(r));
  return call;
}

Bytes Encode(const SinkReply& reply) {
  Writer w;
  w.U8(reply.ok ? 1 : 0).U8(reply.yes ? 1 : 0).U64Le(reply.index);
  PutText(w, reply.code);
  PutText(w, reply.what);
  return w.Take();
}

Result<SinkReply> ParseSinkReply(ByteView packet) {
  Reader r(packet, "served");
  SinkReply reply;
  ASSAY_ASSIGN(reply.ok, TakeFlag(r));
  ASSAY_ASSIGN(reply.yes, TakeFlag(r));
  ASSAY_ASSIGN(reply.index, r.U64Le("index"));
  ASSAY_ASSIGN(reply.code, TakeText(r));
  ASSAY_ASSIGN(reply.what, TakeText(r));
  ASSAY_TRY(End(r));
  return reply;
}

Bytes Encode(const ServedReport& report) {
  Writer w;
  w.U8(report.started ? 1 : 0);
  PutText(w, report.code);
  PutText(w, report.what);
  for (const auto member : kStats) w.U64Le(report.stats.*member);
  return w.Take();
}

Result<ServedReport> ParseServedReport(ByteView packet) {
  Reader r(packet, "served");
  ServedReport report;
  ASSAY_ASSIGN(report.started, TakeFlag(r));
  ASSAY_ASSIGN(report.code, TakeText(r));
  ASSAY_ASSIGN(report.what, TakeText(r));
  for (const auto member : kStats) {
    ASSAY_ASSIGN(report.stats.*member, r.U64Le("count"));
  }
  ASSAY_TRY(End(r));
  return report;
}

void AddTo(EngineStats& sum, const EngineStats& stats) {
  for (const auto member : kStats) sum.*member += stats.*member;
}

Result<> SendPacketTo(int socket, ByteView packet, int flags) {
  while (true) {
    const ssize_t n = send(socket, packet.data(), packet.size(), flags | MSG_NOSIGNAL);
    if (n == static_cast<ssize_t>(packet.size())) return {};
    if (n >= 0 || errno != EINTR) return Fail(OsError("send", "served", n < 0 ? errno : EMSGSIZE));
  }
}

Result<Bytes> ReceivePacketFrom(int socket) {
  Bytes packet(kMaxServedPacket);
  while (true) {
    const ssize_t n = recv(socket, packet.data(), packet.size(), MSG_TRUNC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(OsError("recv", "served", errno));
    if (n == 0) return Fail(StateError(IoError::kEof, "the other side has ended"));
    if (static_cast<std::size_t>(n) > packet.size()) return Fail(ParseError("served", 0, "too long"));
    packet.resize(static_cast<std::size_t>(n));
    return packet;
  }
}

}  // namespace assay::measure
