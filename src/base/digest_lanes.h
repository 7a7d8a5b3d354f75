// The digests of many short texts at once, and the chain of a PCR: what a replay consists of.
//
//   // given: std::span<const ByteView> texts, const Digest& pcr
//   std::vector<Digest> digests(texts.size());
//   HashEach(HashAlg::kSha256, texts, digests);
//   const Digest value = ExtendPcr(pcr, digests);
//
// Contract: the results are those of Hash() and ExtendPcr() (base/digest.h), one call for each, and so are
// the conditions. Where the processor has instructions for SHA-1 and SHA-256, two texts are hashed side by
// side.
#pragma once

#include <span>

#include "base/digest.h"

namespace assay {

// out has as many digests as there are texts.
void HashEach(HashAlg alg, std::span<const ByteView> texts, std::span<Digest> out);
// `old` extended with each event in turn. The events are of its algorithm.
Digest ExtendPcr(const Digest& old, std::span<const Digest> events);

}  // namespace assay
