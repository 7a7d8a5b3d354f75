#include "list/template.h"

#include <algorithm>
#include <utility>

namespace assay::ima {
namespace {

constexpr std::pair<std::string_view, std::string_view> kBuiltin[] = {
    {"ima", "d|n"},
    {"ima-ng", "d-ng|n-ng"},
    {"ima-sig", "d-ng|n-ng|sig"},
    {"ima-ngv2", "d-ngv2|n-ng"},
    {"ima-sigv2", "d-ngv2|n-ng|sig"},
    {"ima-buf", "d-ng|n-ng|buf"},
    {"ima-modsig", "d-ng|n-ng|sig|d-modsig|modsig"},
    {"evm-sig", "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"},
};

constexpr FieldSpec kFields[] = {
    {"d", FieldKind::kDigest},         {"n", FieldKind::kName},
    {"d-ng", FieldKind::kDigestNg},    {"d-ngv2", FieldKind::kDigestNgV2},
    {"n-ng", FieldKind::kName},        {"sig", FieldKind::kHex},
    {"buf", FieldKind::kHex},          {"d-modsig", FieldKind::kDigestNg},
    {"modsig", FieldKind::kHex},       {"evmsig", FieldKind::kHex},
    {"iuid", FieldKind::kUint, 4},     {"igid", FieldKind::kUint, 4},
    {"imode", FieldKind::kUint, 2},    {"xattrnames", FieldKind::kText},
    {"xattrlengths", FieldKind::kHex}, {"xattrvalues", FieldKind::kHex},
    {"cgpath", FieldKind::kText},
};

// A template without a name is listed under its format string.
std::string_view FormatOf(std::string_view name) {
  const auto* found = std::find_if(std::begin(kBuiltin), std::end(kBuiltin),
                                   [name](const auto& t) { return t.first == name; });
  return found == std::end(kBuiltin) ? name : found->second;
}

}  // namespace

std::optional<Template> TemplateFromName(std::string_view name) {
  for (const Template t : {Template::kNg, Template::kBuf, Template::kNgCgroup})
    if (name == TemplateName(t)) return t;
  return std::nullopt;
}

// The kernel's built-in templates all have a digest and a name. A template that is named by its format
// (ima_template_fmt=) can't be distinguished from a renamed built-in one.
bool HasTemplate(ListWriter writer, std::string_view template_name) {
  if (writer == ListWriter::kAttester) return TemplateFromName(template_name).has_value();
  return std::any_of(std::begin(kBuiltin), std::end(kBuiltin),
                     [&](const auto& t) { return t.first == template_name; });
}

std::optional<std::vector<FieldSpec>> FieldsOf(std::string_view template_name) {
  std::vector<FieldSpec> specs;
  const std::string_view format = FormatOf(template_name);
  for (std::size_t at = 0; at <= format.size();) {
    const std::size_t end = std::min(format.find('|', at), format.size());
    const std::string_view id = format.substr(at, end - at);
    const auto* found =
        std::find_if(std::begin(kFields), std::end(kFields), [id](const FieldSpec& f) { return f.id == id; });
    if (found == std::end(kFields)) return std::nullopt;
    specs.push_back(*found);
    at = end + 1;
  }
  return specs;
}

std::uint64_t DataOffset(const RecordView& record) {
  return record.offset +
         (record.raw.empty() ? 0 : static_cast<std::uint64_t>(record.data.data() - record.raw.data()));
}

Result<std::vector<Field>> SplitFields(const RecordView& record, const std::vector<FieldSpec>& specs) {
  Reader r(record.data, kTemplateFormat, DataOffset(record));
  std::vector<Field> fields;
  for (const FieldSpec& spec : specs) {
    std::size_t size = kImaDigestSize;
    // The "ima" template's digest has no length; its name has one, but no NUL.
    if (record.template_name != "ima" || spec.kind != FieldKind::kDigest) {
      ASSAY_ASSIGN(size, r.U32Le("field length"));
    }
    ASSAY_ASSIGN(const ByteView value, r.Take(size, spec.id));
    fields.push_back({spec.id, value});
  }
  if (!r.done()) return Fail(r.Bad("bytes after the last field"));
  return fields;
}

}  // namespace assay::ima
