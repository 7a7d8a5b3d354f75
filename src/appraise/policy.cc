#include "measure/policy/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "appraise/appraise.h"
#include "base/crypto.h"
#include "base/json.h"
#include "measure/system/measurement.h"

namespace assay::appraise {
namespace {

using nlohmann::json;
constexpr std::size_t kMaxPolicy = 1 << 20;
constexpr std::uint64_t kStateVersion = 3, kRunKeyVersion = 3;
constexpr std::size_t kMaxState = std::size_t{16} << 20;
constexpr std::size_t kMaxStanding = 10'000;

Result<HashAlg> Alg(const JsonValue& v) {
  ASSAY_ASSIGN(const std::string name, v.AsStr());
  const std::optional<HashAlg> alg = HashFromName(name);
  if (!alg || !CanHash(*alg)) return Fail(UsageError("policy: not a digest algorithm: " + name));
  return *alg;
}

Result<> ReadAlgs(const JsonValue& root, std::string_view key, std::vector<HashAlg>& out) {
  if (!root.Has(key)) return {};
  ASSAY_ASSIGN(const JsonValue array, root.Array(key));
  out.clear();
  return array.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(const HashAlg alg, Alg(v));
    out.push_back(alg);
    return {};
  });
}

template <typename Container>
Result<> ReadStrings(const JsonValue& root, std::string_view key, Container& out) {
  if (!root.Has(key)) return {};
  ASSAY_ASSIGN(const JsonValue array, root.Array(key));
  out.clear();
  return array.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(std::string text, v.AsStr());
    out.insert(out.end(), std::move(text));
    return {};
  });
}

Result<> ReadBool(const JsonValue& root, std::string_view key, bool& out) {
  if (!root.Has(key)) return {};
  ASSAY_ASSIGN(out, root.Bool(key));
  return {};
}

// Checks the form of digests: a digest with a typing error would never match, and the user would not see why.
Result<> CheckDigests(std::string_view key, const std::set<std::string>& digests) {
  for (const std::string& text : digests) {
    const std::size_t colon = text.find(':');
    const std::optional<HashAlg> alg = HashFromName(text.substr(0, colon));
    const Result<Bytes> bytes = FromHex(colon == std::string::npos ? "" : text.substr(colon + 1));
    if (!alg || !bytes || bytes->size() != DigestSize(*alg) || Digest::Of(*alg, *bytes)->ToString() != text)
      return Fail(UsageError(
          fmt::format("policy: {}: not a digest as 'sha256:' and lower-case hex: '{}'", key, text)));
  }
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

// A key that can't be parsed is refused, because no signature would ever match it.
Result<> ReadMeasuring(const JsonValue& root, Policy& p) {
  if (root.Has("measures_at_least")) {
    ASSAY_ASSIGN(p.measures_at_least, root.Str("measures_at_least"));
    if (!measure::Policy::BuiltIn(p.measures_at_least))
      return Fail(
          UsageError("policy: measures_at_least: not a built-in measuring policy: " + p.measures_at_least));
  }
  if (root.Has("max_group_ms")) {
    ASSAY_ASSIGN(p.max_group_ms, root.U64("max_group_ms"));
  }
  ASSAY_TRY(ReadStrings(root, "attester_manifests", p.attester_manifests));
  ASSAY_TRY(ReadStrings(root, "manifest_keys", p.manifest_keys));
  for (const std::string& key : p.manifest_keys) {
    const Result<PublicKey> read =
        PublicKey::FromPem("-----BEGIN PUBLIC KEY-----\n" + key + "\n-----END PUBLIC KEY-----\n");
    if (!read)
      return Fail(
          UsageError("policy: manifest_keys: not a public key (SubjectPublicKeyInfo, base64): " + key));
  }
  return {};
}

constexpr std::string_view kAnyReach = "any";

Result<> ReadReach(const JsonValue& root, Reach& out) {
  if (!root.Has("require_reach")) return {};
  ASSAY_ASSIGN(const std::string name, root.Str("require_reach"));
  if (name == kAnyReach) {
    out = Reach::kUnknown;
    return {};
  }
  const std::optional<Reach> reach = ReachFromName(name);
  if (!reach || *reach == Reach::kUnknown)
    return Fail(UsageError("policy: require_reach: not any, namespace, start or boot: " + name));
  out = *reach;
  return {};
}

// Whether a policy may allow this kind of violation: what a program does to memory and devices may be
// allowed. Violations that mean unknown content, or an attack on the attester or the kernel, may not.
bool MayBeAllowed(std::string_view kind) {
  using measure::Violation;
  constexpr Violation kDeeds[] = {Violation::kMprotect,      Violation::kModifiedCode,
                                  Violation::kAnonymousCode, Violation::kWritableCode,
                                  Violation::kProcessAccess, Violation::kRawDevice};
  return std::any_of(std::begin(kDeeds), std::end(kDeeds),
                     [&](Violation v) { return kind == measure::ViolationName(v); });
}

Result<> ReadAllowedViolations(const JsonValue& root, std::map<std::string, std::set<std::string>>& out) {
  if (!root.Has("allowed_violations")) return {};
  ASSAY_ASSIGN(const JsonValue array, root.Array("allowed_violations"));
  return array.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_TRY(v.OnlyKeys({"program", "kinds"}));
    ASSAY_ASSIGN(const std::string program, v.Str("program"));
    ASSAY_TRY(CheckDigests("allowed_violations", {program}));
    std::set<std::string>& kinds = out[program];
    ASSAY_ASSIGN(const JsonValue names, v.Array("kinds"));
    return names.Each([&](const JsonValue& name) -> Result<> {
      ASSAY_ASSIGN(std::string kind, name.AsStr());
      if (!MayBeAllowed(kind))
        return Fail(
            UsageError("policy: allowed_violations: not a kind that a program can be allowed: " + kind));
      kinds.insert(std::move(kind));
      return {};
    });
  });
}

// A key name is nameAlg and a SHA-256 digest.
bool IsKeyName(const std::string& text) {
  const Result<Bytes> name = FromHex(text);
  return name && name->size() == 34 && Hex(*name) == text;
}

json AlgNames(const std::vector<HashAlg>& algs) {
  json names = json::array();
  for (const HashAlg alg : algs) names.push_back(HashName(alg));
  return names;
}

Result<Verdict> ReadVerdict(std::string_view name) {
  if (const std::optional<Verdict> v = VerdictFromName(name)) return *v;
  return Fail(ParseError("host-state", 0, "not a verdict: " + std::string(name)));
}

json FindingJson(const Finding& f) {
  json j = {{"name", f.name}, {"weight", VerdictName(f.weight)},
            {"text", f.text}, {"sub", f.sub},
            {"path", f.path}, {"digest", f.digest}};
  if (f.record) j["record"] = *f.record;
  if (f.context) {
    const evidence::ContextEntry& c = *f.context;
    j["context"] = {{"index", c.index}, {"sub", c.sub},   {"time_ms", c.time_ms}, {"pid", c.pid},
                    {"uid", c.uid},     {"comm", c.comm}, {"hook", c.hook}};
  }
  return j;
}

Result<std::uint32_t> Small(const JsonValue& v, std::string_view key) {
  ASSAY_ASSIGN(const std::uint64_t n, v.U64(key));
  if (n > UINT32_MAX) return Fail(ParseError("host-state", 0, std::string(key) + " is too large"));
  return static_cast<std::uint32_t>(n);
}

Result<evidence::ContextEntry> ReadContext(const JsonValue& v) {
  evidence::ContextEntry c;
  ASSAY_ASSIGN(c.index, v.U64("index"));
  ASSAY_ASSIGN(c.sub, Small(v, "sub"));
  ASSAY_ASSIGN(c.time_ms, v.U64("time_ms"));
  ASSAY_ASSIGN(c.pid, Small(v, "pid"));
  ASSAY_ASSIGN(c.uid, Small(v, "uid"));
  ASSAY_ASSIGN(c.comm, v.Str("comm"));
  ASSAY_ASSIGN(c.hook, v.Str("hook"));
  return c;
}

Result<Finding> ReadFinding(const JsonValue& v) {
  Finding f;
  ASSAY_ASSIGN(f.name, v.Str("name"));
  ASSAY_ASSIGN(const std::string weight, v.Str("weight"));
  ASSAY_ASSIGN(f.weight, ReadVerdict(weight));
  ASSAY_ASSIGN(f.text, v.Str("text"));
  ASSAY_ASSIGN(f.sub, Small(v, "sub"));
  ASSAY_ASSIGN(f.path, v.Str("path"));
  ASSAY_ASSIGN(f.digest, v.Str("digest"));
  if (v.Has("record")) {
    ASSAY_ASSIGN(f.record, v.U64("record"));
  }
  if (v.Has("context")) {
    ASSAY_ASSIGN(const JsonValue c, v.Object("context"));
    ASSAY_ASSIGN(f.context, ReadContext(c));
  }
  return f;
}

}  // namespace

Result<Policy> ParsePolicy(std::string_view text) {
  Policy p;
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "policy", kMaxPolicy));
  const JsonValue root = doc.root();
  ASSAY_TRY(RefuseFormer(root));
  ASSAY_TRY(root.OnlyKeys({"pcr",
                           "quote_banks",
                           "file_algs",
                           "allow_software_tpm",
                           "allow_first_use",
                           "pinned_ak",
                           "allowed_eks",
                           "allow_unquoted_tail",
                           "allow_gaps",
                           "allow_what_ran_before",
                           "require_attester_records",
                           "engines",
                           "allow_kernel_policy",
                           "attester_digests",
                           "attester_policies",
                           "measures_at_least",
                           "max_group_ms",
                           "attester_manifests",
                           "manifest_keys",
                           "interpreters",
                           "allowed",
                           "allowed_cgroups",
                           "require_secure_boot",
                           "allow_missing_exit",
                           "require_early_start",
                           "require_reach",
                           "allowed_violations",
                           "vulnerable_fails"}));
  if (root.Has("pcr")) {
    ASSAY_ASSIGN(const std::uint64_t pcr, root.U64("pcr"));
    if (pcr > 15) return Fail(UsageError(fmt::format("policy: any program can reset PCR {}", pcr)));
    p.pcr = static_cast<std::uint32_t>(pcr);
  }
  ASSAY_TRY(ReadAlgs(root, "quote_banks", p.quote_banks));
  ASSAY_TRY(ReadAlgs(root, "file_algs", p.file_algs));
  for (const HashAlg alg : p.quote_banks)
    if (alg == HashAlg::kSha1) return Fail(UsageError("policy: a SHA-1 bank proves nothing"));
  for (const HashAlg alg : p.file_algs)
    if (alg == HashAlg::kSha1) return Fail(UsageError("policy: SHA-1 digests of files prove nothing"));
  if (p.quote_banks.empty()) return Fail(UsageError("policy: quote_banks is empty"));
  ASSAY_TRY(ReadBool(root, "allow_software_tpm", p.allow_software_tpm));
  ASSAY_TRY(ReadBool(root, "allow_first_use", p.allow_first_use));
  if (root.Has("pinned_ak")) {
    ASSAY_ASSIGN(p.pinned_ak, root.Str("pinned_ak"));
    if (!p.pinned_ak.empty() && !IsKeyName(p.pinned_ak))
      return Fail(UsageError("policy: pinned_ak: a key's name is 34 bytes in lower-case hex"));
  }
  ASSAY_TRY(ReadStrings(root, "allowed_eks", p.allowed_eks));
  for (const std::string& ek : p.allowed_eks)
    if (!IsKeyName(ek))
      return Fail(UsageError("policy: allowed_eks: a key's name is 34 bytes in lower-case hex"));
  ASSAY_TRY(ReadBool(root, "allow_unquoted_tail", p.allow_unquoted_tail));
  ASSAY_TRY(ReadBool(root, "allow_gaps", p.allow_gaps));
  ASSAY_TRY(ReadBool(root, "allow_what_ran_before", p.allow_what_ran_before));
  ASSAY_TRY(ReadBool(root, "require_attester_records", p.require_attester_records));
  ASSAY_TRY(ReadStrings(root, "engines", p.engines));
  ASSAY_TRY(ReadBool(root, "allow_kernel_policy", p.allow_kernel_policy));
  ASSAY_TRY(ReadStrings(root, "attester_digests", p.attester_digests));
  ASSAY_TRY(ReadStrings(root, "attester_policies", p.attester_policies));
  ASSAY_TRY(ReadMeasuring(root, p));
  ASSAY_TRY(ReadStrings(root, "interpreters", p.interpreters));
  ASSAY_TRY(ReadStrings(root, "allowed", p.allowed));
  ASSAY_TRY(ReadStrings(root, "allowed_cgroups", p.allowed_cgroups));
  for (const std::string& glob : p.allowed_cgroups)
    if (!glob.starts_with('/'))
      return Fail(
          UsageError("policy: allowed_cgroups: a glob begins with /, the root of the hierarchy: " + glob));
  ASSAY_TRY(CheckDigests("attester_digests", p.attester_digests));
  ASSAY_TRY(CheckDigests("attester_policies", p.attester_policies));
  ASSAY_TRY(CheckDigests("attester_manifests", p.attester_manifests));
  ASSAY_TRY(CheckDigests("allowed", p.allowed));
  ASSAY_TRY(ReadBool(root, "require_secure_boot", p.require_secure_boot));
  ASSAY_TRY(ReadBool(root, "allow_missing_exit", p.allow_missing_exit));
  ASSAY_TRY(ReadBool(root, "require_early_start", p.require_early_start));
  ASSAY_TRY(ReadReach(root, p.require_reach));
  ASSAY_TRY(ReadAllowedViolations(root, p.allowed_violations));
  ASSAY_TRY(ReadBool(root, "vulnerable_fails", p.vulnerable_fails));
  return p;
}

std::string EncodePolicy(const Policy& p) {
  json violations = json::array();
  for (const auto& [program, kinds] : p.allowed_violations)
    violations.push_back({{"program", program}, {"kinds", kinds}});
  const json j = {
      {"pcr", p.pcr},
      {"quote_banks", AlgNames(p.quote_banks)},
      {"file_algs", AlgNames(p.file_algs)},
      {"allow_software_tpm", p.allow_software_tpm},
      {"allow_first_use", p.allow_first_use},
      {"pinned_ak", p.pinned_ak},
      {"allowed_eks", p.allowed_eks},
      {"allow_unquoted_tail", p.allow_unquoted_tail},
      {"allow_gaps", p.allow_gaps},
      {"allow_what_ran_before", p.allow_what_ran_before},
      {"require_attester_records", p.require_attester_records},
      {"engines", p.engines},
      {"allow_kernel_policy", p.allow_kernel_policy},
      {"attester_digests", p.attester_digests},
      {"attester_policies", p.attester_policies},
      {"measures_at_least", p.measures_at_least},
      {"max_group_ms", p.max_group_ms},
      {"attester_manifests", p.attester_manifests},
      {"manifest_keys", p.manifest_keys},
      {"interpreters", p.interpreters},
      {"allowed", p.allowed},
      {"allowed_cgroups", p.allowed_cgroups},
      {"require_secure_boot", p.require_secure_boot},
      {"allow_missing_exit", p.allow_missing_exit},
      {"require_early_start", p.require_early_start},
      {"require_reach", p.require_reach == Reach::kUnknown ? kAnyReach : ReachName(p.require_reach)},
      {"allowed_violations", violations},
      {"vulnerable_fails", p.vulnerable_fails}};
  return j.dump(1) + "\n";
}

Result<HostState> ParseHostState(std::string_view text) {
  HostState s;
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "host-state", kMaxState));
  const JsonValue root = doc.root();
  ASSAY_TRY(
      root.OnlyKeys({"version", "ak_name", "ek_name", "identity", "tpm_software", "clock", "reset_count",
                     "restart_count", "records", "prefix", "boot_id", "standing", "rounds", "own"}));
  ASSAY_ASSIGN(const std::uint64_t version, root.U64("version"));
  if (version < 1 || version > kStateVersion)
    return Fail(ParseError("host-state", 0, "version " + std::to_string(version)));
  ASSAY_ASSIGN(s.ak_name, root.Str("ak_name"));
  ASSAY_ASSIGN(s.ek_name, root.Str("ek_name"));
  if (version == 1) {  // version 1 is older than enrolment
    s.identity = s.ak_name.empty() ? "" : "first-use";
  } else {
    ASSAY_ASSIGN(s.identity, root.Str("identity"));
    ASSAY_ASSIGN(s.tpm_software, root.Bool("tpm_software"));
  }
  ASSAY_ASSIGN(s.clock, root.U64("clock"));
  ASSAY_ASSIGN(s.reset_count, Small(root, "reset_count"));
  ASSAY_ASSIGN(s.restart_count, Small(root, "restart_count"));
  ASSAY_ASSIGN(s.records, root.U64("records"));
  ASSAY_ASSIGN(s.boot_id, root.Str("boot_id"));
  ASSAY_ASSIGN(s.rounds, root.U64("rounds"));
  ASSAY_ASSIGN(const JsonValue prefix, root.Object("prefix"));
  ASSAY_TRY(prefix.EachMember([&](std::string_view key, const JsonValue& v) -> Result<> {
    const std::optional<HashAlg> alg = HashFromName(key);
    if (!alg) return Fail(ParseError("host-state", 0, "not a bank: " + std::string(key)));
    ASSAY_ASSIGN(const std::string hex, v.AsStr());
    ASSAY_ASSIGN(const Bytes bytes, FromHex(hex));
    ASSAY_ASSIGN(s.prefix[*alg], Digest::Of(*alg, bytes));
    return {};
  }));
  ASSAY_ASSIGN(const JsonValue standing, root.Array("standing"));
  ASSAY_TRY(standing.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(Finding f, ReadFinding(v));
    if (s.standing.size() >= kMaxStanding) return Fail(ParseError("host-state", 0, "too many findings"));
    s.standing.push_back(std::move(f));
    return {};
  }));
  ASSAY_ASSIGN(const JsonValue own, root.Object("own"));
  ASSAY_TRY(own.EachMember([&](std::string_view key, const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(s.own[std::string(key)], v.AsStr());
    return {};
  }));
  if (version < kRunKeyVersion) {
    // The state is of a verifier that did not know run keys and judged fewer of the attester's own records,
    // so the list is judged from its start again.
    s.records = 0;
    s.prefix.clear();
    s.standing.clear();
    s.own.clear();
  }
  return s;
}

std::string EncodeHostState(const HostState& s) {
  json prefix = json::object();
  for (const auto& [alg, value] : s.prefix) prefix[std::string(HashName(alg))] = value.hex();
  json standing = json::array();
  for (const Finding& f : s.standing) standing.push_back(FindingJson(f));
  const json j = {{"version", kStateVersion},
                  {"ak_name", s.ak_name},
                  {"ek_name", s.ek_name},
                  {"identity", s.identity},
                  {"tpm_software", s.tpm_software},
                  {"clock", s.clock},
                  {"reset_count", s.reset_count},
                  {"restart_count", s.restart_count},
                  {"records", s.records},
                  {"prefix", prefix},
                  {"boot_id", s.boot_id},
                  {"standing", standing},
                  {"rounds", s.rounds},
                  {"own", s.own}};
  // Paths may hold any bytes, but JSON is UTF-8: invalid bytes become U+FFFD.
  return j.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace assay::appraise
