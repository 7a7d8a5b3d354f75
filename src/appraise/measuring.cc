#include "appraise/measuring.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "appraise/finding_names.h"
#include "base/crypto.h"
#include "measure/policy/policy.h"

namespace assay::appraise {
namespace {

// The longest accepted deadline: after it a held task runs unmeasured if expiry is 'allow'.
constexpr std::uint64_t kMaxDeadlineMs = 60'000;
constexpr std::uint64_t kMinRecords = 1000;  // a shorter list would be full before the machine has booted
constexpr std::size_t kMaxRules = measure::kMaxPolicy;

Result<std::vector<std::string>> Strings(const JsonValue& array) {
  std::vector<std::string> out;
  ASSAY_TRY(array.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(std::string text, v.AsStr());
    out.push_back(std::move(text));
    return {};
  }));
  return out;
}

bool Contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

Result<> JudgeRules(const JsonValue& engine, const Policy& policy, std::vector<Fault>& faults) {
  ASSAY_ASSIGN(const std::string text, engine.Str("rules"));
  if (text.size() > kMaxRules) return Fail(ParseError("own-record", 0, "/engine/rules: too long"));
  ASSAY_ASSIGN(const measure::Policy rules, measure::Policy::Parse(text));
  const std::optional<std::string_view> least = measure::Policy::BuiltIn(policy.measures_at_least);
  if (!least) return Fail(UsageError("policy: measures_at_least: no such built-in policy"));
  ASSAY_ASSIGN(const measure::Policy base, measure::Policy::Parse(*least));
  if (!rules.AtLeast(base))
    faults.push_back({FindingName::kOwnMeasuresLess,
                      fmt::format("the rules do not measure all that the built-in policy '{}' measures",
                                  policy.measures_at_least)});
  return {};
}

// The attester must look how these interpreters are started.
Result<> JudgeInstrumented(const JsonValue& engine, const Policy& policy, std::vector<Fault>& faults) {
  std::set<std::string> watched;
  if (engine.Has("instrumented")) {
    ASSAY_ASSIGN(const JsonValue hooks, engine.Object("instrumented"));
    ASSAY_TRY(hooks.EachMember([&](std::string_view path, const JsonValue&) -> Result<> {
      watched.emplace(path);
      return {};
    }));
  }
  for (const std::string& path : policy.instrumented)
    if (!watched.contains(path))
      faults.push_back({FindingName::kEntryUninstrumented,
                        fmt::format("the attester does not look how {} is started", path)});
  return {};
}

Result<> JudgeEngine(const JsonValue& engine, const Policy& policy, std::vector<Fault>& faults) {
  ASSAY_TRY(engine.OnlyKeys({"scope", "mounts", "extensions", "appraise", "rules", "guard", "deadline_ms",
                             "expiry", "instrumented"}));
  ASSAY_TRY(JudgeInstrumented(engine, policy, faults));
  ASSAY_TRY(JudgeRules(engine, policy, faults));
  ASSAY_ASSIGN(const JsonValue mounts, engine.Array("mounts"));
  ASSAY_ASSIGN(const bool whole, IsWholeScope(mounts));
  if (!whole) faults.push_back({FindingName::kOwnMounts, "not all mounts of the scope are measured"});
  ASSAY_ASSIGN(const JsonValue array, engine.Array("extensions"));
  ASSAY_ASSIGN(const std::vector<std::string> extensions, Strings(array));
  for (const std::string_view usual : measure::kUsualExtensions)
    if (!Contains(extensions, std::string(usual)))
      faults.push_back(
          {FindingName::kOwnOptions, fmt::format("files whose name ends in {} do not count as code", usual)});
  ASSAY_ASSIGN(const std::string expiry, engine.Str("expiry"));
  ASSAY_ASSIGN(const std::uint64_t deadline, engine.U64("deadline_ms"));
  if (expiry != "refuse" && deadline > kMaxDeadlineMs)
    faults.push_back(
        {FindingName::kOwnOptions,
         fmt::format(
             "deadline_ms is {}: if measuring a file takes longer, the waiting task runs it unmeasured",
             deadline)});
  return {};
}

Result<> JudgeRecorder(const JsonValue& record, const Policy& policy, std::vector<Fault>& faults) {
  ASSAY_TRY(record.OnlyKeys({"pcr", "synchronous", "group_ms", "max_records"}));
  ASSAY_ASSIGN(const std::uint64_t pcr, record.U64("pcr"));
  if (pcr != policy.pcr)
    faults.push_back(
        {FindingName::kOwnOptions, fmt::format("it records in PCR {}, not in {}", pcr, policy.pcr)});
  ASSAY_ASSIGN(const bool synchronous, record.Bool("synchronous"));
  ASSAY_ASSIGN(const std::uint64_t group_ms, record.U64("group_ms"));
  if (!synchronous && group_ms > policy.max_group_ms)
    faults.push_back(
        {FindingName::kOwnOptions,
         fmt::format(
             "content of a manifest may run up to {} ms before it is in the PCR; the policy allows {} ms",
             group_ms, policy.max_group_ms)});
  ASSAY_ASSIGN(const std::uint64_t max_records, record.U64("max_records"));
  if (max_records < kMinRecords)
    faults.push_back(
        {FindingName::kOwnOptions, fmt::format("the list is full after {} records", max_records)});
  return {};
}

Result<PublicKey> KeyFromBase64(const std::string& der) {
  return PublicKey::FromPem("-----BEGIN PUBLIC KEY-----\n" + der + "\n-----END PUBLIC KEY-----\n");
}

}  // namespace

std::string DigestUnguarded(const ima::Entry& record) {
  constexpr std::string_view kOn = "\"guard\":true", kOff = "\"guard\":false";
  std::string text(AsText(record.buffer));
  const std::size_t at = text.find(kOn);
  if (at == std::string::npos || !record.file_digest || !record.file_digest->digest) return "";
  text.replace(at, kOn.size(), kOff);
  return Hash(record.file_digest->digest->alg(), AsBytes(text)).ToString();
}

Result<bool> IsWholeScope(const JsonValue& mounts) {
  ASSAY_ASSIGN(const std::vector<std::string> points, Strings(mounts));
  return Contains(points, "/");
}

Result<std::vector<Fault>> JudgeMeasuring(const JsonValue& record, const Policy& policy) {
  std::vector<Fault> faults;
  ASSAY_TRY(record.OnlyKeys({"engine", "record"}));
  ASSAY_ASSIGN(const JsonValue engine, record.Object("engine"));
  ASSAY_TRY(JudgeEngine(engine, policy, faults));
  ASSAY_ASSIGN(const JsonValue recorder, record.Object("record"));
  ASSAY_TRY(JudgeRecorder(recorder, policy, faults));
  return faults;
}

// The signature covers the index's digest, as in `assay reference sign`.
Result<std::string> ManifestRefused(const JsonValue& record, const Policy& policy) {
  ASSAY_ASSIGN(const std::string hex, record.Str("sha256"));
  ASSAY_ASSIGN(const Bytes bytes, FromHex(hex));
  ASSAY_ASSIGN(const Digest digest, Digest::Of(HashAlg::kSha256, bytes));
  if (policy.attester_manifests.contains(digest.ToString())) return std::string();
  if (policy.manifest_keys.empty() || !record.Has("signature"))
    return fmt::format("the attester groups what is in a manifest that the policy does not name: {}",
                       digest.ToString());
  ASSAY_ASSIGN(const std::string text, record.Str("signature"));
  ASSAY_ASSIGN(const Bytes signature, FromBase64(text));
  for (const std::string& der : policy.manifest_keys) {
    ASSAY_ASSIGN(const PublicKey key, KeyFromBase64(der));
    if (key.VerifyEs256(digest.view(), signature)) return std::string();
  }
  return fmt::format(
      "the attester groups what is in a manifest that none of the policy's keys has signed: {}",
      digest.ToString());
}

}  // namespace assay::appraise
