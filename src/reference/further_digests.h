// Internal: what an index knows of a file besides the SHA-256 of its content: digests of other algorithms,
// and fs-verity's.
//
//   // given: ByteView content
//   ASSAY_ASSIGN(const FurtherKinds kinds, ParseFurtherKinds("sha384,verity"));
//   FurtherHasher hasher(kinds);
//   hasher.Update(content);
//   const std::vector<Digest> rows = hasher.Finish();   // stand-ins, appraise/other_digest.h
//
// Contract: docs/formats/index.md, "Further digests".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "reference/verity.h"

namespace assay::reference {

// The bit in the table of allowances that marks a digest as a stand-in.
inline constexpr std::uint32_t kFurtherDigest = std::uint32_t{1} << 31U;

struct FurtherKinds {
  std::vector<HashAlg> algs;
  bool verity = false;
};
// Of sha1, sha384, sha512 and verity, with commas. "sha256" is no error: an index has it of each file.
Result<FurtherKinds> ParseFurtherKinds(std::string_view names);

class FurtherHasher {
 public:
  explicit FurtherHasher(const FurtherKinds& kinds);
  void Update(ByteView data);
  std::vector<Digest> Finish();  // starts anew

 private:
  std::vector<Hasher> hashers_;
  std::optional<VerityHasher> verity_;
};

}  // namespace assay::reference
