// A challenge's nonce: what makes a quote the answer to this question and to no other.
//
//   // given: std::string_view text
//   ASSAY_ASSIGN(const Nonce nonce, Nonce::Random());
//   ASSAY_ASSIGN(const Nonce read, Nonce::Parse(text));   // 64 hexadecimal digits
//
// Contract: a plain value of 32 bytes; by default all are zero, which is no challenge's.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace assay::evidence {

inline constexpr std::size_t kNonceSize = 32;

class Nonce {
 public:
  Nonce() = default;
  static Result<Nonce> Random();
  static Nonce Filled(std::uint8_t byte);
  // Errors: ParseError "parse.nonce" for any other size or text.
  static Result<Nonce> Of(ByteView bytes);
  static Result<Nonce> Parse(std::string_view text);
  ByteView view() const { return bytes_; }
  std::string ToString() const { return Hex(bytes_); }  // lower case
  bool operator==(const Nonce&) const = default;

 private:
  std::array<std::uint8_t, kNonceSize> bytes_{};
};

}  // namespace assay::evidence
