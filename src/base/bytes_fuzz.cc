// Hex, base64 and base64url: one text for one value, so that what is read is written back the same.
#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/bytes.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  const std::string text(AsText(bytes));
  if (const auto b = FromHex(text)) {
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (Hex(*b) != lower) abort();
  }
  if (const auto b = FromBase64(text); b && Base64(*b) != text) abort();
  if (const auto b = FromBase64Url(text); b && Base64Url(*b) != text) abort();
  if (*FromHex(Hex(bytes)) != Bytes(data, data + size)) abort();
  if (*FromBase64(Base64(bytes)) != Bytes(data, data + size)) abort();
  if (*FromBase64Url(Base64Url(bytes)) != Bytes(data, data + size)) abort();
  return 0;
}
