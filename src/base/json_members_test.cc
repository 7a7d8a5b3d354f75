#include "base/json_members.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/members_testing.h"

namespace assay {
namespace {

using testing::HasSubstr;

enum class Colour { kRed, kBlue };
std::string_view ColourName(Colour c) { return c == Colour::kRed ? "red" : "blue"; }
Result<Colour> ColourFromName(std::string_view name) {
  for (const Colour c : {Colour::kRed, Colour::kBlue})
    if (name == ColourName(c)) return c;
  return Fail(UsageError("not a colour"));
}
constexpr JsonText kColour{ColourName, ColourFromName};

class Even {
 public:
  static Result<Even> Parse(std::string_view text) {
    if (text.size() % 2 != 0) return Fail(UsageError("odd"));
    Even e;
    e.text_ = text;
    return e;
  }
  std::string ToString() const { return text_; }
  bool operator==(const Even&) const = default;

 private:
  std::string text_;
};

struct Inner {
  std::uint32_t number = 0;
  Colour colour = Colour::kRed;
  bool operator==(const Inner&) const = default;
};
struct Outer {
  bool on = true;
  std::uint16_t small = 0;
  std::uint64_t large = 0;
  std::int64_t below = 0;
  std::string text;
  Bytes bytes;
  Even even;
  std::optional<std::uint64_t> maybe;
  std::optional<Inner> inner;
  std::vector<Inner> list;
  std::set<std::string> names;
  std::map<std::string, std::string> map;
  std::string flat;
  std::uint32_t by_default = 7;
  std::pair<int, int> pair{};
  bool operator==(const Outer&) const = default;
};

constexpr auto kInner = [](auto& visit, auto& v) {
  visit("number", v.number);
  visit("colour", v.colour, kColour);
};
constexpr JsonForm kPair{[](const std::pair<int, int>& p) { return nlohmann::json{p.first, p.second}; },
                         [](const JsonValue& v) -> Result<std::pair<int, int>> {
                           std::vector<int> both;
                           ASSAY_TRY(v.Each([&](const JsonValue& n) -> Result<> {
                             ASSAY_ASSIGN(const std::uint64_t value, n.AsU64());
                             both.push_back(static_cast<int>(value));
                             return {};
                           }));
                           if (both.size() != 2) return Fail(v.Bad("not two numbers"));
                           return std::pair(both[0], both[1]);
                         }};
constexpr auto kOuter = [](auto& visit, auto& v) {
  visit.Constant("version", std::uint64_t{2});
  visit("on", v.on);
  visit("small", v.small);
  visit("large", v.large);
  visit("below", v.below);
  visit("text", v.text);
  visit("bytes", v.bytes);
  visit("even", v.even);
  visit.Optional("maybe", v.maybe);
  visit.Optional("inner", v.inner, kInner);
  visit("list", v.list, JsonList{kInner, 2});
  visit("names", v.names);
  visit("map", v.map);
  visit.Object("nested", [&](auto& nested) { nested.Optional("flat", v.flat); });
  visit.Default("by_default", v.by_default);
  visit("pair", v.pair, kPair);
};

Outer Full() {
  Outer v;
  v.on = false;
  v.small = 0xFFFF;
  v.large = ~std::uint64_t{0};
  v.below = -5;
  v.text = "text";
  v.bytes = {1, 2};
  v.even = Even::Parse("ab").value();
  v.maybe = 0;
  v.inner = Inner{3, Colour::kBlue};
  v.list = {{4, Colour::kBlue}, {5, Colour::kBlue}};
  v.names = {"b", "a"};
  v.map = {{"k", "v"}};
  v.flat = "flat";
  v.by_default = 8;
  v.pair = {1, 2};
  return v;
}

Result<Outer> ReadOuter(const std::string& text) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "outer"));
  Outer out;
  ASSAY_TRY(ReadMembers(kOuter, doc.root(), out));
  return out;
}

// What reading says of the sample after `edit`.
template <typename Edit>
std::string After(Edit edit) {
  nlohmann::json j = WriteMembers(kOuter, Full());
  edit(j);
  const Result<Outer> out = ReadOuter(DumpJson(j));
  return out ? "read" : out.error().Message();
}

TEST(JsonMembers, EachMemberIsWrittenAndRead) {
  ExpectEachMemberSet(Full());
  EXPECT_EQ(ReadOuter(DumpJson(WriteMembers(kOuter, Full()))).value(), Full());
  EXPECT_EQ(ReadOuter(DumpJson(WriteMembers(kOuter, Outer{}), 1)).value(), Outer{});
}

TEST(JsonMembers, WhatIsEmptyIsLeftOut) {
  const nlohmann::json j = WriteMembers(kOuter, Outer{});
  for (const char* key : {"maybe", "inner"}) EXPECT_FALSE(j.contains(key)) << key;
  EXPECT_EQ(j["nested"], nlohmann::json::object());
  EXPECT_EQ(j["by_default"], 7);
}

TEST(JsonMembers, WhatIsMissedKeepsItsDefault) {
  EXPECT_EQ(After([](auto& j) { j.erase("by_default"); }), "read");
  EXPECT_EQ(After([](auto& j) { j["nested"].erase("flat"); }), "read");
  EXPECT_THAT(After([](auto& j) { j.erase("small"); }), HasSubstr("/small: missing"));
}

TEST(JsonMembers, WhatIsWrongIsNamed) {
  EXPECT_THAT(After([](auto& j) { j["version"] = 3; }), HasSubstr("/version: not the one of this format"));
  EXPECT_THAT(After([](auto& j) { j["small"] = 0x10000; }), HasSubstr("/small: too large"));
  EXPECT_THAT(After([](auto& j) { j["large"] = -1; }), HasSubstr("/large: not an unsigned integer"));
  EXPECT_THAT(After([](auto& j) { j["on"] = 1; }), HasSubstr("/on: not a boolean"));
  EXPECT_THAT(After([](auto& j) { j["bytes"] = "0"; }), HasSubstr("/bytes: not hexadecimal"));
  EXPECT_THAT(After([](auto& j) { j["even"] = "abc"; }), HasSubstr("/even: odd"));
  EXPECT_THAT(After([](auto& j) { j["inner"]["colour"] = "green"; }),
              HasSubstr("/inner/colour: not a colour"));
  EXPECT_THAT(After([](auto& j) { j["inner"]["more"] = 1; }), HasSubstr("/inner/more: unknown member"));
  EXPECT_THAT(After([](auto& j) { j["nested"]["more"] = 1; }), HasSubstr("/nested/more: unknown member"));
  EXPECT_THAT(After([](auto& j) { j["nested"] = 1; }), HasSubstr("/nested: not an object"));
  EXPECT_THAT(After([](auto& j) { j["list"].push_back(j["list"][0]); }), HasSubstr("/list: more than 2"));
  EXPECT_THAT(After([](auto& j) { j["list"][1] = 1; }), HasSubstr("/list/1: not an object"));
  EXPECT_THAT(After([](auto& j) { j["pair"] = {1}; }), HasSubstr("/pair: not two numbers"));
  EXPECT_THAT(After([](auto& j) { j["more"] = 1; }), HasSubstr("/more: unknown member"));
  std::string twice = DumpJson(WriteMembers(kOuter, Full()));
  twice.insert(1, R"("on":true,)");
  EXPECT_THAT(ReadOuter(twice).error().Message(), HasSubstr("/on: duplicate member"));
  EXPECT_THAT(ReadOuter("[]").error().Message(), HasSubstr("not an object"));
}

TEST(JsonMembers, TextIsUtf8OrAscii) {
  Outer v;
  v.text = "caf\xC3\xA9 \xFF\n";
  EXPECT_EQ(ReadOuter(DumpJson(WriteMembers(kOuter, v)))->text, "caf\xC3\xA9 \xEF\xBF\xBD\n");
  EXPECT_EQ(ReadOuter(DumpJson(WriteMembers(kOuter, v, JsonStrings::kAscii)))->text, "caf?? ??");
}

}  // namespace
}  // namespace assay
