#include "base/fingerprint.h"

#include <algorithm>

namespace assay {

Result<Fingerprint> Fingerprint::Of(ByteView sha256) {
  if (sha256.size() != kSize) return Fail(ParseError("fingerprint", 0, "not 32 bytes"));
  Fingerprint out;
  std::copy(sha256.begin(), sha256.end(), out.bytes_.begin());
  return out;
}

Result<Fingerprint> Fingerprint::Parse(std::string_view text) {
  // As openssl prints it: a colon between each two pairs of digits.
  constexpr std::size_t kWithColons = kSize * 3 - 1;
  std::string digits;
  for (std::size_t i = 0; i < text.size() && text.size() == kWithColons; ++i) {
    if (i % 3 != 2)
      digits += text[i];
    else if (text[i] != ':')
      digits += '?';
  }
  const Result<Bytes> bytes = FromHex(digits.empty() ? text : digits);
  if (!bytes || bytes->size() != kSize)
    return Fail(ParseError("fingerprint", 0, "not the 64 hexadecimal digits of a SHA-256"));
  return Of(*bytes);
}

}  // namespace assay
