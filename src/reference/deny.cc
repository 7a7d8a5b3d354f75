#include "reference/deny.h"

#include "appraise/appraise.h"
#include "base/digest_text.h"
#include "base/json.h"

namespace assay::reference {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kMaxText = 4096;  // bytes of a name or a reason

Result<std::string> TextOf(const JsonValue& entry, const char* member) {
  ASSAY_ASSIGN(std::string text, entry.Str(member));
  if (text.empty() || text.size() > kMaxText)
    return Fail(entry.Bad(std::string(member) + " is empty or too long"));
  return text;
}

Result<DenyEntry> EntryOf(const JsonValue& entry) {
  ASSAY_TRY(entry.OnlyKeys({"digest", "package", "version", "who", "why"}));
  DenyEntry out;
  ASSAY_ASSIGN(out.who, TextOf(entry, "who"));
  ASSAY_ASSIGN(out.why, TextOf(entry, "why"));
  if (entry.Has("digest") == entry.Has("package")) return Fail(entry.Bad("name a digest or a package"));
  if (entry.Has("package")) {
    ASSAY_ASSIGN(out.package, TextOf(entry, "package"));
    if (entry.Has("version")) {
      ASSAY_ASSIGN(out.version, TextOf(entry, "version"));
    }
    return out;
  }
  if (entry.Has("version")) return Fail(entry.Bad("a digest has no version"));
  ASSAY_ASSIGN(const std::string text, entry.Str("digest"));
  Result<Digest> digest = ParseDigest(text);
  if (!digest || digest->alg() != appraise::kReferenceAlg)
    return Fail(entry.Bad("not a digest of SHA-256: " + text));
  out.digest = *digest;
  return out;
}

}  // namespace

Result<std::vector<DenyEntry>> ParseDenyList(std::string_view text) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "deny-list", kMaxDenyList));
  ASSAY_TRY(doc.root().OnlyKeys({"version", "denied"}));
  ASSAY_ASSIGN(const std::uint64_t version, doc.root().U64("version"));
  if (version != kVersion) return Fail(doc.root().Bad("version " + std::to_string(version)));
  ASSAY_ASSIGN(const JsonValue list, doc.root().Array("denied"));
  std::vector<DenyEntry> out;
  ASSAY_TRY(list.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(DenyEntry entry, EntryOf(v));
    out.push_back(std::move(entry));
    return {};
  }));
  return out;
}

}  // namespace assay::reference
