// The identity of an error as a value: an enumerator of a room. One table of that room has its dotted name.
//
//   enum class PoolError { kLocked, kFull };
//   inline constexpr ErrorRow kPoolErrors[] = {
//       {PoolError::kLocked, "pool.locked", "Stop the other attester first."},
//       {PoolError::kFull, "pool.full", "Make room in /run/assay."},
//   };
//   constexpr std::span<const ErrorRow> ErrorTable(PoolError) { return kPoolErrors; }
//   const Error error = StateError(PoolError::kFull, "the tmpfs is full");        // the room that fails
//   if (error.Is(PoolError::kFull)) log::Warn("{}", error.Message());              // a caller that asks
//
// Contract: a table has a row for each enumerator, in their order; the use of an enumerator that has none
// does not compile. Names are unique in the whole tree, lower case, and never change: JSON, metrics and
// scripts have them. Tables stand in the rooms' errors.h; a test compares them with docs/errors.md. No code
// compares names (scripts/check-codes).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace assay {

struct ErrorRow {
  template <typename E>
    requires std::is_enum_v<E>
  constexpr ErrorRow(E error, std::string_view name_in, std::string_view remedy_in)
      : value(static_cast<std::size_t>(error)), name(name_in), remedy(remedy_in) {}
  std::size_t value;        // the enumerator's
  std::string_view name;    // "recorder.locked"
  std::string_view remedy;  // what a person can do, a sentence or more
};

// An enumeration that has a table, found in the enumeration's own namespace.
template <typename E>
concept ErrorEnum = std::is_enum_v<E> && requires(E e) {
  { ErrorTable(e) } -> std::convertible_to<std::span<const ErrorRow>>;
};

class ErrorCode {
 public:
  template <ErrorEnum E>
  consteval ErrorCode(E error)  // NOLINT(google-explicit-constructor): an enumerator is meant as its code
      : ErrorCode(Of(error)) {}
  // For an enumerator that is only known when the program runs.
  template <ErrorEnum E>
  static constexpr ErrorCode Of(E error) {
    const std::span<const ErrorRow> rows = ErrorTable(error);
    const auto at = static_cast<std::size_t>(error);
    if (at >= rows.size() || rows[at].value != at) std::abort();  // a row is missing or in another place
    return ErrorCode(&rows[at]);
  }

  constexpr std::string_view name() const { return row_->name; }
  constexpr std::string_view remedy() const { return row_->remedy; }
  // The enumerator, if it is one of this enumeration: for a switch.
  template <ErrorEnum E>
  std::optional<E> As() const {
    const std::span<const ErrorRow> rows = ErrorTable(E{});
    if (row_->value >= rows.size() || &rows[row_->value] != row_) return std::nullopt;
    return static_cast<E>(row_->value);
  }
  friend bool operator==(const ErrorCode&, const ErrorCode&) = default;

 private:
  explicit constexpr ErrorCode(const ErrorRow* row) : row_(row) {}
  const ErrorRow* row_;  // in a table: each row is there once in the program
};

// The enumerator of this name, as JSON and messages have it.
template <ErrorEnum E>
constexpr std::optional<E> FromName(std::string_view name) {
  for (const ErrorRow& row : ErrorTable(E{}))
    if (row.name == name) return static_cast<E>(row.value);
  return std::nullopt;
}

}  // namespace assay
