#include "base/json.h"

#include <simdjson.h>

#include <cstring>
#include <set>

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
Result<std::string> JsonValue::AsStr() const {
  std::string_view s;
  if (JsonDocImpl::Get(*this).get(s) != simdjson::SUCCESS)
    return Fail(JsonDocImpl::Bad(*this, "", "not a string"));
  return std::string(s);
}
Result<std::uint64_t> JsonValue::AsU64() const {
  std::uint64_t n = 0;
  if (JsonDocImpl::Get(*this).get(n) != simdjson::SUCCESS)
    return Fail(JsonDocImpl::Bad(*this, "", "not an unsigned integer"));
  return n;
}

Result<> JsonValue::Each(const std::function<Result<>(const JsonValue&)>& visit) const {
  simdjson::dom::array array;
  if (JsonDocImpl::Get(*this).get(array) != simdjson::SUCCESS)
    return Fail(JsonDocImpl::Bad(*this, "", "not an array"));
  std::size_t i = 0;
  for (element e : array) ASSAY_TRY(visit(JsonDocImpl::Make(e, doc_, path_ + "/" + std::to_string(i++))));
  return {};
}

Result<> JsonValue::EachMember(
    const std::function<Result<>(std::string_view, const JsonValue&)>& visit) const {
  simdjson::dom::object object;
  if (JsonDocImpl::Get(*this).get(object) != simdjson::SUCCESS)
    return Fail(JsonDocImpl::Bad(*this, "", "not an object"));
  for (auto member : object)
    ASSAY_TRY(
        visit(member.key, JsonDocImpl::Make(member.value, doc_, path_ + "/" + std::string(member.key))));
  return {};
}

Result<> JsonValue::OnlyKeys(std::initializer_list<std::string_view> keys) const {
  std::set<std::string_view> seen;
  return EachMember([&](std::string_view key, const JsonValue&) -> Result<> {
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      return Fail(JsonDocImpl::Bad(*this, key, "unknown member"));
    if (!seen.insert(key).second) return Fail(JsonDocImpl::Bad(*this, key, "duplicate member"));
    return {};
  });
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
