#include "evidence/message.h"

#include <fmt/core.h>

#include <array>

#include "base/json_members.h"
#include "base/text.h"
#include "tpm/ek_certificate.h"

namespace assay::evidence {
namespace {

constexpr std::string_view kMagic = "ASY1";
constexpr std::size_t kPrefix = 8;
constexpr std::size_t kProofSize = 32;
constexpr std::size_t kMaxDeviceAttest = 512, kMaxDeviceSignature = 520;
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
    {"claims", &Evidence::claims, kMaxClaims},
    {"context", &Evidence::context, kMaxContextPart},
    {"list", &Evidence::list, kMaxListPart},
    {"event_log", &Evidence::event_log, kMaxEventLogPart},
};

constexpr Bytes Identity::* kIdentityBytes[] = {
    &Identity::ak_public,       &Identity::ek_public,          &Identity::ek_certificate, &Identity::ek_chain,
    &Identity::iak_certificate, &Identity::idevid_certificate, &Identity::device_chain};

// An attachment's name and bound.
struct PartLimit {
  const char* name;
  std::size_t max;
};
constexpr PartLimit kIdentityParts[] = {{"ak_public", 4096},
                                        {"ek_public", 4096},
                                        {"ek_certificate", tpm::kMaxEkCertificate},
                                        {"ek_chain", tpm::kMaxEkChain},
                                        {"iak_certificate", tpm::kMaxEkCertificate},
                                        {"idevid_certificate", tpm::kMaxEkCertificate},
                                        {"device_chain", tpm::kMaxEkChain}};
constexpr std::size_t kIdentityAlways = 4;  // the others are there together, or none of them

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
  const std::string text = DumpJson(header);
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
    const bool whole = next == wanted.size() || (head.type == "identity" && next == kIdentityAlways);
    if (!whole) return Fail(ParseError("message", kPrefix, "attachments are missing"));
  }
  return head;
}

// A hexadecimal string of so many bytes.
auto SizedHex(std::size_t least, std::size_t most) {
  return JsonText{[](const Bytes& bytes) { return Hex(bytes); },
                  [least, most](std::string_view text) -> Result<Bytes> {
                    ASSAY_ASSIGN(Bytes bytes, FromHex(text));
                    if (bytes.size() < least || bytes.size() > most)
                      return Fail(UsageError(fmt::format("{} bytes", bytes.size())));
                    return bytes;
                  }};
}

constexpr JsonText kSelection{tpm::SelectionText, [](std::string_view text) -> Result<tpm::PcrSelection> {
                                if (text.empty()) return tpm::PcrSelection{};
                                return tpm::ParseSelectionText(text);
                              }};

constexpr std::uint64_t kVersion = 1;

constexpr auto kChallenge = [](auto& visit, auto& c) {
  visit.Constant("type", "challenge");
  visit.Constant("version", kVersion);
  visit("nonce", c.nonce);
  visit("first_record", c.first_record);
  visit.Object("want", [&](auto& want) {
    want("list", c.want_list);
    want("context", c.want_context);
    want("event_log", c.want_event_log);
  });
  visit("selection", c.selection, kSelection);
};
constexpr auto kEvidence = [](auto& visit, auto&) {
  visit.Constant("type", "evidence");
  visit.Constant("version", kVersion);
  visit.Elsewhere("parts");
};
constexpr JsonText kRefusalCode{[](RefusalCode code) { return ErrorCode::Of(code).name(); },
                                FromName<RefusalCode>};
constexpr auto kRefusal = [](auto& visit, auto& r) {
  visit.Constant("type", "refusal");
  visit.Constant("version", kVersion);
  visit("code", r.code, kRefusalCode);
  visit("message", r.message);
};
constexpr auto kIdentify = [](auto& visit, auto& i) {
  visit.Constant("type", "identify");
  visit.Constant("version", kVersion);
  visit.Optional("device", i.device);
};
constexpr auto kIdentity = [](auto& visit, auto& i) {
  visit.Constant("type", "identity");
  visit.Constant("version", kVersion);
  visit.Object("tpm", [&](auto& tpm) {
    tpm("manufacturer", i.tpm_manufacturer);
    tpm("vendor", i.tpm_vendor);
    tpm("firmware", i.tpm_firmware);
    tpm("software", i.tpm_software);
  });
  visit.Optional("ek_certificate_error", i.ek_certificate_error);
  visit.Optional("device_certificate_error", i.device_certificate_error);
  visit.Elsewhere("parts");
};
constexpr auto kActivate = [](auto& visit, auto& a) {
  visit.Constant("type", "activate");
  visit.Constant("version", kVersion);
  visit("nonce", a.nonce);
  visit("credential", a.credential, SizedHex(1, tpm::kMaxCredential));
  visit("secret", a.secret, SizedHex(1, tpm::kMaxEncryptedSecret));
  visit.Optional("device", a.device);
};
constexpr auto kActivation = [](auto& visit, auto& a) {
  visit.Constant("type", "activation");
  visit.Constant("version", kVersion);
  visit("proof", a.proof, SizedHex(kProofSize, kProofSize));
  visit.Optional("iak_attest", a.iak_attest, SizedHex(1, kMaxDeviceAttest));
  visit.Optional("iak_signature", a.iak_signature, SizedHex(1, kMaxDeviceSignature));
  visit.Optional("idevid_attest", a.idevid_attest, SizedHex(1, kMaxDeviceAttest));
  visit.Optional("idevid_signature", a.idevid_signature, SizedHex(1, kMaxDeviceSignature));
  visit.Optional("device_error", a.device_error);
};

// The frame of a message that has no attachments. Texts of it may quote what a peer or a TPM said.
template <typename Table, typename T>
Bytes FrameOf(const Table& table, const T& message) {
  return Frame(WriteMembers(table, message, JsonStrings::kAscii));
}
// The header of one that has some: they follow in the order of `parts`.
template <typename Table, typename T>
Bytes FrameOf(const Table& table, const T& message, nlohmann::ordered_json parts) {
  nlohmann::ordered_json header = WriteMembers(table, message, JsonStrings::kAscii);
  header["parts"] = std::move(parts);
  return Frame(header);
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

template <typename T, typename Table>
Result<Message> Decoded(const Table& table, const JsonValue& root) {
  T message;
  ASSAY_TRY(ReadMembers(table, root, message));
  return Message(std::move(message));
}
template <typename T, typename Table>
Result<Message> Decoded(const Table& table, const JsonValue& root, ByteView frame, const Head& head,
                        std::span<Bytes T::* const> members) {
  T message;
  ASSAY_TRY(ReadMembers(table, root, message));
  ASSAY_TRY(TakeParts<T>(frame, head, message, members));
  return Message(std::move(message));
}

}  // namespace

Bytes EncodeChallenge(const Challenge& c) { return FrameOf(kChallenge, c); }

Bytes EncodeEvidenceHeader(const Evidence& e, std::uint64_t list_bytes) {
  nlohmann::ordered_json parts = nlohmann::ordered_json::object();
  for (const Part& part : kParts)
    parts[part.name] = part.bytes == &Evidence::list ? list_bytes : (e.*part.bytes).size();
  return FrameOf(kEvidence, e, std::move(parts));
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

Bytes EncodeIdentify(const Identify& i) { return FrameOf(kIdentify, i); }

Bytes EncodeIdentity(const Identity& i) {
  const bool device = !i.iak_certificate.empty() || !i.idevid_certificate.empty() || !i.device_chain.empty();
  const auto members = std::span(kIdentityBytes).first(device ? std::size(kIdentityBytes) : kIdentityAlways);
  nlohmann::ordered_json parts = nlohmann::ordered_json::object();
  for (std::size_t p = 0; p < members.size(); ++p) parts[kIdentityParts[p].name] = (i.*members[p]).size();
  Bytes out = FrameOf(kIdentity, i, std::move(parts));
  for (const auto part : members) out.insert(out.end(), (i.*part).begin(), (i.*part).end());
  return out;
}

Bytes EncodeActivate(const Activate& a) { return FrameOf(kActivate, a); }

Bytes EncodeActivation(const Activation& a) { return FrameOf(kActivation, a); }

Bytes EncodeQuestion(const Question& q) {
  if (const auto* c = std::get_if<Challenge>(&q)) return EncodeChallenge(*c);
  if (const auto* a = std::get_if<Activate>(&q)) return EncodeActivate(*a);
  return EncodeIdentify(std::get<Identify>(q));
}

Bytes EncodeRefusal(const Refusal& r) {
  return FrameOf(kRefusal, Refusal{r.code, r.message.substr(0, kMaxRefusal)});
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
  if (type == "challenge") return Decoded<Challenge>(kChallenge, root);
  if (type == "refusal") return Decoded<Refusal>(kRefusal, root);
  if (type == "identify") return Decoded<Identify>(kIdentify, root);
  if (type == "activate") return Decoded<Activate>(kActivate, root);
  if (type == "activation") return Decoded<Activation>(kActivation, root);
  if (type == "identity") {
    const std::size_t n = head.sizes.size() == kIdentityAlways ? kIdentityAlways : std::size(kIdentityBytes);
    return Decoded<Identity>(kIdentity, root, frame, head, std::span(kIdentityBytes).first(n));
  }
  if (type == "evidence") return Decoded<Evidence>(kEvidence, root, frame, head, EvidenceParts());
  return Fail(ParseError("message", kPrefix, "unknown type"));
}

Result<Question> DecodeQuestion(ByteView frame) {
  ASSAY_ASSIGN(Message message, DecodeMessage(frame, kMaxChallenge));
  if (auto* c = std::get_if<Challenge>(&message)) return Question(std::move(*c));
  if (const auto* i = std::get_if<Identify>(&message)) return Question(*i);
  if (auto* a = std::get_if<Activate>(&message)) return Question(std::move(*a));
  return Fail(ParseError("message", kPrefix, "not a question"));
}

}  // namespace assay::evidence
