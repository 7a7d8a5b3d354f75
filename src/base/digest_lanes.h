// The digests of many short texts at once, and the chain of a PCR: what a replay consists of.
//
//   // given: std::span<const ByteView> texts, const Digest& pcr
//   std::vector<Digest> digests(texts.size());
//   HashEach(HashAlg::kSha256, texts, digests);
//   const Digest value = ExtendPcr(pcr, digests);
//
// Contract: the results and the conditions are those of Hash() and ExtendPcr() (base/digest.h), called once
// for each text. Where the processor has instructions for SHA-1 and SHA-256, two texts are hashed side by
// side.
#pragma once

#include <span>

#include "base/digest.h"

namespace assay {

// out has as many digests as there are texts.
void HashEach(HashAlg alg, std::span<const ByteView> texts, std::span<Digest> out);
// Extends `old` with each event in turn. The events must be of the algorithm of `old`.
Digest ExtendPcr(const Digest& old, std::span<const Digest> events);

}  // namespace assay
