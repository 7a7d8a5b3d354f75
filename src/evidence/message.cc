#include "evidence/message.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "tpm/ek_certificate.h"

namespace assay::evidence {
namespace {

using nlohmann::json;
constexpr std::string_view kMagic = "ASY1";
constexpr std::size_t kPrefix = 8;
constexpr std::size_t kProofSize = 32;
constexpr std::size_t kMaxRefusal = 1024;  // characters of the refusal's message

struct Part {
  const char* name;
  Bytes Evidence::* bytes;
  std::size_t max;
};
constexpr Part kParts[] = {
    {"attest", &Evidence::attest, 4096},
    {"signature", &Evidence::signature, 4096},
    {"run_signature", &Evidence::run_signature, 4096},
    {"ak_public", &Evidence::ak_public, 4096},
    {"ek_public", &Evidence::ek_public, 4096},
    {"claims", &Evidence::claims, 1 << 20},
    {"context", &Evidence::context, kMaxContextPart},
    {"list", &Evidence::list, kMaxListPart},
    {"event_log", &Evidence::event_log, kMaxEventLogPart},
};

constexpr Bytes Identity::* kIdentityBytes[] = {&Identity::ak_public, &Identity::ek_public,
                                                &Identity::ek_certificate, &Identity::ek_chain};

// An attachment's name and bound.
struct PartLimit {
  const char* name;
  std::size_t max;
};
constexpr PartLimit kIdentityParts[] = {{"ak_public", 4096},
                                        {"ek_public", 4096},
                                        {"ek_certificate", tpm::kMaxEkCertificate},
                                        {"ek_chain", tpm::kMaxEkChain}};

// The attachments of a message type.
std::vector<PartLimit> PartsOf(std::string_view type) {
  if (type == "identity") return {std::begin(kIdentityParts), std::end(kIdentityParts)};
  std::vector<PartLimit> out;
  if (type == "evidence")
    for (const Part& part : kParts) out.push_back({part.name, part.max});
  return out;
}

template <typename Json>
Bytes Frame(const Json& header) {
  const std::string text = header.dump();
  return Writer().Put(kMagic).U32Be(static_cast<std::uint32_t>(text.size())).Put(text).Take();
}

struct Head {
  JsonDoc doc;
  std::string type;
  std::size_t end = 0;  // offset of the first attachment
  std::vector<std::size_t> sizes;
};

// Parses the header, and checks the part that the frame's length depends on.
Result<Head> ParseHead(ByteView frame) {
  Reader r(frame, "message");
  ASSAY_ASSIGN(const ByteView magic, r.Take(kMagic.size(), "magic"));
  if (AsText(magic) != kMagic) return Fail(r.BadAt(0, "not a message of this protocol"));
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Be("header length"));
  if (size > kMaxHeader) return Fail(r.BadAt(4, "header too long"));
  ASSAY_ASSIGN(const ByteView text, r.Take(size, "header"));
  ASSAY_ASSIGN(JsonDoc doc, JsonDoc::Parse(AsText(text), "message", kMaxHeader));
  Head head{.doc = std::move(doc), .type = "", .end = kPrefix + size, .sizes = {}};
  const JsonValue root = head.doc.root();
  if (!root.is_object()) return Fail(r.BadAt(kPrefix, "header is not an object"));
  ASSAY_ASSIGN(head.type, root.Str("type"));
  if (root.Has("parts")) {
    const std::vector<PartLimit> wanted = PartsOf(head.type);
    ASSAY_ASSIGN(const JsonValue parts, root.Object("parts"));
    std::size_t next = 0;
    ASSAY_TRY(parts.EachMember([&](std::string_view name, const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(const std::uint64_t n, v.AsU64());
      if (next >= wanted.size() || name != wanted[next].name)
        return Fail(ParseError("message", kPrefix, fmt::format("unexpected attachment '{}'", name)));
      if (n > wanted[next].max)
        return Fail(ParseError("message", kPrefix, fmt::format("{}: too large", name)));
      head.sizes.push_back(n);
      ++next;
      return {};
    }));
    if (next != wanted.size()) return Fail(ParseError("message", kPrefix, "attachments are missing"));
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

Result<Bytes> HexOf(const JsonValue& root, std::string_view key, std::size_t least, std::size_t most) {
  ASSAY_ASSIGN(const std::string text, root.Str(key));
  ASSAY_ASSIGN(Bytes bytes, FromHex(text));
  if (bytes.size() < least || bytes.size() > most)
    return Fail(ParseError("message", kPrefix, fmt::format("/{}: {} bytes", key, bytes.size())));
  return bytes;
}

Result<Activate> ParseActivate(const JsonValue& root) {
  ASSAY_TRY(root.OnlyKeys({"type", "version", "nonce", "credential", "secret"}));
  Activate a;
  ASSAY_ASSIGN(a.nonce, HexOf(root, "nonce", kNonceSize, kNonceSize));
  ASSAY_ASSIGN(a.credential, HexOf(root, "credential", 1, tpm::kMaxCredential));
  ASSAY_ASSIGN(a.secret, HexOf(root, "secret", 1, tpm::kMaxEncryptedSecret));
  return a;
}

Result<Identity> ParseIdentity(const JsonValue& root) {
  ASSAY_TRY(root.OnlyKeys({"type", "version", "tpm", "parts"}));
  Identity i;
  ASSAY_ASSIGN(const JsonValue tpm, root.Object("tpm"));
  ASSAY_TRY(tpm.OnlyKeys({"manufacturer", "vendor", "firmware", "software"}));
  ASSAY_ASSIGN(i.tpm_manufacturer, tpm.Str("manufacturer"));
  ASSAY_ASSIGN(i.tpm_vendor, tpm.Str("vendor"));
  ASSAY_ASSIGN(i.tpm_firmware, tpm.Str("firmware"));
  ASSAY_ASSIGN(i.tpm_software, tpm.Bool("software"));
  return i;
}

// Reads each attachment into its member.
template <typename T>
Result<> TakeParts(ByteView frame, const Head& head, T& out, std::span<Bytes T::* const> members) {
  if (head.sizes.size() != members.size())
    return Fail(ParseError("message", kPrefix, "attachments are missing"));
  std::size_t at = head.end;
  for (std::size_t i = 0; i < members.size(); ++i) {
    out.*members[i] = ToBytes(frame.subspan(at, head.sizes[i]));
    at += head.sizes[i];
  }
  return {};
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

Bytes EncodeIdentify() { return Frame(json{{"type", "identify"}, {"version", 1}}); }

Bytes EncodeIdentity(const Identity& i) {
  nlohmann::ordered_json parts = nlohmann::ordered_json::object();
  for (std::size_t p = 0; p < std::size(kIdentityParts); ++p)
    parts[kIdentityParts[p].name] = (i.*kIdentityBytes[p]).size();
  Bytes out = Frame(nlohmann::ordered_json{{"type", "identity"},
                                           {"version", 1},
                                           {"tpm",
                                            {{"manufacturer", PrintableAscii(i.tpm_manufacturer)},
                                             {"vendor", PrintableAscii(i.tpm_vendor)},
                                             {"firmware", PrintableAscii(i.tpm_firmware)},
                                             {"software", i.tpm_software}}},
                                           {"parts", parts}});
  for (const auto part : kIdentityBytes) out.insert(out.end(), (i.*part).begin(), (i.*part).end());
  return out;
}

Bytes EncodeActivate(const Activate& a) {
  return Frame(json{{"type", "activate"},
                    {"version", 1},
                    {"nonce", Hex(a.nonce)},
                    {"credential", Hex(a.credential)},
                    {"secret", Hex(a.secret)}});
}

Bytes EncodeActivation(const Activation& a) {
  return Frame(json{{"type", "activation"}, {"version", 1}, {"proof", Hex(a.proof)}});
}

Bytes EncodeQuestion(const Question& q) {
  if (const auto* c = std::get_if<Challenge>(&q)) return EncodeChallenge(*c);
  if (const auto* a = std::get_if<Activate>(&q)) return EncodeActivate(*a);
  return EncodeIdentify();
}

Bytes EncodeRefusal(const Refusal& r) {
  return Frame(json{{"type", "refusal"},
                    {"version", 1},
                    {"code", r.code},
                    {"message", PrintableAscii(r.message.substr(0, kMaxRefusal))}});
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
  const std::string& type = head.type;
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
  if (type == "identify") {
    ASSAY_TRY(root.OnlyKeys({"type", "version"}));
    return Message(Identify{});
  }
  if (type == "activate") {
    ASSAY_ASSIGN(Activate a, ParseActivate(root));
    return Message(std::move(a));
  }
  if (type == "activation") {
    ASSAY_TRY(root.OnlyKeys({"type", "version", "proof"}));
    Activation a;
    ASSAY_ASSIGN(a.proof, HexOf(root, "proof", kProofSize, kProofSize));
    return Message(std::move(a));
  }
  if (type == "identity") {
    ASSAY_ASSIGN(Identity i, ParseIdentity(root));
    ASSAY_TRY(TakeParts<Identity>(frame, head, i, kIdentityBytes));
    return Message(std::move(i));
  }
  if (type != "evidence") return Fail(ParseError("message", kPrefix, "unknown type"));
  ASSAY_TRY(root.OnlyKeys({"type", "version", "parts"}));
  Evidence e;
  ASSAY_TRY(TakeParts<Evidence>(frame, head, e, EvidenceParts()));
  return Message(std::move(e));
}

Result<Question> DecodeQuestion(ByteView frame) {
  ASSAY_ASSIGN(Message message, DecodeMessage(frame, kMaxChallenge));
  if (auto* c = std::get_if<Challenge>(&message)) return Question(std::move(*c));
  if (std::get_if<Identify>(&message) != nullptr) return Question(Identify{});
  if (auto* a = std::get_if<Activate>(&message)) return Question(std::move(*a));
  return Fail(ParseError("message", kPrefix, "not a question"));
}

}  // namespace assay::evidence
