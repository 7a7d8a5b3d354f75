// Signed results: an altered token does not verify, and a signed token that is no result is refused with a
// named error. First byte: if it is 0, the rest is a whole token; else the rest is a header and, after the
// first NUL, claims, which the target signs.
#include <algorithm>

#include "appraise/result.h"
#include "base/fuzzing.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const PrivateKey key = *PrivateKey::GenerateP256();
  static const PublicKey public_key = key.Public();
  if (size == 0) return 0;
  const std::string_view rest = AsText({data + 1, size - 1});
  if (data[0] == 0) {
    Require(!appraise::VerifyEar(rest, public_key));  // only this target has the key
    return 0;
  }
  const std::size_t nul = std::min(rest.find('\0'), rest.size());
  const std::string_view claims = rest.substr(std::min(nul + 1, rest.size()));
  const std::string part = Base64Url(AsBytes(rest.substr(0, nul))) + "." + Base64Url(AsBytes(claims));
  const auto read = appraise::VerifyEar(part + "." + Base64Url(*key.SignEs256(AsBytes(part))), public_key);
  Require(!read || *read == claims);
  return 0;
}
