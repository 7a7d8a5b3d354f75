// A certificate's fingerprint: the SHA-256 of its DER. Peers are pinned and allowed by it.
//
//   // given: std::string_view text, const Fingerprint& shown
//   ASSAY_ASSIGN(const Fingerprint pinned, Fingerprint::Parse(text));   // 64 hexadecimal digits, or AA:BB:..
//   if (shown != pinned) return Fail(UsageError("another certificate"));
//
// Contract: a plain value of 32 bytes, ordered and comparable (a fingerprint is no secret); by default all
// are zero, which is no certificate's.
#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace assay {

class Fingerprint {
 public:
  static constexpr std::size_t kSize = 32;
  Fingerprint() = default;
  // Errors: ParseError "parse.fingerprint" for any other size or text.
  static Result<Fingerprint> Of(ByteView sha256);
  static Result<Fingerprint> Parse(std::string_view text);  // either case
  ByteView view() const { return bytes_; }
  std::string ToString() const { return Hex(bytes_); }  // lower case
  auto operator<=>(const Fingerprint&) const = default;

 private:
  std::array<std::uint8_t, kSize> bytes_{};
};

}  // namespace assay
