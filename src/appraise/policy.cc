#include "appraise/policy.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/json_members.h"
#include "list/list.h"
#include "measure/policy/policy.h"
#include "measure/system/allowable.h"

namespace assay::appraise {
namespace {

// Checks the form of digests: a digest with a typing error would never match, and the user would not see why.
Result<> CheckDigests(std::string_view key, const std::set<std::string>& digests) {
  for (const std::string& text : digests)
    if (!ima::ParseFileDigest(text))
      return Fail(UsageError(
          fmt::format("policy: {}: not a digest as 'sha256:' and lower-case hex: '{}'", key, text)));
  return {};
}

// Refuses members of former versions, with a message that names their replacement.
Result<> RefuseFormer(const JsonValue& root) {
  if (root.Has("allowed_paths"))
    return Fail(
        UsageError("policy: allowed_paths no longer exists, because an attacker can choose a path: give "
                   "digests ('allowed'), or the control groups that the records name ('allowed_cgroups')"));
  if (root.Has("violations_fail"))
    return Fail(
        UsageError("policy: violations_fail no longer exists: 'allowed_violations' says which violations a "
                   "program (by its digest) may cause"));
  return {};
}

// "any" stands for what a verdict calls "unknown": how far it reaches does not matter.
constexpr std::string_view kAnyReach = "any";
constexpr JsonText kRequiredReach{
    [](Reach r) { return r == Reach::kUnknown ? kAnyReach : ReachName(r); },
    [](std::string_view name) -> Result<Reach> {
      if (name == kAnyReach) return Reach::kUnknown;
      const std::optional<Reach> reach = ReachFromName(name);
      if (reach && *reach != Reach::kUnknown) return *reach;
      return Fail(UsageError("not any, container, namespace, start or boot: " + std::string(name)));
    }};

constexpr JsonText kAlg{HashName, [](std::string_view name) -> Result<HashAlg> {
                          const std::optional<HashAlg> alg = HashFromName(name);
                          if (!alg || !CanHash(*alg))
                            return Fail(UsageError("not a digest algorithm: " + std::string(name)));
                          return *alg;
                        }};
constexpr std::size_t kMaxAlgs = 16;

// One program and the violations that it may cause.
struct AllowedProgram {
  std::string program;
  std::set<std::string> kinds;
};
constexpr auto kAllowedProgram = [](auto& visit, auto& v) {
  visit("program", v.program);
  visit("kinds", v.kinds);
};
using AllowedViolations = std::map<std::string, std::set<std::string>>;
constexpr JsonForm kAllowedViolations{
    [](const AllowedViolations& all) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& [program, kinds] : all)
        list.push_back(WriteMembers(kAllowedProgram, AllowedProgram{program, kinds}));
      return list;
    },
    [](const JsonValue& list) -> Result<AllowedViolations> {
      AllowedViolations all;
      ASSAY_TRY(list.Each([&](const JsonValue& v) -> Result<> {
        AllowedProgram one;
        ASSAY_TRY(ReadMembers(kAllowedProgram, v, one));
        all[one.program].merge(one.kinds);
        return {};
      }));
      return all;
    }};

constexpr auto kPolicy = [](auto& visit, auto& p) {
  visit.Default("pcr", p.pcr);
  visit.Default("quote_banks", p.quote_banks, JsonList{kAlg, kMaxAlgs});
  visit.Default("file_algs", p.file_algs, JsonList{kAlg, kMaxAlgs});
  visit.Default("allow_software_tpm", p.allow_software_tpm);
  visit.Default("allow_first_use", p.allow_first_use);
  visit.Default("pinned_ak", p.pinned_ak);
  visit.Default("allowed_eks", p.allowed_eks);
  visit.Default("allow_unquoted_tail", p.allow_unquoted_tail);
  visit.Default("allow_gaps", p.allow_gaps);
  visit.Default("allow_what_ran_before", p.allow_what_ran_before);
  visit.Default("require_attester_records", p.require_attester_records);
  visit.Default("engines", p.engines);
  visit.Default("allow_kernel_policy", p.allow_kernel_policy);
  visit.Default("attester_digests", p.attester_digests);
  visit.Default("attester_policies", p.attester_policies);
  visit.Default("measures_at_least", p.measures_at_least);
  visit.Default("max_group_ms", p.max_group_ms);
  visit.Default("attester_manifests", p.attester_manifests);
  visit.Default("manifest_keys", p.manifest_keys);
  visit.Default("interpreters", p.interpreters);
  visit.Default("instrumented", p.instrumented);
  visit.Default("allowed", p.allowed);
  visit.Default("allowed_cgroups", p.allowed_cgroups);
  visit.Default("require_secure_boot", p.require_secure_boot);
  visit.Default("allow_missing_exit", p.allow_missing_exit);
  visit.Default("require_early_start", p.require_early_start);
  visit.Default("require_reach", p.require_reach, kRequiredReach);
  visit.Default("allowed_violations", p.allowed_violations, kAllowedViolations);
  visit.Default("package_violations", p.package_violations);
  visit.Default("vulnerable_fails", p.vulnerable_fails);
  visit.Default("buffers_fail", p.buffers_fail);
  visit.Default("configuration_fails", p.configuration_fails);
  visit.Optional("outdated_fails_after_days", p.outdated_fails_after_days);
  visit.Default("trusted_keys", p.trusted_keys);
};

// Whether a policy may allow this kind of violation: what a program does to memory and devices may be
// allowed. Violations that mean unknown content, or an attack on the attester or the kernel, may not.
bool MayBeAllowed(std::string_view kind) {
  const auto kinds = measure::AllowableKinds();
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

// A key name is nameAlg and a SHA-256 digest.
bool IsKeyName(const std::string& text) {
  const Result<Bytes> name = FromHex(text);
  return name && name->size() == 34 && Hex(*name) == text;
}

Result<> CheckDigestsAndPcr(const Policy& p) {
  if (p.pcr > 15) return Fail(UsageError(fmt::format("policy: any program can reset PCR {}", p.pcr)));
  for (const HashAlg alg : p.quote_banks)
    if (alg == HashAlg::kSha1) return Fail(UsageError("policy: a SHA-1 bank proves nothing"));
  for (const HashAlg alg : p.file_algs)
    if (alg == HashAlg::kSha1) return Fail(UsageError("policy: SHA-1 digests of files prove nothing"));
  if (p.quote_banks.empty()) return Fail(UsageError("policy: quote_banks is empty"));
  ASSAY_TRY(CheckDigests("attester_digests", p.attester_digests));
  ASSAY_TRY(CheckDigests("attester_policies", p.attester_policies));
  ASSAY_TRY(CheckDigests("attester_manifests", p.attester_manifests));
  return CheckDigests("allowed", p.allowed);
}

Result<> CheckKeys(const Policy& p) {
  if (!p.pinned_ak.empty() && !IsKeyName(p.pinned_ak))
    return Fail(UsageError("policy: pinned_ak: a key's name is 34 bytes in lower-case hex"));
  for (const std::string& ek : p.allowed_eks)
    if (!IsKeyName(ek))
      return Fail(UsageError("policy: allowed_eks: a key's name is 34 bytes in lower-case hex"));
  ASSAY_TRY(PolicyKeys("manifest_keys", p.manifest_keys));
  ASSAY_TRY(PolicyKeys("trusted_keys", p.trusted_keys));
  return {};
}

Result<> CheckAllowed(const Policy& p) {
  if (!measure::Policy::BuiltIn(p.measures_at_least))
    return Fail(
        UsageError("policy: measures_at_least: not a built-in measuring policy: " + p.measures_at_least));
  for (const std::string& glob : p.allowed_cgroups)
    if (!glob.starts_with('/'))
      return Fail(
          UsageError("policy: allowed_cgroups: a glob begins with /, the root of the hierarchy: " + glob));
  for (const auto& [program, kinds] : p.allowed_violations) {
    ASSAY_TRY(CheckDigests("allowed_violations", {program}));
    for (const std::string& kind : kinds)
      if (!MayBeAllowed(kind))
        return Fail(
            UsageError("policy: allowed_violations: not a kind that a program can be allowed: " + kind));
  }
  return {};
}

}  // namespace

Result<std::vector<PublicKey>> PolicyKeys(std::string_view member, const std::vector<std::string>& texts) {
  std::vector<PublicKey> keys;
  for (const std::string& text : texts) {
    Result<PublicKey> read =
        PublicKey::FromPem("-----BEGIN PUBLIC KEY-----\n" + text + "\n-----END PUBLIC KEY-----\n");
    if (!read)
      return Fail(UsageError(
          fmt::format("policy: {}: not a public key (SubjectPublicKeyInfo, base64): {}", member, text)));
    keys.push_back(std::move(*read));
  }
  return keys;
}

Result<Policy> ParsePolicy(std::string_view text) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "policy", kMaxPolicy));
  ASSAY_TRY(RefuseFormer(doc.root()));
  Policy p;
  ASSAY_TRY(ReadMembers(kPolicy, doc.root(), p));
  ASSAY_TRY(CheckDigestsAndPcr(p));
  ASSAY_TRY(CheckKeys(p));
  ASSAY_TRY(CheckAllowed(p));
  return p;
}

std::string EncodePolicy(const Policy& p) { return DumpJson(WriteMembers(kPolicy, p), 1) + "\n"; }

}  // namespace assay::appraise
