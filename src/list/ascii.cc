#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "list/template.h"

namespace assay::ima {
namespace {

constexpr std::string_view kFormat = "ima-ascii";

Error Bad(std::uint64_t offset, std::string_view what) {
  return ParseError(std::string(kFormat), offset, std::string(what));
}

// The text up to the first NUL, as the kernel's %s prints it.
std::string_view CString(ByteView value) {
  const std::string_view text = AsText(value);
  return text.substr(0, text.find('\0'));
}

// Source: Linux 6.12 ima_template_lib.c, ima_show_template_data_ascii.
std::string ShowField(const FieldSpec& spec, ByteView value) {
  switch (spec.kind) {
    case FieldKind::kDigestNg:
    case FieldKind::kDigestNgV2: {
      const std::string_view prefix = CString(value);
      const std::size_t colon = prefix.rfind(':');
      if (colon == std::string_view::npos) return Hex(value);
      const ByteView digest = value.subspan(std::min(value.size(), colon + 2));
      return (colon == 0 ? "" : std::string(prefix)) + Hex(digest);
    }
    case FieldKind::kDigest:
    case FieldKind::kHex:
      return Hex(value);
    case FieldKind::kName:
    case FieldKind::kText:
      return std::string(CString(value));
    case FieldKind::kUint: {
      if (value.size() != 1 && value.size() != 2 && value.size() != 4 && value.size() != 8) return "";
      std::uint64_t number = 0;
      for (std::size_t i = value.size(); i > 0; --i) number = number << 8 | value[i - 1];
      return std::to_string(number);
    }
  }
  return "";
}

// A line of an ASCII list, read from the left.
class Line {
 public:
  Line(std::string_view text, std::uint64_t offset) : text_(text), offset_(offset) {}

  std::uint64_t offset() const { return offset_; }
  bool done() const { return text_.empty(); }
  std::string_view rest() const { return text_; }
  void SkipSpaces() { Skip(std::min(text_.find_first_not_of(' '), text_.size())); }
  // Up to the next space, which is skipped too.
  std::string_view Token() {
    const std::string_view token = text_.substr(0, text_.find(' '));
    Skip(std::min(token.size() + 1, text_.size()));
    return token;
  }

 private:
  void Skip(std::size_t n) {
    text_.remove_prefix(n);
    offset_ += n;
  }
  std::string_view text_;
  std::uint64_t offset_;
};

Result<Bytes> HexAt(std::string_view text, std::uint64_t offset, std::string_view what) {
  Result<Bytes> bytes = FromHex(text);
  if (bytes) return bytes;
  const auto* error = bytes.error().As<ParseError>();
  return Fail(Bad(offset + (error != nullptr ? error->offset : 0), std::string(what) + ": not hexadecimal"));
}

template <typename T>
Result<T> NumberAt(std::string_view text, std::uint64_t offset, std::string_view what) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return Fail(Bad(offset, what));
  return value;
}

// The value that ShowField printed.
Result<Bytes> ParseField(const FieldSpec& spec, std::string_view text, std::uint64_t offset) {
  Writer w;
  switch (spec.kind) {
    case FieldKind::kDigestNg:
    case FieldKind::kDigestNgV2: {
      if (text.empty()) break;
      const std::size_t colon = text.rfind(':');
      const std::string_view prefix =
          colon == std::string_view::npos ? std::string_view() : text.substr(0, colon + 1);
      ASSAY_ASSIGN(const Bytes digest, HexAt(text.substr(prefix.size()), offset + prefix.size(), spec.id));
      w.Put(prefix.empty() ? ":" : prefix).U8(0).Put(digest);
      break;
    }
    case FieldKind::kDigest:
    case FieldKind::kHex: {
      ASSAY_ASSIGN(const Bytes value, HexAt(text, offset, spec.id));
      w.Put(value);
      break;
    }
    case FieldKind::kName:
      w.Put(text).U8(0);
      break;
    case FieldKind::kText:
      if (!text.empty()) w.Put(text).U8(0);
      break;
    case FieldKind::kUint: {
      if (text.empty()) break;
      ASSAY_ASSIGN(std::uint64_t number, NumberAt<std::uint64_t>(text, offset, spec.id));
      if (number >> (8 * spec.uint_size) != 0) return Fail(Bad(offset, spec.id));
      for (std::size_t i = 0; i < spec.uint_size; ++i, number >>= 8) w.U8(static_cast<std::uint8_t>(number));
      break;
    }
  }
  return w.Take();
}

// Splits the line into the texts of all fields. Only a name can hold spaces, so it gets the text that the
// other fields leave. Empty fields at the end may be missing, because a tool has cut off blanks at the line's
// end.
Result<std::vector<std::pair<std::string_view, std::uint64_t>>> SplitTexts(
    Line line, const std::vector<FieldSpec>& specs) {
  std::size_t spaces = static_cast<std::size_t>(std::count(line.rest().begin(), line.rest().end(), ' '));
  std::vector<std::pair<std::string_view, std::uint64_t>> texts;
  bool named = false;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const std::string_view all = line.rest();
    const std::uint64_t offset = line.offset();
    std::string_view text = line.Token();
    if (specs[i].kind == FieldKind::kName && !named) {
      named = true;
      if (text.empty()) return Fail(Bad(offset, "no name"));
      const std::size_t others = specs.size() - 1;  // as many spaces separate the other fields
      for (std::size_t extra = spaces > others ? spaces - others : 0; extra > 0; --extra)
        text = all.substr(0, text.size() + 1 + line.Token().size());
    }
    texts.emplace_back(text, offset);
  }
  if (!line.done()) return Fail(Bad(line.offset(), "more fields than the template has"));
  return texts;
}

Result<OwnedRecord> ParseLine(Line line) {
  OwnedRecord record;
  line.SkipSpaces();
  std::uint64_t at = line.offset();
  // The kernel prints the PCR as a signed number.
  ASSAY_ASSIGN(const std::int32_t pcr, NumberAt<std::int32_t>(line.Token(), at, "pcr"));
  record.pcr = static_cast<std::uint32_t>(pcr);
  at = line.offset();
  ASSAY_ASSIGN(record.template_digest, HexAt(line.Token(), at, "template digest"));
  const std::size_t size = record.template_digest.size();
  if (size != 20 && size != 32 && size != 48 && size != 64)
    return Fail(Bad(at, "template digest of " + std::to_string(size) + " bytes"));
  at = line.offset();
  record.template_name = line.Token();
  const auto specs = FieldsOf(record.template_name);
  if (!specs || record.template_name.size() > kMaxName)
    return Fail(Bad(at, "unknown template " + record.template_name));
  ASSAY_ASSIGN(const auto texts, SplitTexts(line, *specs));
  Writer data;
  for (std::size_t i = 0; i < specs->size(); ++i) {
    ASSAY_ASSIGN(Bytes value, ParseField((*specs)[i], texts[i].first, texts[i].second));
    if (record.template_name == "ima" && (*specs)[i].kind == FieldKind::kDigest) {
      if (value.size() != kImaDigestSize) return Fail(Bad(texts[i].second, "digest size"));
      data.Put(value);
      continue;
    }
    if (record.template_name == "ima") value.pop_back();  // its name has no NUL
    data.U32Le(static_cast<std::uint32_t>(value.size())).Put(value);
  }
  record.data = data.Take();
  if (record.data.size() > kMaxRecord) return Fail(Bad(at, "template data length"));
  return record;
}

}  // namespace

std::string ToAscii(const RecordView& record) {
  std::string line = fmt::format("{:2} {} {}", static_cast<std::int32_t>(record.pcr),
                                 Hex(record.template_digest), record.template_name);
  const auto specs = FieldsOf(record.template_name);
  const auto fields = specs ? SplitFields(record, *specs) : std::vector<Field>();
  if (!fields || fields->empty()) return line + " " + Hex(record.data) + "\n";
  for (std::size_t i = 0; i < fields->size(); ++i) line += " " + ShowField((*specs)[i], (*fields)[i].value);
  return line + "\n";
}

std::string FieldText(const Field& field) {
  const auto specs = FieldsOf(field.id);  // a format string of one field
  return specs && specs->size() == 1 ? ShowField(specs->front(), field.value) : Hex(field.value);
}

Result<std::vector<OwnedRecord>> ParseAscii(std::string_view text) {
  std::vector<OwnedRecord> records;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::size_t nul = text.substr(at, end - at).find('\0');
    if (nul != std::string_view::npos) return Fail(Bad(at + nul, "NUL"));
    ASSAY_ASSIGN(OwnedRecord record, ParseLine(Line(text.substr(at, end - at), at)));
    records.push_back(std::move(record));
    at = end + 1;
  }
  return records;
}

}  // namespace assay::ima
