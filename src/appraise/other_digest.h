// How reference values are asked for a digest that is not the SHA-256 of a file's content.
//
//   // given: const ReferenceValues& references, const std::string& text
//   ASSAY_ASSIGN(const Digest digest, ima::ParseFileDigest(text));   // "verity:sha256:9f86d081884c7d65..."
//   for (const Origin& o : references.Find(DigestToFind(digest, text))) log::Info("{}", o.path);
//
// Contract: docs/formats/index.md, "Further digests". The text is that of results and policies
// (FileDigestText() of list/list.h). Different texts have different stand-ins, and no file is known whose
// SHA-256 is a stand-in, because it is a SHA-256 with all bits inverted.
#pragma once

#include <string_view>

#include "appraise/appraise.h"
#include "list/list.h"

namespace assay::appraise {

inline Digest StandIn(std::string_view text) {
  Digest out = Hash(HashAlg::kSha256, AsBytes(text));
  for (std::size_t i = 0; i < out.size(); ++i) out.data()[i] = static_cast<std::uint8_t>(~out.data()[i]);
  return out;
}

// Whether it is the SHA-256 of a file's content, which reference values have of each file.
inline bool IsOfContent(const Digest& digest, std::string_view text) {
  return digest.alg() == kReferenceAlg && !text.starts_with(ima::kVerityPrefix);
}
inline Digest DigestToFind(const Digest& digest, std::string_view text) {
  return IsOfContent(digest, text) ? digest : StandIn(text);
}

}  // namespace assay::appraise
