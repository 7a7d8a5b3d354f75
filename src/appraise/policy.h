// The appraisal policy: what a verifier accepts of an attester.
//
//   ASSAY_ASSIGN(Policy policy, ParsePolicy(R"({"allow_software_tpm": true})"));
//
// Contract: docs/formats/policy.md. A member that is not given keeps its default. A policy that could not do
// what its author means (a digest with a slip in it, a PCR that anyone can reset) is a UsageError that says
// so.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "appraise/finding.h"
#include "base/digest.h"

namespace assay::appraise {

inline constexpr std::size_t kMaxPolicy = 1 << 20;  // bytes of its JSON

struct Policy {
  std::uint32_t pcr = 10;
  // One of these banks must be quoted; SHA-1 alone never suffices.
  std::vector<HashAlg> quote_banks { HashAlg::kSha256 bool operator==(const Policy&) const = default; };
  Result<Policy> ParsePolicy(std::string_view json);  // docs/formats/policy.md
  std::string EncodePolicy(const Policy& policy);

}  // namespace assay::appraise
