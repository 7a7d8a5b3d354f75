// Internal: the templates and fields that a kernel knows, and the splitting of a record's template data into
// fields.
//
//   // given: const RecordView& record
//   if (const auto specs = FieldsOf(record.template_name)) {
//     ASSAY_ASSIGN(std::vector<Field> fields, SplitFields(record, *specs));   // framing only, not the values
//   }
//
// Contract: one table for decoding, printing and parsing. Source: Linux 6.12 ima_template.c.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "list/list.h"

namespace assay::ima {

inline constexpr std::string_view kTemplateFormat = "ima-template";
inline constexpr std::size_t kImaDigestSize = 20;  // the "ima" template: digest[20] | u32 len | name
inline constexpr std::size_t kImaNameAt = kImaDigestSize + 4;

enum class FieldKind {
  kDigest,      // the digest alone
  kDigestNg,    // "alg:" NUL digest
  kDigestNgV2,  // "type:alg:" NUL digest
  kName,        // path or name, NUL
  kText,        // other text, NUL
  kHex,         // bytes, printed in hexadecimal
  kUint,        // host order, printed in decimal
};

struct FieldSpec {
  std::string_view id;
  FieldKind kind;
  std::size_t uint_size = 0;  // bytes
};

// A template's fields in order; nullopt when the name is neither a built-in template nor a format string of
// known fields.
std::optional<std::vector<FieldSpec>> FieldsOf(std::string_view template_name);

// All fields of the record, bounded by its template data. An error is a ParseError of kTemplateFormat.
Result<std::vector<Field>> SplitFields(const RecordView& record, const std::vector<FieldSpec>& specs);

// Where template data begins in the input.
std::uint64_t DataOffset(const RecordView& record);

}  // namespace assay::ima
