// The attestation result, signed: an EAR (draft-ietf-rats-ear) as an ES256 JWT.
//
//   // given: const Appraisal& appraisal, const EarContext& context, const PrivateKey& key
//   ASSAY_ASSIGN(std::string jwt, SignEar(appraisal, context, key));
//   ASSAY_ASSIGN(std::string claims_json, VerifyEar(jwt, key.Public()));
//
// Contract: docs/formats/result.md. Times are Unix seconds. ear.status is 2 (affirming) for trusted since
// boot, 32 (warning) for trusted with a shorter reach, 96 (contraindicated) for not trusted, and 0 (none) for
// 'could not tell'. The findings are in a private claim.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "appraise/appraise.h"
#include "base/crypto.h"

namespace assay::appraise {

struct EarContext {
  std::string host;            // the name the verifier knows the attester by
  std::string verifier_build;  // "assay 0.1.0"
  evidence::Nonce nonce;
  std::uint64_t now_ms = 0;
  std::uint64_t valid_s = 300;
};
Result<std::string> SignEar(const Appraisal& appraisal, const EarContext& context, const PrivateKey& key);
Result<std::string> VerifyEar(std::string_view jwt, const PublicKey& key);  // the claims' JSON

// The result as a few lines for people (with the entries if asked), and as JSON for scripts.
struct Shown {
  const HostState* before = nullptr;  // tells what is new, what stands and what went
  bool all = false;                   // every finding with all that is known, however many there are
  std::string findings{};             // only those whose name begins with this
};
std::string Describe(const Appraisal& appraisal, bool entries, bool colour, const Shown& shown = {});
nlohmann::json ToJson(const Appraisal& appraisal, bool entries, const Shown& shown = {});
nlohmann::json ToJson(const std::vector<Advisory>& advisories);
nlohmann::json ToJson(const Origin& origin);
std::vector<const Finding*> Selected(const Appraisal& appraisal, const Shown& shown);
std::string ReachText(const Appraisal& appraisal);  // "since boot"
// The text in the verdict's colour for a terminal, or as it is.
std::string Tinted(Verdict v, std::string_view text, bool colour);

}  // namespace assay::appraise
