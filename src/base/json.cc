#include "base/json.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

namespace assay {

using simdjson::dom::element;

struct JsonDocImpl {
  std::string format;
  simdjson::dom::parser parser{JsonDoc::kMaxSize};

  static_assert(sizeof(element) == 16 && std::is_trivially_copyable_v<element>);
  static element Get(const JsonValue& v) {
    element e;
    std::memcpy(&e, v.raw_.bytes, sizeof(e));
    return e;
  }
  static JsonValue Make(element e, const JsonDocImpl* doc, std::string path) {
    JsonValue v;
    std::memcpy(v.raw_.bytes, &e, sizeof(e));
    v.doc_ = doc;
    v.path_ = std::move(path);
    return v;
  }
  static Error Bad(const JsonValue& v, std::string_view key, std::string_view what) {
    return ParseError(v.doc_->format, 0, v.path_ + "/" + std::string(key) + ": " + std::string(what));
  }
  template <typename T>
  static Result<T> As(const JsonValue& v, std::string_view type) {
    T out;
    if (Get(v).get(out) != simdjson::SUCCESS) return Fail(v.Bad("not " + std::string(type)));
    return out;
  }
  template <typename T>
  static Result<T> Member(const JsonValue& v, std::string_view key, std::string_view type) {
    element member;
    if (Get(v)[key].get(member) != simdjson::SUCCESS) return Fail(Bad(v, key, "missing"));
    T out;
    if (member.get(out) != simdjson::SUCCESS) return Fail(Bad(v, key, "not " + std::string(type)));
    return out;
  }
};

bool JsonValue::is_object() const { return JsonDocImpl::Get(*this).is_object(); }
bool JsonValue::is_array() const { return JsonDocImpl::Get(*this).is_array(); }
bool JsonValue::Has(std::string_view key) const {
  element e;
  return JsonDocImpl::Get(*this)[key].get(e) == simdjson::SUCCESS;
}
Result<std::string> JsonValue::Str(std::string_view key) const {
  ASSAY_ASSIGN(std::string_view s, JsonDocImpl::Member<std::string_view>(*this, key, "a string"));
  return std::string(s);
}
Result<std::int64_t> JsonValue::Int(std::string_view key) const {
  return JsonDocImpl::Member<std::int64_t>(*this, key, "an integer");
}
Result<std::uint64_t> JsonValue::U64(std::string_view key) const {
  return JsonDocImpl::Member<std::uint64_t>(*this, key, "an unsigned integer");
}
Result<double> JsonValue::Number(std::string_view key) const {
  return JsonDocImpl::Member<double>(*this, key, "a number");
}
Result<bool> JsonValue::Bool(std::string_view key) const {
  return JsonDocImpl::Member<bool>(*this, key, "a boolean");
}
Result<JsonValue> JsonValue::Object(std::string_view key) const {
  ASSAY_TRY(JsonDocImpl::Member<simdjson::dom::object>(*this, key, "an object"));
  return JsonDocImpl::Make(element(JsonDocImpl::Get(*this)[key].value()), doc_,
                           path_ + "/" + std::string(key));
}
Result<JsonValue> JsonValue::Array(std::string_view key) const {
  ASSAY_TRY(JsonDocImpl::Member<simdjson::dom::array>(*this, key, "an array"));
  return JsonDocImpl::Make(element(JsonDocImpl::Get(*this)[key].value()), doc_,
                           path_ + "/" + std::string(key));
}
Result<JsonValue> JsonValue::Get(std::string_view key) const {
  element member;
  if (JsonDocImpl::Get(*this)[key].get(member) != simdjson::SUCCESS)
    return Fail(JsonDocImpl::Bad(*this, key, "missing"));
  return JsonDocImpl::Make(member, doc_, path_ + "/" + std::string(key));
}
Result<std::uint32_t> JsonValue::U32(std::string_view key) const {
  ASSAY_ASSIGN(const std::uint64_t n, U64(key));
  if (n > UINT32_MAX) return Fail(JsonDocImpl::Bad(*this, key, "too large"));
  return static_cast<std::uint32_t>(n);
}
Result<Bytes> JsonValue::Hex(std::string_view key) const {
  ASSAY_ASSIGN(const std::string_view text, JsonDocImpl::Member<std::string_view>(*this, key, "a string"));
  Result<Bytes> bytes = FromHex(text);
  if (!bytes) return Fail(JsonDocImpl::Bad(*this, key, "not hexadecimal"));
  return bytes;
}
Result<std::vector<std::string>> JsonValue::Strings(std::string_view key) const {
  ASSAY_ASSIGN(const JsonValue array, Array(key));
  std::vector<std::string> out;
  ASSAY_TRY(array.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(std::string text, v.AsStr());
    out.push_back(std::move(text));
    return {};
  }));
  return out;
}
Result<std::string> JsonValue::AsStr() const {
  ASSAY_ASSIGN(const std::string_view s, JsonDocImpl::As<std::string_view>(*this, "a string"));
  return std::string(s);
}
Result<std::int64_t> JsonValue::AsInt() const { return JsonDocImpl::As<std::int64_t>(*this, "an integer"); }
Result<std::uint64_t> JsonValue::AsU64() const {
  return JsonDocImpl::As<std::uint64_t>(*this, "an unsigned integer");
}
Result<bool> JsonValue::AsBool() const { return JsonDocImpl::As<bool>(*this, "a boolean"); }
Error JsonValue::Bad(std::string_view what) const {
  return ParseError(doc_->format, 0, (path_.empty() ? "/" : path_) + ": " + std::string(what));
}

Result<> JsonValue::Each(const std::function<Result<>(const JsonValue&)>& visit) const {
  simdjson::dom::array array;
  if (JsonDocImpl::Get(*this).get(array) != simdjson::SUCCESS) return Fail(Bad("not an array"));
  std::size_t i = 0;
  for (element e : array) ASSAY_TRY(visit(JsonDocImpl::Make(e, doc_, path_ + "/" + std::to_string(i++))));
  return {};
}

Result<> JsonValue::EachMember(
    const std::function<Result<>(std::string_view, const JsonValue&)>& visit) const {
  simdjson::dom::object object;
  if (JsonDocImpl::Get(*this).get(object) != simdjson::SUCCESS) return Fail(Bad("not an object"));
  for (auto member : object)
    ASSAY_TRY(
        visit(member.key, JsonDocImpl::Make(member.value, doc_, path_ + "/" + std::string(member.key))));
  return {};
}

Result<> JsonValue::OnlyKeys(std::initializer_list<std::string_view> keys) const {
  return OnlyKeys(std::span(keys.begin(), keys.size()));
}

Result<> JsonValue::OnlyKeys(std::span<const std::string_view> keys) const {
  simdjson::dom::object object;
  if (JsonDocImpl::Get(*this).get(object) != simdjson::SUCCESS) return Fail(Bad("not an object"));
  std::vector<bool> seen(keys.size());
  for (const auto member : object) {
    const auto at = static_cast<std::size_t>(std::find(keys.begin(), keys.end(), member.key) - keys.begin());
    if (at == keys.size()) return Fail(JsonDocImpl::Bad(*this, member.key, "unknown member"));
    if (seen[at]) return Fail(JsonDocImpl::Bad(*this, member.key, "duplicate member"));
    seen[at] = true;
  }
  return {};
}

JsonDoc::JsonDoc(std::unique_ptr<JsonDocImpl> impl) : impl_(std::move(impl)) {}
JsonDoc::JsonDoc(JsonDoc&&) noexcept = default;
JsonDoc& JsonDoc::operator=(JsonDoc&&) noexcept = default;
JsonDoc::~JsonDoc() = default;
const std::string& JsonDoc::format() const { return impl_->format; }

Result<JsonDoc> JsonDoc::Parse(std::string_view text, std::string_view format, std::size_t max_size) {
  if (text.size() > max_size || text.size() > kMaxSize)
    return Fail(ParseError(std::string(format), std::min(max_size, kMaxSize), "too large"));
  auto impl = std::make_unique<JsonDocImpl>();
  impl->format = format;
  if (impl->parser.allocate(std::max<std::size_t>(text.size(), 64), kMaxDepth) != simdjson::SUCCESS)
    return Fail(ParseError(std::string(format), 0, "out of memory"));
  if (const auto error = impl->parser.parse(text.data(), text.size(), true).error();
      error != simdjson::SUCCESS)
    return Fail(
        ParseError(std::string(format), 0, std::string("not JSON: ") + simdjson::error_message(error)));
  return JsonDoc(std::move(impl));
}

JsonValue JsonDoc::root() const { return JsonDocImpl::Make(impl_->parser.doc.root(), impl_.get(), ""); }

}  // namespace assay
