// A digest from the text that Digest::ToString() writes.
//
//   // given: std::string_view text
//   ASSAY_ASSIGN(const Digest digest, ParseDigest(text));   // "sha256:9f86d081..."
//
// Contract: the kernel's name of the algorithm and lower-case hexadecimal digits, so that equal digests have
// equal texts. Errors: ParseError "parse.digest".
#pragma once

#include <string_view>

#include "base/digest.h"

namespace assay {

Result<Digest> ParseDigest(std::string_view text);

}  // namespace assay
