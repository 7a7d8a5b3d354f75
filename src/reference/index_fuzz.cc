// Damaged index files give a named error or answers, and never cause a read outside the bytes.
#include <algorithm>

#include "base/fuzzing.h"
#include "reference/index.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto index = reference::Index::OfBytes(Bytes(data, data + size));
  if (!index) return 0;
  // Looks up content of the file itself: digests at every place of it, and the paths in its strings.
  for (std::size_t at = 0; at + 32 <= size; at += 8) {
    const Digest digest = *Digest::Of(HashAlg::kSha256, {data + at, 32});
    const auto origins = (*index)->Find(digest);
    const bool revoked = std::any_of(origins.begin(), origins.end(), [](const auto& o) {
      return o.standing == appraise::Standing::kRevoked;
    });
    for (const auto& origin : origins) {
      // Contains() is false for revoked content, and for that of superseded versions only; Find() knows both.
      Require(origin.since_ms != 0 || revoked || (*index)->Contains(digest));
      Require(!(*index)->IsOlder(origin.package, origin.version, origin.version));
      (*index)->FindPath(origin.path);
    }
  }
  (*index)->FindPath("/usr/bin/tool");
  (*index)->Packages();
  return 0;
}
