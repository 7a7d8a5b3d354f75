// One table of the names of an enum's values, for writing them, reading them back, and listing them.
//
//   enum class ExampleLevel { kQuote, kList };
//   constexpr auto kLevelNames =
//       Names<ExampleLevel>({{ExampleLevel::kQuote, "quote"}, {ExampleLevel::kList, "list"}});
//   // given: std::string_view text
//   const std::string_view name = kLevelNames.Of(ExampleLevel::kList);      // "list"
//   const auto found = kLevelNames.Find("quote");                          // nullopt for an unknown name
//   ASSAY_ASSIGN(ExampleLevel level, kLevelNames.Parse(text, "level"));    // UsageError "level: not ..."
//
// Contract: the enumerators count from 0 without gaps, and the table has each of them once, in their order. A
// table that misses one, has two equal names or an empty one does not compile: a new enumerator needs a name.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace assay {

template <typename E>
struct Named {
  E value;
  std::string_view name;
};

// Whether the enum has a name in the source for this value: GCC and Clang print "E::kName" if so, else
// "(E)3".
template <auto V>
constexpr bool IsEnumerator() {
  const std::string_view function = __PRETTY_FUNCTION__;
  const std::size_t at = function.rfind("V = ");
  return at != std::string_view::npos && function[at + 4] != '(';
}

template <typename E, std::size_t N>
class NameTable {
  static_assert(IsEnumerator<static_cast<E>(N - 1)>(), "the table has more rows than the enum has values");
  static_assert(!IsEnumerator<static_cast<E>(N)>(), "an enumerator has no name in the table");

 public:
  explicit consteval NameTable(const Named<E> (&rows)[N]) {
    for (std::size_t i = 0; i < N; ++i) {
      if (rows[i].value != static_cast<E>(i)) throw "a row is not at its enumerator's place";
      if (rows[i].name.empty()) throw "a name is empty";
      for (std::size_t k = 0; k < i; ++k)
        if (rows[k].name == rows[i].name) throw "two enumerators have one name";
      names_[i] = rows[i].name;
    }
  }

  // For a value that is none of the enumerators (a wrong cast) the name is "?".
  constexpr std::string_view Of(E value) const {
    const auto at = static_cast<std::size_t>(value);
    return at < N ? names_[at] : "?";
  }
  constexpr std::optional<E> Find(std::string_view name) const {
    for (std::size_t i = 0; i < N; ++i)
      if (names_[i] == name) return static_cast<E>(i);
    return std::nullopt;
  }
  // what: the name of the option or member, for the error.
  Result<E> Parse(std::string_view name, std::string_view what) const {
    if (const std::optional<E> value = Find(name)) return *value;
    return Fail(UsageError(std::string(what) + ": not " + Choices() + ": " + std::string(name)));
  }
  // "quote, list or full"
  std::string Choices() const {
    std::string out;
    for (std::size_t i = 0; i < N; ++i) {
      if (i > 0) out += i + 1 == N ? " or " : ", ";
      out += names_[i];
    }
    return out;
  }
  static constexpr std::size_t size() { return N; }

 private:
  std::array<std::string_view, N> names_{};
};

template <typename E, std::size_t N>
consteval NameTable<E, N> Names(const Named<E> (&rows)[N]) {
  return NameTable<E, N>(rows);
}

}  // namespace assay
