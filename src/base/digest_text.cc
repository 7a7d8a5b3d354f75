#include "base/digest_text.h"

#include <algorithm>

namespace assay {

Result<Digest> ParseDigest(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::optional<HashAlg> alg = HashFromName(text.substr(0, colon));
  if (!alg || colon == text.size()) return Fail(ParseError("digest", 0, "no name of a hash algorithm"));
  const Result<Bytes> bytes = FromHex(text.substr(colon + 1));
  if (!bytes || bytes->size() != DigestSize(*alg))
    return Fail(ParseError("digest", colon + 1, "not the hexadecimal digits of a digest"));
  ASSAY_ASSIGN(const Digest digest, Digest::Of(*alg, *bytes));
  if (digest.ToString() != text) return Fail(ParseError("digest", 0, "not as 'sha256:' and lower-case hex"));
  return digest;
}

}  // namespace assay
