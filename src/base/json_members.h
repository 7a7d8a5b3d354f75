// One table for the members of a JSON object that is both written and read. For .cc files.
//
//   struct ExamplePoint {
//     std::uint32_t x = 0, y = 0;
//     std::string name;
//   };
//   constexpr auto kExamplePoint = [](auto& visit, auto& p) {
//     visit("x", p.x);
//     visit("y", p.y);
//     visit.Optional("name", p.name);
//   };
//   // given: const JsonDoc& document, const ExamplePoint& point
//   const nlohmann::json written = WriteMembers(kExamplePoint, point);
//   ExamplePoint read;
//   ASSAY_TRY(ReadMembers(kExamplePoint, document.root(), read));
//
// Contract: a table visits members, and decides nothing by their values. Reading is strict: a member that is
// missing, of another type, out of its type's range, unknown or there twice is a ParseError that names it;
// the first one is returned, and the value is then half read. What must hold among members is checked
// afterwards by the format's own code. Strings are bytes here: DumpJson() makes UTF-8 of them,
// JsonStrings::kAscii makes ASCII.
//
// These types need no more: bool, integers, std::string, Bytes (in hex), types with ToString() and a static
// Parse(), std::optional (Optional() only), and vectors, sets and string-keyed maps of these. For other types
// a third argument says how they are written and read: the table of a struct, JsonText for a value that is a
// string in JSON, JsonForm for any other form, JsonList for a bounded list of either.
#pragma once

#include <concepts>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/json_dump.h"
#include "base/text.h"

namespace assay {

// write(value) gives a string, read(text) a Result of the value, or an optional.
template <typename Write, typename Read>
struct JsonText {
  Write write;
  Read read;
};
// write(value) gives an nlohmann::json, read(const JsonValue&) a Result of the value.
template <typename Write, typename Read>
struct JsonForm {
  Write write;
  Read read;
};
// A vector or set of at most `max` elements; each: how one of them is written and read.
template <typename Each>
struct JsonList {
  Each each;
  std::size_t max;
};

enum class JsonStrings {
  kBytes,  // as they are
  kAscii,  // '?' for each byte that is not printable ASCII
};

namespace json_members {

template <typename T>
concept Textual = requires(const T& value, std::string_view text) {
  { value.ToString() } -> std::convertible_to<std::string>;
  { T::Parse(text) } -> std::same_as<Result<T>>;
};
template <typename T>
inline constexpr bool kIsList = false;
template <typename T>
inline constexpr bool kIsList<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsList<std::set<T>> = true;
template <typename T>
inline constexpr bool kIsMap = false;
template <typename T>
inline constexpr bool kIsMap<std::map<std::string, T>> = true;
template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kNever = false;

}  // namespace json_members

class JsonWriter {
 public:
  explicit JsonWriter(JsonStrings strings) : strings_(strings) {}
  // A member that is always there.
  template <typename T, typename... How>
  void operator()(const char* key, const T& value, const How&... how) {
    out_[key] = Write(value, how...);
  }
  // A member that is left out if it is empty (as its type is by default).
  template <typename T, typename... How>
  void Optional(const char* key, const T& value, const How&... how) {
    if constexpr (json_members::kIsOptional<T>) {
      if (value) out_[key] = Write(*value, how...);
    } else {
      if (!(value == T{})) out_[key] = Write(value, how...);
    }
  }
  // A member that is always written. If it is missing in a text, the value stays as it was.
  template <typename T, typename... How>
  void Default(const char* key, const T& value, const How&... how) {
    (*this)(key, value, how...);
  }
  // A member that is the same in each object of the format.
  template <typename T>
  void Constant(const char* key, const T& value) {
    out_[key] = value;
  }
  // A member that belongs to the object and that other code writes and reads.
  void Elsewhere(const char* /*key*/) {}
  // An object that holds members of the same struct: members(visit).
  template <typename Members>
  void Object(const char* key, const Members& members) {
    JsonWriter inner(strings_);
    members(inner);
    out_[key] = inner.Take();
  }
  nlohmann::json Take() { return std::move(out_); }

 private:
  std::string Text(std::string text) const {
    return strings_ == JsonStrings::kAscii ? PrintableAscii(text) : std::move(text);
  }
  template <typename T>
  nlohmann::json Write(const T& value) const {
    using namespace json_members;
    if constexpr (std::is_arithmetic_v<T>) {
      return value;
    } else if constexpr (std::same_as<T, std::string>) {
      return Text(value);
    } else if constexpr (std::same_as<T, Bytes>) {
      return Hex(value);
    } else if constexpr (Textual<T>) {
      return Text(value.ToString());
    } else if constexpr (kIsList<T>) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& element : value) list.push_back(Write(element));
      return list;
    } else if constexpr (kIsMap<T>) {
      nlohmann::json object = nlohmann::json::object();
      for (const auto& [key, element] : value) object[Text(key)] = Write(element);
      return object;
    } else {
      static_assert(kNever<T>, "a third argument must say how this type is written and read");
    }
  }
  template <typename T, typename W, typename R>
  nlohmann::json Write(const T& value, const JsonText<W, R>& how) const {
    return Text(std::string(how.write(value)));
  }
  template <typename T, typename W, typename R>
  nlohmann::json Write(const T& value, const JsonForm<W, R>& how) const {
    return how.write(value);
  }
  template <typename T, typename Each>
  nlohmann::json Write(const T& value, const JsonList<Each>& how) const {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& element : value) list.push_back(Write(element, how.each));
    return list;
  }
  template <typename T, typename Table>
  nlohmann::json Write(const T& value, const Table& table) const {
    JsonWriter inner(strings_);
    table(inner, value);
    return inner.Take();
  }

  JsonStrings strings_;
  nlohmann::json out_ = nlohmann::json::object();
};

class JsonReader {
 public:
  explicit JsonReader(JsonValue from) : from_(std::move(from)) {
    if (!from_.is_object()) error_ = from_.Bad("not an object");
  }
  template <typename T, typename... How>
  void operator()(const char* key, T& out, const How&... how) {
    keys_.emplace_back(key);
    if (error_) return;
    const Result<JsonValue> member = from_.Get(key);
    Keep(member ? Read(*member, out, how...) : Fail(member.error()));
  }
  template <typename T, typename... How>
  void Optional(const char* key, T& out, const How&... how) {
    keys_.emplace_back(key);
    if (error_ || !from_.Has(key)) return;
    const Result<JsonValue> member = from_.Get(key);
    if constexpr (json_members::kIsOptional<T>)
      Keep(Read(*member, out.emplace(), how...));
    else
      Keep(Read(*member, out, how...));
  }
  template <typename T, typename... How>
  void Default(const char* key, T& out, const How&... how) {
    Optional(key, out, how...);
  }
  template <typename T>
  void Constant(const char* key, const T& wanted) {
    std::conditional_t<std::is_arithmetic_v<T>, T, std::string> found{};
    (*this)(key, found);
    if (!error_ && found != wanted) error_ = from_.Get(key)->Bad("not the one of this format");
  }
  void Elsewhere(const char* key) { keys_.emplace_back(key); }
  template <typename Members>
  void Object(const char* key, const Members& members) {
    keys_.emplace_back(key);
    if (error_) return;
    Result<JsonValue> object = from_.Get(key);
    if (!object) {
      error_ = object.error();
      return;
    }
    JsonReader inner(std::move(*object));
    members(inner);
    Keep(inner.Finish());
  }
  // Returns the first error, or an error if the object has other members.
  Result<> Finish() const {
    if (error_) return Fail(*error_);
    return from_.OnlyKeys(keys_);
  }

 private:
  void Keep(const Result<>& result) {
    if (!result) error_ = result.error();
  }
  template <typename T>
  static Result<> Read(const JsonValue& from, T& out) {
    using namespace json_members;
    if constexpr (std::same_as<T, bool>) {
      ASSAY_ASSIGN(out, from.AsBool());
    } else if constexpr (std::unsigned_integral<T>) {
      ASSAY_ASSIGN(const std::uint64_t n, from.AsU64());
      if (n > std::numeric_limits<T>::max()) return Fail(from.Bad("too large"));
      out = static_cast<T>(n);
    } else if constexpr (std::same_as<T, std::int64_t>) {
      ASSAY_ASSIGN(out, from.AsInt());
    } else if constexpr (std::same_as<T, std::string>) {
      ASSAY_ASSIGN(out, from.AsStr());
    } else if constexpr (std::same_as<T, Bytes>) {
      ASSAY_ASSIGN(const std::string text, from.AsStr());
      Result<Bytes> bytes = FromHex(text);
      if (!bytes) return Fail(from.Bad("not hexadecimal"));
      out = std::move(*bytes);
    } else if constexpr (Textual<T>) {
      return ReadText(from, out, &T::Parse);
    } else if constexpr (kIsList<T>) {
      out.clear();
      return from.Each([&](const JsonValue& v) -> Result<> {
        typename T::value_type element{};
        ASSAY_TRY(Read(v, element));
        out.insert(out.end(), std::move(element));
        return {};
      });
    } else if constexpr (kIsMap<T>) {
      out.clear();
      return from.EachMember(
          [&](std::string_view key, const JsonValue& v) { return Read(v, out[std::string(key)]); });
    } else {
      static_assert(kNever<T>, "a third argument must say how this type is written and read");
    }
    return {};
  }
  template <typename T, typename Parse>
  static Result<> ReadText(const JsonValue& from, T& out, const Parse& parse) {
    ASSAY_ASSIGN(const std::string text, from.AsStr());
    auto value = parse(std::string_view(text));
    if constexpr (requires { value.error(); }) {
      if (!value) return Fail(from.Bad(value.error().Message()));
    } else {
      if (!value) return Fail(from.Bad("unknown: " + text));
    }
    out = std::move(*value);
    return {};
  }
  template <typename T, typename W, typename R>
  static Result<> Read(const JsonValue& from, T& out, const JsonText<W, R>& how) {
    return ReadText(from, out, how.read);
  }
  template <typename T, typename W, typename R>
  static Result<> Read(const JsonValue& from, T& out, const JsonForm<W, R>& how) {
    ASSAY_ASSIGN(out, how.read(from));
    return {};
  }
  template <typename T, typename Each>
  static Result<> Read(const JsonValue& from, T& out, const JsonList<Each>& how) {
    out.clear();
    return from.Each([&](const JsonValue& v) -> Result<> {
      if (out.size() >= how.max) return Fail(from.Bad("more than " + std::to_string(how.max)));
      typename T::value_type element{};
      ASSAY_TRY(Read(v, element, how.each));
      out.insert(out.end(), std::move(element));
      return {};
    });
  }
  template <typename T, typename Table>
  static Result<> Read(const JsonValue& from, T& out, const Table& table) {
    JsonReader inner(from);
    table(inner, out);
    return inner.Finish();
  }

  JsonValue from_;
  std::vector<std::string_view> keys_;
  std::optional<Error> error_;
};

template <typename Table, typename T>
nlohmann::json WriteMembers(const Table& table, const T& value, JsonStrings strings = JsonStrings::kBytes) {
  JsonWriter writer(strings);
  table(writer, value);
  return writer.Take();
}

template <typename Table, typename T>
Result<> ReadMembers(const Table& table, const JsonValue& from, T& out) {
  JsonReader reader(from);
  table(reader, out);
  return reader.Finish();
}

}  // namespace assay
