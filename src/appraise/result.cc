#include "appraise/result.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "appraise/causes.h"
#include "appraise/enrolment.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/json_dump.h"
#include "evidence/container.h"

namespace assay::appraise {
namespace {

using nlohmann::json;
constexpr std::string_view kProfile = "tag:github.com,2023:veraison/ear";
constexpr std::size_t kMaxJwt = std::size_t{16} << 20;

// Trustworthiness tiers, draft-ietf-rats-ar4si.
constexpr int kNone = 0, kAffirming = 2, kWarning = 32, kContraindicated = 96;
int Tier(Verdict v) {
  return v == Verdict::kTrusted ? kAffirming : v == Verdict::kNotTrusted ? kContraindicated : kNone;
}

// What ran before the attester was not judged: a trusted verdict that does not reach back to the boot is not
// affirming.
int Status(const Appraisal& a) {
  return a.verdict == Verdict::kTrusted && a.reach != Reach::kBoot ? kWarning : Tier(a.verdict);
}

// A key that was accepted at first use is not verified, so the result makes no claim about it.
int InstanceIdentity(const Appraisal& a) {
  const bool vouched = !a.host.identity.empty() && a.host.identity != kByFirstUse;
  return vouched || a.verdict == Verdict::kNotTrusted ? Tier(a.verdict) : kNone;
}

json ReachJson(const Appraisal& a) {
  json j = {{"from", ReachName(a.reach)}, {"text", ReachText(a)}};
  if (a.reach == Reach::kStart) j["since"] = TimeText(a.claims.started_ms);
  return j;
}

void PutCgroup(json& j, const std::string& cgroup) {
  if (!cgroup.empty()) j["cgroup"] = cgroup;
  const std::optional<evidence::Container> container = evidence::ContainerIn(cgroup);
  if (!container) return;
  j["container"] = container->id;
  if (container->user) j["container_user"] = *container->user;
  if (!container->service.empty()) j["container_service"] = container->service;
}

json DeviceJson(const DeviceName& d) {
  return {{"subject", d.subject}, {"model", d.model}, {"serial", d.serial}};
}

json ContextJson(const evidence::ContextEntry& c) {
  json j = {
      {"time", TimeText(c.time_ms)}, {"pid", c.pid}, {"uid", c.uid}, {"comm", c.comm}, {"hook", c.hook}};
  PutCgroup(j, c.cgroup);
  if (!c.program.empty()) j["program"] = c.program;
  if (!c.script.empty()) j["script"] = c.script;
  if (!c.under.empty()) j["under"] = c.under;
  return j;
}

json FindingJson(const Finding& f) {
  json j = {{"name", NameText(f.name)}, {"weight", VerdictName(f.weight)}, {"text", f.text}};
  if (f.record) {
    j["record"] = *f.record;
    j["sub"] = f.sub;
  }
  if (!f.path.empty()) j["path"] = f.path;
  if (!f.digest.empty()) j["digest"] = f.digest;
  PutCgroup(j, f.cgroup);
  if (f.context) j["context"] = ContextJson(*f.context);
  if (!f.reason.empty()) j["reason"] = f.reason;
  return j;
}

json EntryJson(const JudgedEntry& e) {
  json j = {{"record", e.record},
            {"sub", e.sub},
            {"state", EntryStateName(e.state)},
            {"path", e.path},
            {"digest", e.digest}};
  PutCgroup(j, e.cgroup);
  if (e.origin) j["origin"] = ToJson(*e.origin);
  if (e.context) j["context"] = ContextJson(*e.context);
  return j;
}

json FindingsJson(const std::vector<Finding>& all) {
  json findings = json::array();
  for (const Finding& f : all) findings.push_back(FindingJson(f));
  return findings;
}

json Counts(const Appraisal& a) {
  json counts = json::object();
  for (const auto& [state, n] : a.counts) counts[std::string(EntryStateName(state))] = n;
  return counts;
}

json Findings(const Appraisal& a) { return FindingsJson(a.findings); }

json CausesJson(const Appraisal& a, const std::vector<const Finding*>& findings) {
  std::map<const Finding*, std::size_t> numbers;
  for (std::size_t i = 0; i < findings.size(); ++i) numbers[findings[i]] = i;
  json causes = json::array();
  for (const Cause& c : CausesOf(a.entries, findings)) {
    json members = json::array();
    for (const Finding* f : c.findings) members.push_back(numbers.at(f));
    causes.push_back({{"kind", CauseKindName(c.kind)},
                      {"name", c.name},
                      {"text", CauseText(c)},
                      {"weight", VerdictName(c.weight)},
                      {"findings", members},
                      {"next", NextSteps(c)}});
    for (const auto& [reason, count] : ReasonsOf(c))
      causes.back()["reasons"].push_back({{"reason", reason}, {"findings", count}});
    if (!c.advisories.empty()) causes.back()["advisories"] = ToJson(c.advisories);
  }
  return causes;
}

}  // namespace

std::string ReachText(const Appraisal& a) {
  switch (a.reach) {
    case Reach::kBoot:
      return "since boot";
    case Reach::kStart:
      return "since " + TimeText(a.claims.started_ms);
    case Reach::kContainer:
      return "one container";
    case Reach::kNamespace:
      return "namespace";
    case Reach::kUnknown:
      break;
  }
  return "reach unknown";
}

std::vector<const Finding*> Selected(const Appraisal& a, const Shown& shown) {
  std::vector<const Finding*> findings = AllOf(a.findings);
  std::erase_if(findings, [&](const Finding* f) { return !NameText(f->name).starts_with(shown.findings); });
  return findings;
}

Result<std::string> SignEar(const Appraisal& a, const EarContext& c, const PrivateKey& key) {
  const std::uint64_t now = c.now_ms / 1000;
  const json claims = {{"eat_profile", kProfile},
                       {"iat", now},
                       {"exp", now + c.valid_s},
                       {"eat_nonce", Base64Url(c.nonce.view())},
                       {"ear.verifier-id", {{"build", c.verifier_build}, {"developer", "assay"}}},
                       {"submods",
                        {{c.host,
                          {{"ear.status", Status(a)},
                           {"ear.trustworthiness-vector",
                            {{"instance-identity", InstanceIdentity(a)}, {"executables", Status(a)}}},
                           {"assay.verdict", VerdictName(a.verdict)},
                           {"assay.reach", ReachJson(a)},
                           {"assay.findings", Findings(a)},
                           {"assay.entries", Counts(a)},
                           {"assay.ak", a.host.ak_name},
                           {"assay.records", a.host.records},
                           {"assay.identity", a.host.identity},
                           {"assay.software-tpm", a.claims.tpm_software || a.host.tpm_software}}}}}};
  const std::string head = DumpJson(json{{"alg", "ES256"}, {"typ", "JWT"}});
  const std::string signed_part = Base64Url(AsBytes(head)) + "." + Base64Url(AsBytes(DumpJson(claims)));
  ASSAY_ASSIGN(const Bytes signature, key.SignEs256(AsBytes(signed_part)));
  return signed_part + "." + Base64Url(signature);
}

Result<std::string> VerifyEar(std::string_view jwt, const PublicKey& key) {
  if (jwt.size() > kMaxJwt) return Fail(ParseError("ear", kMaxJwt, "too large"));
  const std::size_t first = jwt.find('.');
  const std::size_t second = first == std::string_view::npos ? first : jwt.find('.', first + 1);
  if (second == std::string_view::npos) return Fail(ParseError("ear", jwt.size(), "not three parts"));
  ASSAY_ASSIGN(const Bytes signature, FromBase64Url(jwt.substr(second + 1)));
  ASSAY_TRY(key.VerifyEs256(AsBytes(jwt.substr(0, second)), signature));
  ASSAY_ASSIGN(const Bytes head, FromBase64Url(jwt.substr(0, first)));
  ASSAY_ASSIGN(const JsonDoc header, JsonDoc::Parse(AsText(head), "ear", kMaxJwt));
  // Anything else in the header ("crit", RFC 7515 section 4.1.11) could change the meaning of the signature.
  ASSAY_TRY(header.root().OnlyKeys({"alg", "typ", "kid"}));
  ASSAY_ASSIGN(const std::string alg, header.root().Str("alg"));
  if (alg != "ES256") return Fail(ParseError("ear", 0, "signed with " + alg));
  ASSAY_ASSIGN(const Bytes claims, FromBase64Url(jwt.substr(first + 1, second - first - 1)));
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(claims), "ear", kMaxJwt));
  ASSAY_ASSIGN(const std::string profile, doc.root().Str("eat_profile"));
  if (profile != kProfile) return Fail(ParseError("ear", 0, "not an EAR: " + profile));
  return std::string(AsText(claims));
}

json ToJson(const std::vector<Advisory>& advisories) {
  json list = json::array();
  for (const Advisory& a : advisories)
    list.push_back({{"id", a.id}, {"record", a.record}, {"severity", a.severity}, {"fixed", a.fixed}});
  return list;
}

json ToJson(const Origin& o) {
  json j = {{"package", o.package}, {"version", o.version}, {"architecture", o.architecture},
            {"path", o.path},       {"note", o.note},       {"standing", StandingName(o.standing)}};
  if (o.since_ms != 0) j["superseded_since"] = DateText(o.since_ms);
  if (o.advisory_count != 0) {
    j["advisories"] = ToJson(o.advisories);
    j["advisory_count"] = o.advisory_count;
  }
  return j;
}

json ToJson(const Appraisal& a, bool entries, const Shown& shown) {
  const std::vector<const Finding*> findings = Selected(a, shown);
  const std::optional<Changes> changes =
      shown.before == nullptr ? std::nullopt : ChangesSince(*shown.before, a);
  json list = json::array();
  for (const Finding* f : findings) {
    list.push_back(FindingJson(*f));
    if (changes && f->record) list.back()["new"] = changes->fresh.contains(f);
  }
  json j = {{"verdict", VerdictName(a.verdict)},
            {"reach", ReachJson(a)},
            {"findings", std::move(list)},
            {"causes", CausesJson(a, findings)},
            {"counts", Counts(a)},
            {"rebooted", a.rebooted},
            {"ak", a.host.ak_name},
            {"identity", a.host.identity},
            {"device", DeviceJson(a.host.device)},
            {"software_tpm", a.claims.tpm_software || a.host.tpm_software},
            {"records", a.host.records},
            {"host", a.claims.hostname.ToString()},
            {"rounds", a.host.rounds}};
  if (changes)
    j["changes"] = {{"new", changes->fresh.size()},
                    {"standing", changes->standing},
                    {"gone", FindingsJson(changes->gone)}};
  if (entries) {
    json judged = json::array();
    for (const JudgedEntry& e : a.entries) judged.push_back(EntryJson(e));
    j["entries"] = std::move(judged);
  }
  return j;
}

json ToJson(const Enrolment& e) {
  return {{"enrolled", e.verdict == Verdict::kTrusted},
          {"findings", FindingsJson(e.findings)},
          {"ak", e.ak_name},
          {"ek", e.ek_name},
          {"identity", e.identity},
          {"tpm",
           {{"manufacturer", e.facts.manufacturer}, {"model", e.facts.model}, {"version", e.facts.version}}},
          {"software_tpm", e.host.tpm_software},
          {"device", DeviceJson(e.device)}};
}

}  // namespace assay::appraise
