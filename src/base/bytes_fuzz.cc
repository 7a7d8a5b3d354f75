// Hex, base64 and base64url: each value has one text, so that a parsed text is written back unchanged.
#include <algorithm>
#include <cctype>

#include "base/bytes.h"
#include "base/fuzzing.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  const std::string text(AsText(bytes));
  if (const auto b = FromHex(text)) {
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    Require(Hex(*b) == lower);
  }
  if (const auto b = FromBase64(text)) Require(Base64(*b) == text);
  if (const auto b = FromBase64Url(text)) Require(Base64Url(*b) == text);
  Require(*FromHex(Hex(bytes)) == Bytes(data, data + size));
  Require(*FromBase64(Base64(bytes)) == Bytes(data, data + size));
  Require(*FromBase64Url(Base64Url(bytes)) == Bytes(data, data + size));
  return 0;
}
