// Damaged index files give a named error or answers, and never cause a read outside the bytes.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/fuzzing.h"
#include "reference/format.h"
#include "reference/index.h"

using namespace assay;

namespace {

// Gives a header of version 5 its checksums, so that what lies behind them is reached.
void Repair(Bytes& bytes) {
  reference::Header h{};
  if (bytes.size() < sizeof(h)) return;
  std::memcpy(&h, bytes.data(), sizeof(h));
  if (h.magic != reference::kMagic) return;
  const Digest content = Hash(HashAlg::kSha256, ByteView(bytes).subspan(sizeof(h)));
  std::copy_n(content.view().begin(), h.content.size(), h.content.begin());
  std::memcpy(bytes.data(), &h, sizeof(h));
  const Digest check = Hash(HashAlg::kSha256, ByteView(bytes).first(offsetof(reference::Header, check)));
  std::copy_n(check.view().begin(), h.check.size(),
              bytes.begin() + static_cast<std::ptrdiff_t>(offsetof(reference::Header, check)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, data + size);
  Repair(bytes);
  const auto index = reference::Index::OfBytes(std::move(bytes));
  if (!index) return 0;
  const bool whole = (*index)->CheckAll().has_value();
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
  for (const reference::IndexedContent& content : (*index)->Contents())
    for (const reference::IndexedFile& file : content.files)
      Require(!whole || (*index)->Knows(file.digest));  // of a whole index each file is found
  return 0;
}
