#include "attest/message.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace assay::attest {
namespace {

using nlohmann::json;
constexpr std::string_view kMagic = "ASY1";
constexpr std::size_t kPrefix = 8;
constexpr std::size_t kMaxRefusal = 1024;  // characters of its sentence

struct Part {
  const char* name;
  Bytes Evidence::* bytes;
  std::size_t max;
};
constexpr Part kParts[] = {
    {"attest", &Evidence::attest, 4096},       {"signature", &Evidence::signature, 4096},
    {"ak_public", &Evidence::ak_public, 4096}, {"ek_public", &Evidence::ek_public, 4096},
    {"claims", &Evidence::claims, 1 << 20},    {"context", &Evidence::context, kMaxContextPart},
    {"list", &Evidence::list, kMaxListPart},   {"event_log", &Evidence::event_log, kMaxEventLogPart},
};

template <typename Json>
Bytes Frame(const Json& header) {
  const std::string text = header.dump();
  return Writer().Put(kMagic).U32Be(static_cast<std::uint32_t>(text.size())).Put(text).Take();
}

struct Head {
  JsonDoc doc;
  std::size_t end = 0;  // offset of the first attachment
  std::vector<std::size_t> sizes;
};

// The header, checked as far as the frame's length depends on it.
Result<Head> ParseHead(ByteView frame) {
  Reader r(frame, "message");
  ASSAY_ASSIGN(const ByteView magic, r.Take(kMagic.size(), "magic"));
  if (AsText(magic) != kMagic) return Fail(r.BadAt(0, "not a message of this protocol"));
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Be("header length"));
  if (size > kMaxHeader) return Fail(r.BadAt(4, "header too long"));
  ASSAY_ASSIGN(const ByteView text, r.Take(size, "header"));
  ASSAY_ASSIGN(JsonDoc doc, JsonDoc::Parse(AsText(text), "message", kMaxHeader));
  Head head{.doc = std::move(doc), .end = kPrefix + size, .sizes = {}};
  const JsonValue root = head.doc.root();
  if (!root.is_object()) return Fail(r.BadAt(kPrefix, "header is not an object"));
  if (root.Has("parts")) {
    ASSAY_ASSIGN(const JsonValue parts, root.Object("parts"));
    std::size_t next = 0;
    ASSAY_TRY(parts.EachMember([&](std::string_view name, const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(const std::uint64_t n, v.AsU64());
      if (next >= std::size(kParts) || name != kParts[next].name)
        return Fail(ParseError("message", kPrefix, fmt::format("unexpected attachment '{}'", name)));
      if (n > kParts[next].max)
        return Fail(ParseError("message", kPrefix, fmt::format("{}: too large", name)));
      head.sizes.push_back(n);
      ++next;
      return {};
    }));
    if (next != std::size(kParts)) return Fail(ParseError("message", kPrefix, "attachments are missing"));
  }
  return head;
}

Result<Challenge> ParseChallenge(const JsonValue& root) {
  ASSAY_TRY(root.OnlyKeys({"type", "version", "nonce", "first_record", "want", "selection"}));
  Challenge c;
  ASSAY_ASSIGN(const std::string nonce, root.Str("nonce"));
  ASSAY_ASSIGN(c.nonce, FromHex(nonce));
  if (c.nonce.size() != kNonceSize) return Fail(ParseError("message", kPrefix, "/nonce: not 32 bytes"));
  ASSAY_ASSIGN(c.first_record, root.U64("first_record"));
  ASSAY_ASSIGN(const JsonValue want, root.Object("want"));
  ASSAY_TRY(want.OnlyKeys({"list", "context", "event_log"}));
  ASSAY_ASSIGN(c.want_list, want.Bool("list"));
  ASSAY_ASSIGN(c.want_context, want.Bool("context"));
  ASSAY_ASSIGN(c.want_event_log, want.Bool("event_log"));
  ASSAY_ASSIGN(const std::string selection, root.Str("selection"));
  if (!selection.empty()) {
    ASSAY_ASSIGN(c.selection, tpm::ParseSelectionText(selection));
  }
  return c;
}

}  // namespace

Bytes EncodeChallenge(const Challenge& c) {
  return Frame(
      json{{"type", "challenge"},
           {"version", 1},
           {"nonce", Hex(c.nonce)},
           {"first_record", c.first_record},
           {"want", {{"list", c.want_list}, {"context", c.want_context}, {"event_log", c.want_event_log}}},
           {"selection", tpm::SelectionText(c.selection)}});
}

Bytes EncodeEvidenceHeader(const Evidence& e, std::uint64_t list_bytes) {
  nlohmann::ordered_json parts = nlohmann::ordered_json::object();
  for (const Part& part : kParts)
    parts[part.name] = part.bytes == &Evidence::list ? list_bytes : (e.*part.bytes).size();
  return Frame(nlohmann::ordered_json{{"type", "evidence"}, {"version", 1}, {"parts", parts}});
}

std::span<Bytes Evidence::* const> EvidenceParts() {
  static const auto members = [] {
    std::array<Bytes Evidence::*, std::size(kParts)> out{};
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = kParts[i].bytes;
    return out;
  }();
  return members;
}

Bytes EncodeEvidence(const Evidence& e) {
  Bytes out = EncodeEvidenceHeader(e, e.list.size());
  for (const auto part : EvidenceParts()) out.insert(out.end(), (e.*part).begin(), (e.*part).end());
  return out;
}

Bytes EncodeRefusal(const Refusal& r) {
  // The sentence may quote what a peer sent: JSON takes UTF-8 only.
  std::string message;
  for (const char c : r.message.substr(0, kMaxRefusal)) message += c >= ' ' && c < 0x7F ? c : '?';
  return Frame(json{{"type", "refusal"}, {"version", 1}, {"code", r.code}, {"message", message}});
}

Result<std::optional<std::uint64_t>> FrameSize(ByteView prefix, std::size_t max) {
  if (prefix.size() < kPrefix) {
    if (AsText(prefix.first(std::min(prefix.size(), kMagic.size()))) != kMagic.substr(0, prefix.size()))
      return Fail(ParseError("message", 0, "not a message of this protocol"));
    return std::optional<std::uint64_t>();
  }
  Reader r(prefix, "message");
  ASSAY_TRY(r.Take(4, "magic"));
  ASSAY_ASSIGN(const std::uint32_t header, r.U32Be("header length"));
  if (header > kMaxHeader) return Fail(ParseError("message", 4, "header too long"));
  if (AsText(prefix.first(4)) != kMagic)
    return Fail(ParseError("message", 0, "not a message of this protocol"));
  if (prefix.size() < kPrefix + header) return std::optional<std::uint64_t>();
  ASSAY_ASSIGN(const Head head, ParseHead(prefix));
  std::uint64_t total = head.end;
  for (const std::size_t n : head.sizes) total += n;
  if (total > max) return Fail(ParseError("message", kPrefix, "message too long"));
  return std::optional(total);
}

Result<Message> DecodeMessage(ByteView frame, std::size_t max) {
  if (frame.size() > max) return Fail(ParseError("message", max, "message too long"));
  ASSAY_ASSIGN(const Head head, ParseHead(frame));
  std::uint64_t total = head.end;
  for (const std::size_t n : head.sizes) total += n;
  if (frame.size() != total) return Fail(ParseError("message", frame.size(), "length is not as announced"));
  const JsonValue root = head.doc.root();
  ASSAY_ASSIGN(const std::string type, root.Str("type"));
  ASSAY_ASSIGN(const std::uint64_t version, root.U64("version"));
  if (version != 1) return Fail(ParseError("message", kPrefix, "unknown version"));
  if (type == "challenge") {
    ASSAY_ASSIGN(Challenge c, ParseChallenge(root));
    return Message(std::move(c));
  }
  if (type == "refusal") {
    ASSAY_TRY(root.OnlyKeys({"type", "version", "code", "message"}));
    Refusal refusal;
    ASSAY_ASSIGN(refusal.code, root.Str("code"));
    ASSAY_ASSIGN(refusal.message, root.Str("message"));
    return Message(std::move(refusal));
  }
  if (type != "evidence") return Fail(ParseError("message", kPrefix, "unknown type"));
  ASSAY_TRY(root.OnlyKeys({"type", "version", "parts"}));
  if (head.sizes.size() != std::size(kParts))
    return Fail(ParseError("message", kPrefix, "attachments are missing"));
  Evidence e;
  std::size_t at = head.end;
  for (std::size_t i = 0; i < std::size(kParts); ++i) {
    e.*kParts[i].bytes = ToBytes(frame.subspan(at, head.sizes[i]));
    at += head.sizes[i];
  }
  return Message(std::move(e));
}

}  // namespace assay::attest
