#include "evidence/nonce.h"

#include <algorithm>

#include "base/crypto.h"

namespace assay::evidence {

Result<Nonce> Nonce::Random() {
  ASSAY_ASSIGN(const Bytes bytes, RandomBytes(kNonceSize));
  return Of(bytes);
}

Nonce Nonce::Filled(std::uint8_t byte) {
  Nonce nonce;
  nonce.bytes_.fill(byte);
  return nonce;
}

Result<Nonce> Nonce::Of(ByteView bytes) {
  if (bytes.size() != kNonceSize) return Fail(ParseError("nonce", 0, "not 32 bytes"));
  Nonce nonce;
  std::copy(bytes.begin(), bytes.end(), nonce.bytes_.begin());
  return nonce;
}

Result<Nonce> Nonce::Parse(std::string_view text) {
  ASSAY_ASSIGN(const Bytes bytes, FromHex(text));
  return Of(bytes);
}

}  // namespace assay::evidence
