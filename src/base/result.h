// Errors: one must-check Result<T>, and error types that carry fields.
//
//   // given: const std::string& path
//   const auto read_list = [&]() -> Result<Bytes> {
//     ASSAY_ASSIGN(Bytes data, ReadFile(path, 1 << 20));         // returns the error, if there is one
//     if (data.empty()) return Fail(ParseError{"ima-list", 0, "empty"});
//     return data;
//   };
//   if (auto list = read_list(); !list) log::Warn("{}", list.error().Message());
//
// Contract: a Result that is not looked at does not compile. An error has a sentence for people (Message()),
// a stable dotted name for JSON, metrics and tests (code()), and for code that decides by it an enumerator of
// its room (Is(RecorderError::kLocked), base/error_code.h) or a type of its own with fields
// (As<ParseError>()). Functions declared in a public header throw nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

#include "base/error_code.h"

namespace assay {

// The common part of all domain errors. Derive, add fields, and name the error.
class ErrorInfo {
 public:
  virtual ~ErrorInfo() = default;
  // Stable, dotted, lower case: "parse.ima-list", "os.openat", "recorder.locked". It is for people and
  // scripts; code that decides by an error asks Is() or As().
  virtual std::string code() const = 0;
  virtual std::string Message() const = 0;
  // The enumerator. No value if the name is made of the error's fields (ParseError, OsError, LibError).
  virtual std::optional<ErrorCode> id() const { return std::nullopt; }
};

// An error as it travels: a cheap copy, never empty.
class [[nodiscard]] Error {
 public:
  template <typename E, typename = std::enable_if_t<std::is_base_of_v<ErrorInfo, E>>>
  Error(E info)  // NOLINT(google-explicit-constructor): so that `return Fail(ParseError{...})` reads well
      : info_(std::make_shared<const E>(std::move(info))) {}

  std::string code() const { return info_->code(); }
  // The sentence, preceded by what was being done: "reading the list: open /x: No such file or directory".
  std::string Message() const {
    return context_.empty() ? info_->Message() : context_ + ": " + info_->Message();
  }
  bool Is(ErrorCode code) const { return info_->id() == code; }
  // The enumerator, if it is one of this enumeration: for a switch.
  template <ErrorEnum E>
  std::optional<E> Code() const {
    const std::optional<ErrorCode> id = info_->id();
    return id ? id->As<E>() : std::nullopt;
  }
  std::optional<ErrorCode> id() const { return info_->id(); }
  // What a person can do about it; empty if that depends on what was being done.
  std::string_view remedy() const {
    const std::optional<ErrorCode> id = info_->id();
    return id ? id->remedy() : std::string_view();
  }
  template <typename E>
  const E* As() const {
    return dynamic_cast<const E*>(info_.get());
  }
  // The same error, saying also what was being done.
  Error In(std::string_view doing) const {
    Error e = *this;
    e.context_ = context_.empty() ? std::string(doing) : std::string(doing) + ": " + context_;
    return e;
  }

 private:
  std::shared_ptr<const ErrorInfo> info_;
  std::string context_;
};

template <typename T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

inline tl::unexpected<Error> Fail(Error e) { return tl::unexpected<Error>(std::move(e)); }

// Bytes that are not what their format says, and where. Offsets count from the start of the input, in bytes.
struct ParseError : ErrorInfo {
  ParseError(std::string format_in, std::uint64_t offset_in, std::string what_in)
      : format(std::move(format_in)), offset(offset_in), what(std::move(what_in)) {}
  std::string format;    // "ima-list", "tpms-attest", ...
  std::uint64_t offset;  // first byte that is wrong
  std::string what;      // "truncated", "name too long", ...
  std::string code() const override { return "parse." + format; }
  std::string Message() const override;
};

// A system call that failed.
struct OsError : ErrorInfo {
  OsError(std::string call_in, std::string subject_in, int err_in)
      : call(std::move(call_in)), subject(std::move(subject_in)), err(err_in) {}
  std::string call;     // "openat"
  std::string subject;  // the path or object, may be empty
  int err;              // errno
  std::string code() const override { return "os." + call; }
  std::string Message() const override;
};

// A library (OpenSSL, libarchive, ...) that failed.
struct LibError : ErrorInfo {
  LibError(std::string library_in, std::string what_in)
      : library(std::move(library_in)), what(std::move(what_in)) {}
  std::string library;
  std::string what;
  std::string code() const override { return "lib." + library; }
  std::string Message() const override { return library + ": " + what; }
};

// A request, option or configuration that cannot be carried out as it stands.
struct UsageError : ErrorInfo {
  explicit UsageError(std::string what_in) : what(std::move(what_in)) {}
  std::string what;
  std::string code() const override { return "usage"; }
  std::string Message() const override { return what; }
};

// A condition of a room that needs no fields of its own: StateError(RecorderError::kLocked, "...").
struct StateError : ErrorInfo {
  StateError(ErrorCode error_in, std::string what_in) : error(error_in), what(std::move(what_in)) {}
  ErrorCode error;
  std::string what;
  std::string code() const override { return std::string(error.name()); }
  std::string Message() const override { return what; }
  std::optional<ErrorCode> id() const override { return error; }
};

}  // namespace assay

#define ASSAY_CONCAT_INNER(a, b) a##b
#define ASSAY_CONCAT(a, b) ASSAY_CONCAT_INNER(a, b)

// ASSAY_TRY(Call());            hands the error on, drops the value
#define ASSAY_TRY(expr) ASSAY_TRY_IMPL(ASSAY_CONCAT(assay_try_, __COUNTER__), expr)
#define ASSAY_TRY_IMPL(tmp, expr)                           \
  do {                                                      \
    auto tmp = (expr);                                      \
    if (!tmp) return ::assay::Fail(std::move(tmp).error()); \
  } while (0)

// ASSAY_ASSIGN(auto x, Call()); hands the error on, else declares or assigns the value
#define ASSAY_ASSIGN(decl, expr) ASSAY_ASSIGN_IMPL(ASSAY_CONCAT(assay_result_, __LINE__), decl, expr)
#define ASSAY_ASSIGN_IMPL(tmp, decl, expr)                \
  auto tmp = (expr);                                      \
  if (!tmp) return ::assay::Fail(std::move(tmp).error()); \
  decl = std::move(*tmp)
