// Reading untrusted JSON: bounded in size and depth, UTF-8 checked, typed access with named errors (simdjson
// inside). Writing is done with nlohmann::json in .cc files.
//
//   // given: std::string_view text
//   ASSAY_ASSIGN(JsonDoc doc, JsonDoc::Parse(text, "challenge"));
//   ASSAY_TRY(doc.root().OnlyKeys({"nonce", "first"}));
//   ASSAY_ASSIGN(std::string nonce, doc.root().Str("nonce"));
//
// Contract: values are copies or views into the document, which must outlive them. A missing or ill-typed
// member is a ParseError of the document's format with the member's path in its text. Duplicate keys and
// unknown members are errors where the caller asks for it (OnlyKeys). An object that is written and read has
// one table of its members for both: base/json_members.h.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace assay {

class JsonDoc;
struct JsonDocImpl;

class JsonValue {
 public:
  bool is_object() const;
  bool is_array() const;
  bool Has(std::string_view key) const;
  Result<JsonValue> Get(std::string_view key) const;  // a member of any type
  Result<std::string> Str(std::string_view key) const;
  Result<std::int64_t> Int(std::string_view key) const;
  Result<std::uint64_t> U64(std::string_view key) const;
  Result<std::uint32_t> U32(std::string_view key) const;
  Result<double> Number(std::string_view key) const;
  Result<bool> Bool(std::string_view key) const;
  Result<Bytes> Hex(std::string_view key) const;  // a string of hexadecimal digits
  Result<std::vector<std::string>> Strings(std::string_view key) const;
  Result<JsonValue> Object(std::string_view key) const;
  Result<JsonValue> Array(std::string_view key) const;
  // This value itself.
  Result<std::string> AsStr() const;
  Result<std::int64_t> AsInt() const;
  Result<std::uint64_t> AsU64() const;
  Result<bool> AsBool() const;
  // Calls the function for each element of an array or member of an object, in order, and stops at the first
  // error.
  Result<> Each(const std::function<Result<>(const JsonValue&)>& visit) const;
  Result<> EachMember(const std::function<Result<>(std::string_view key, const JsonValue&)>& visit) const;
  // An error if the object has other keys than these, or one of them twice.
  Result<> OnlyKeys(std::initializer_list<std::string_view> keys) const;
  Result<> OnlyKeys(std::span<const std::string_view> keys) const;
  // A ParseError of the document's format that names this value: "/engine/scope: not a scope".
  Error Bad(std::string_view what) const;

 private:
  friend class JsonDoc;
  friend struct JsonDocImpl;
  struct Raw {
    alignas(8) unsigned char bytes[16];
  };
  Raw raw_{};  // a simdjson::dom::element, kept out of this header
  const JsonDocImpl* doc_ = nullptr;
  std::string path_;
};

class JsonDoc {
 public:
  static constexpr std::size_t kMaxSize = std::size_t{16} << 20;
  static constexpr std::size_t kMaxDepth = 32;
  static Result<JsonDoc> Parse(std::string_view text, std::string_view format,
                               std::size_t max_size = kMaxSize);
  JsonDoc(JsonDoc&&) noexcept;
  JsonDoc& operator=(JsonDoc&&) noexcept;
  ~JsonDoc();
  JsonValue root() const;
  const std::string& format() const;

 private:
  explicit JsonDoc(std::unique_ptr<JsonDocImpl> impl);
  std::unique_ptr<JsonDocImpl> impl_;
};

}  // namespace assay
