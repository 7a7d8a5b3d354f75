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
  const Result<Bytes> bytes = FromHex(text);
  if (!bytes || bytes->size() != kSize)
    return Fail(ParseError("fingerprint", 0, "not the 64 hexadecimal digits of a SHA-256"));
  return Of(*bytes);
}

}  // namespace assay
