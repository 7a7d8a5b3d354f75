// A trusted list that is read is written and read again as the same; what it holds is whole.
#include "appraise/trusted.h"
#include "base/digest_text.h"
#include "base/fuzzing.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto list = appraise::ParseTrusted(AsText({data, size}));
  if (!list) return 0;
  Require(list->entries.size() <= appraise::kMaxTrusted);
  for (const appraise::TrustedEntry& e : list->entries)
    Require(ParseDigest(e.digest).has_value() && !e.who.empty() && !e.why.empty());
  const std::string text = appraise::EncodeTrusted(*list);
  const auto again = appraise::ParseTrusted(text);
  Require(again && appraise::EncodeTrusted(*again) == text);
  return 0;
}
