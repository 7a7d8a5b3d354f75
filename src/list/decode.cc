#include "base/digest_text.h"
#include "list/template.h"

namespace assay::ima {
namespace {

void SetDigest(FileDigest& d) {
  const auto alg = HashFromName(d.alg_name);
  if (!alg) return;
  if (auto digest = Digest::Of(*alg, d.bytes)) d.digest = *digest;
}

// A digest without an algorithm: its size tells whether it is MD5 or SHA-1. The kernel allows no others here.
FileDigest PlainDigest(ByteView value) {
  FileDigest d{value.size() == 16 ? "md5" : "sha1", "", ToBytes(value), std::nullopt};
  SetDigest(d);
  return d;
}

// "alg:" NUL digest, or "type:alg:" NUL digest.
Result<FileDigest> ParseDigestNg(ByteView value, bool v2, std::uint64_t offset) {
  const std::string_view text = AsText(value);
  const std::size_t nul = text.find('\0');
  if (nul == std::string_view::npos || nul == 0 || text[nul - 1] != ':')
    return Fail(ParseError(std::string(kTemplateFormat), offset, "digest without an algorithm"));
  std::string_view prefix = text.substr(0, nul - 1);
  FileDigest d;
  if (v2) {
    const std::size_t colon = prefix.find(':');
    if (colon == std::string_view::npos)
      return Fail(ParseError(std::string(kTemplateFormat), offset, "digest without a type"));
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

}  // namespace

std::string FileDigestText(const FileDigest& d) {
  std::string text(d.type == "verity" ? kVerityPrefix : "");
  return text.append(d.alg_name).append(":").append(Hex(d.bytes));
}

Result<Digest> ParseFileDigest(std::string_view text) {
  if (text.starts_with(kVerityPrefix)) text.remove_prefix(kVerityPrefix.size());
  return ParseDigest(text);
}

Result<Entry> Decode(const RecordView& record) {
  const std::uint64_t base = DataOffset(record);
  const auto specs = FieldsOf(record.template_name);
  if (!specs)
    return Fail(ParseError(std::string(kTemplateFormat), base,
                           "unknown template " + std::string(record.template_name)));
  Entry e;
  ASSAY_ASSIGN(e.fields, SplitFields(record, *specs));
  for (const Field& field : e.fields) {
    const std::uint64_t offset = base + static_cast<std::uint64_t>(field.value.data() - record.data.data());
    if (field.id == "d") {
      e.file_digest = PlainDigest(field.value);
    } else if (field.id == "d-ng" || field.id == "d-ngv2") {
      ASSAY_ASSIGN(e.file_digest, ParseDigestNg(field.value, field.id == "d-ngv2", offset));
    } else if (field.id == "n" || field.id == "n-ng") {
      e.path = WithoutNul(field.value);
    } else if (field.id == "sig") {
      e.signature = field.value;
    } else if (field.id == "buf") {
      e.buffer = field.value;
    } else if (field.id == "cgpath") {
      e.cgroup = WithoutNul(field.value);
    }
  }
  return e;
}

}  // namespace assay::ima
