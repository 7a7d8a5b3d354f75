// An accepted policy is the same after it is written and read again, and never allows SHA-1 or a resettable
// PCR.
#include <algorithm>

#include "appraise/policy.h"
#include "base/fuzzing.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto policy = appraise::ParsePolicy(AsText({data, size}));
  if (!policy) return 0;
  Require(policy->pcr <= 15 && !policy->quote_banks.empty());
  for (const auto& algs : {policy->quote_banks, policy->file_algs})
    Require(std::find(algs.begin(), algs.end(), HashAlg::kSha1) == algs.end());
  const std::string text = appraise::EncodePolicy(*policy);
  const auto again = appraise::ParsePolicy(text);
  Require(again && appraise::EncodePolicy(*again) == text);
  return 0;
}
