#include <map>

#include "list/list.h"

namespace assay::ima {
namespace {

constexpr std::string_view kFormat = "ima-template";

// Source: Linux 6.12 ima_template.c, builtin_templates.
std::string_view FormatOf(std::string_view name) {
  static const std::map<std::string_view, std::string_view> builtin{
      {"ima", "d|n"},
      {"ima-ng", "d-ng|n-ng"},
      {"ima-sig", "d-ng|n-ng|sig"},
      {"ima-ngv2", "d-ngv2|n-ng"},
      {"ima-sigv2", "d-ngv2|n-ng|sig"},
      {"ima-buf", "d-ng|n-ng|buf"},
      {"ima-modsig", "d-ng|n-ng|sig|d-modsig|modsig"},
      {"evm-sig", "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"},
  };
  const auto found = builtin.find(name);
  return found == builtin.end() ? name : found->second;
}

bool KnownField(std::string_view id) {
  for (std::string_view known :
       {"d", "n", "d-ng", "d-ngv2", "n-ng", "sig", "d-modsig", "modsig", "buf", "evmsig", "iuid", "igid",
        "imode", "xattrnames", "xattrlengths", "xattrvalues"}) {
    if (id == known) return true;
  }
  return false;
}

void SetDigest(FileDigest& d) {
  const auto alg = HashFromName(d.alg_name);
  if (!alg) return;
  if (auto digest = Digest::Of(*alg, d.bytes)) d.digest = *digest;
}

// "alg:" NUL digest, or "type:alg:" NUL digest.
Result<FileDigest> ParseDigestNg(ByteView value, bool v2, std::uint64_t offset) {
  const std::string_view text = AsText(value);
  const std::size_t nul = text.find('\0');
  if (nul == std::string_view::npos || nul == 0 || text[nul - 1] != ':')
    return Fail(ParseError(std::string(kFormat), offset, "digest without an algorithm"));
  std::string_view prefix = text.substr(0, nul - 1);
  FileDigest d;
  if (v2) {
    const std::size_t colon = prefix.find(':');
    if (colon == std::string_view::npos)
      return Fail(ParseError(std::string(kFormat), offset, "digest without a type"));
    d.type = prefix.substr(0, colon);
    prefix.remove_prefix(colon + 1);
  }
  d.alg_name = prefix;
  d.bytes = ToBytes(value.subspan(nul + 1));
  SetDigest(d);
  return d;
}

std::string WithoutNul(ByteView value) {
  std::string_view text = AsText(value);
  if (text.ends_with('\0')) text.remove_suffix(1);
  return std::string(text);
}

// The 'ima' template: digest[20] | u32 len | name.
Result<Entry> DecodeIma(const RecordView& record, std::uint64_t base) {
  Entry e;
  Reader r(record.data, kFormat, base);
  ASSAY_ASSIGN(const ByteView digest, r.Take(20, "file digest"));
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("file name length"));
  ASSAY_ASSIGN(const ByteView name, r.Take(size, "file name"));
  if (!r.done()) return Fail(r.Bad("bytes after the last field"));
  e.fields = {{"d", digest}, {"n", name}};
  e.file_digest = FileDigest{"sha1", "", ToBytes(digest), std::nullopt};
  SetDigest(*e.file_digest);
  e.path = AsText(name);
  return e;
}

}  // namespace

Result<Entry> Decode(const RecordView& record) {
  const std::uint64_t base =
      record.offset +
      (record.raw.empty() ? 0 : static_cast<std::uint64_t>(record.data.data() - record.raw.data()));
  if (record.template_name == "ima") return DecodeIma(record, base);
  Entry e;
  Reader r(record.data, kFormat, base);
  const std::string_view format = FormatOf(record.template_name);
  for (std::size_t at = 0; at <= format.size();) {
    const std::size_t end = std::min(format.find('|', at), format.size());
    const std::string_view id = format.substr(at, end - at);
    at = end + 1;
    if (!KnownField(id)) return Fail(r.Bad("unknown template " + std::string(record.template_name)));
    ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("field length"));
    const std::uint64_t offset = r.offset();
    ASSAY_ASSIGN(const ByteView value, r.Take(size, id));
    e.fields.push_back({id, value});
    if (id == "d-ng" || id == "d-ngv2") {
      ASSAY_ASSIGN(e.file_digest, ParseDigestNg(value, id == "d-ngv2", offset));
    } else if (id == "d") {
      e.file_digest = FileDigest{value.size() == 16 ? "md5" : "sha1", "", ToBytes(value), std::nullopt};
      SetDigest(*e.file_digest);
    } else if (id == "n" || id == "n-ng") {
      e.path = WithoutNul(value);
    } else if (id == "sig") {
      e.signature = value;
    } else if (id == "buf") {
      e.buffer = value;
    }
  }
  if (!r.done()) return Fail(r.Bad("bytes after the last field"));
  return e;
}

}  // namespace assay::ima
