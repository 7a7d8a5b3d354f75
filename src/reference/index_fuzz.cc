// Damaged index files give a named error or answers, and never cause a read outside the bytes.
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
    for (const auto& origin : origins) {
      // Contains() is false for content of superseded versions only, which Find() knows as well.
      Require(origin.since_ms != 0 || (*index)->Contains(digest));
      (*index)->FindPath(origin.path);
    }
  }
  (*index)->FindPath("/usr/bin/tool");
  (*index)->Packages();
  return 0;
}
