// Lists of digests in the forms of other tools: sha256sum(1), Keylime's runtime policy, and the lists of
// parts CycloneDX and SPDX (in JSON) where they have the hashes of files.
//
//   // given: std::string_view text, const Index& index
//   ASSAY_ASSIGN(const DigestList list, ParseDigestList(text));   // any form
//   log::Info("{} files, {} left out", list.files.size(), list.left_out);
//   const std::string lines = Sha256SumsOf(index);                // `sha256sum -c` reads them
//   const std::string policy = KeylimePolicyOf(index);
//
// Contract: docs/formats/digest-lists.md. Only SHA-256 is taken; digests of other algorithms are counted.
// What is written is what an index holds as present: without superseded versions, and without what is
// revoked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

namespace assay::reference {

class Index;

inline constexpr std::size_t kMaxDigestList = std::size_t{256} << 20;  // bytes

struct ListedFile {
  std::string path;
  Digest digest;
};
struct DigestList {
  std::vector<ListedFile> files;
  std::size_t left_out = 0;  // digests of other algorithms
};
Result<DigestList> ParseDigestList(std::string_view text);
std::string Sha256SumsOf(const Index& index);     // a line for each path, by path
std::string KeylimePolicyOf(const Index& index);  // of version 1

}  // namespace assay::reference
