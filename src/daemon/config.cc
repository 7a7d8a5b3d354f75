#include "daemon/config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/json.h"
#include "base/json_dump.h"
#include "base/name_table.h"

namespace assay::daemon {
namespace {

constexpr std::size_t kMaxConfig = 1 << 20;

// Reads a member if it exists.
Result<> Get(const JsonValue& from, std::string_view key, std::string& into) {
  if (from.Has(key)) {
    ASSAY_ASSIGN(into, from.Str(key));
  }
  return {};
}
Result<> Get(const JsonValue& from, std::string_view key, bool& into) {
  if (from.Has(key)) {
    ASSAY_ASSIGN(into, from.Bool(key));
  }
  return {};
}
Result<> Get(const JsonValue& from, std::string_view key, std::uint64_t low, std::uint64_t high, auto& into) {
  if (!from.Has(key)) return {};
  ASSAY_ASSIGN(std::uint64_t value, from.U64(key));
  if (value < low || value > high)
    return Fail(UsageError(fmt::format("{}: {} is not within {}..{}", key, value, low, high)));
  into = static_cast<std::remove_reference_t<decltype(into)>>(value);
  return {};
}
Result<> Get(const JsonValue& from, std::string_view key, std::vector<std::string>& into) {
  if (!from.Has(key)) return {};
  ASSAY_ASSIGN(JsonValue list, from.Array(key));
  into.clear();
  return list.Each([&](const JsonValue& item) -> Result<> {
    ASSAY_ASSIGN(std::string text, item.AsStr());
    into.push_back(std::move(text));
    return {};
  });
}

Result<> ParseTpm(const JsonValue& v, Config& c) {
  ASSAY_TRY(v.OnlyKeys({"tcti", "stop", "ak"}));
  ASSAY_TRY(Get(v, "tcti", c.tcti));
  ASSAY_TRY(Get(v, "stop", c.stop_tpm));
  std::string ak = "ecc";
  ASSAY_TRY(Get(v, "ak", ak));
  if (ak != "ecc" && ak != "rsa") return Fail(UsageError("tpm/ak: not ecc or rsa: " + ak));
  c.ak = ak == "ecc" ? tpm::AkKind::kEccP256 : tpm::AkKind::kRsa2048;
  return {};
}

Result<> ParseRecord(const JsonValue& v, Config& c) {
  ASSAY_TRY(v.OnlyKeys({"pcr", "synchronous", "group_ms", "max_records"}));
  ASSAY_TRY(Get(v, "pcr", 8, 15, c.pcr));  // not a PCR that software can reset
  ASSAY_TRY(Get(v, "synchronous", c.synchronous));
  ASSAY_TRY(Get(v, "group_ms", 1, 10'000, c.group_ms));
  return Get(v, "max_records", 100, 100'000'000, c.max_records);
}

constexpr auto kScopes =
    Names<Scope>({{Scope::kNone, "none"}, {Scope::kNamespace, "namespace"}, {Scope::kHost, "host"}});
constexpr auto kAppraises = Names<measure::Appraise>({{measure::Appraise::kOff, "off"},
                                                      {measure::Appraise::kLearn, "learn"},
                                                      {measure::Appraise::kEnforce, "enforce"}});
constexpr auto kExpiries =
    Names<measure::Expiry>({{measure::Expiry::kAllow, "allow"}, {measure::Expiry::kRefuse, "refuse"}});

Result<measure::Appraise> ParseAppraise(const JsonValue& v) {
  std::string appraise = "off";
  ASSAY_TRY(Get(v, "appraise", appraise));
  return kAppraises.Parse(appraise, "engine/appraise");
}

Result<> ParseEngine(const JsonValue& v, Config& c) {
  ASSAY_TRY(v.OnlyKeys({"scope", "mounts", "policy", "appraise", "extensions", "workers", "deadline_ms",
                        "expiry", "engine", "guard"}));
  ASSAY_ASSIGN(std::string scope, v.Str("scope"));
  ASSAY_ASSIGN(c.scope, kScopes.Parse(scope, "engine/scope"));
  c.engine.fanotify.mounts = {"/"};
  ASSAY_TRY(Get(v, "mounts", c.engine.fanotify.mounts));
  std::string policy = "default";
  ASSAY_TRY(Get(v, "policy", policy));
  ASSAY_ASSIGN(c.engine.rules.policy, measure::FindPolicy(policy));
  if (policy.starts_with('/')) c.policy_file = policy;
  ASSAY_ASSIGN(c.engine.rules.appraise, ParseAppraise(v));
  ASSAY_TRY(Get(v, "extensions", c.engine.rules.extensions));
  ASSAY_TRY(Get(v, "workers", 1, 64, c.engine.limits.workers));
  std::uint64_t deadline = static_cast<std::uint64_t>(c.engine.limits.deadline.count());
  ASSAY_TRY(Get(v, "deadline_ms", 100, 600'000, deadline));
  c.engine.limits.deadline = std::chrono::milliseconds(deadline);
  std::string expiry = "allow";
  ASSAY_TRY(Get(v, "expiry", expiry));
  ASSAY_ASSIGN(c.engine.limits.expiry, kExpiries.Parse(expiry, "engine/expiry"));
  std::string engine = "best";
  ASSAY_TRY(Get(v, "engine", engine));
  if (engine != "best" && engine != "lsm" && engine != "fanotify" && engine != kKernelIma)
    return Fail(UsageError("engine/engine: not best, lsm, fanotify or kernel-ima: " + engine));
  if (engine != "best") c.engine.name = engine;
  ASSAY_TRY(Get(v, "guard", c.engine.lsm.guard));
  if (c.engine.lsm.guard && (engine == "fanotify" || c.scope != Scope::kHost))
    return Fail(UsageError("engine/guard: only the lsm engine, for the whole host, can guard the attester"));
  if (engine == kKernelIma) {
    // The kernel decides everything else, so members that it would not follow are refused.
    ASSAY_TRY(v.OnlyKeys({"scope", "engine"}));
    if (c.scope != Scope::kHost)
      return Fail(
          UsageError("engine/engine kernel-ima needs the scope host: the kernel measures the whole machine"));
  }
  return {};
}

Result<> ParseServe(const JsonValue& v, Config& c) {
  ASSAY_TRY(v.OnlyKeys({"unix", "unix_level", "listen", "certificate", "key", "allow"}));
  ASSAY_TRY(Get(v, "unix", c.serve_unix));
  if (v.Has("unix_level")) {
    ASSAY_ASSIGN(std::string level, v.Str("unix_level"));
    ASSAY_ASSIGN(c.unix_level, evidence::ParseLevel(level));
  }
  ASSAY_TRY(Get(v, "listen", c.listen));
  ASSAY_TRY(Get(v, "certificate", c.certificate));
  ASSAY_TRY(Get(v, "key", c.key));
  if (!v.Has("allow")) return {};
  ASSAY_ASSIGN(JsonValue allow, v.Object("allow"));
  return allow.EachMember([&](std::string_view fingerprint, const JsonValue& value) -> Result<> {
    const Result<Fingerprint> of = Fingerprint::Parse(fingerprint);
    if (!of) return Fail(UsageError("serve/allow: not a SHA-256 fingerprint: " + std::string(fingerprint)));
    ASSAY_ASSIGN(std::string name, value.AsStr());
    ASSAY_ASSIGN(evidence::Level level, evidence::ParseLevel(name));
    c.allow[*of] = level;
    return {};
  });
}

Result<> ParseEarly(const JsonValue& v, Config& c) {
  ASSAY_TRY(v.OnlyKeys({"on_failure"}));
  std::string on_failure = "cap";
  ASSAY_TRY(Get(v, "on_failure", on_failure));
  if (on_failure != "cap" && on_failure != "halt")
    return Fail(UsageError("early/on_failure: not cap or halt: " + on_failure));
  c.halt_without_start = on_failure == "halt";
  return {};
}

Result<> ParseLog(const JsonValue& v, Config& c) {
  ASSAY_TRY(v.OnlyKeys({"level", "json", "file"}));
  std::string level = "info";
  ASSAY_TRY(Get(v, "level", level));
  static const std::map<std::string, log::Level> levels{{"debug", log::Level::kDebug},
                                                        {"info", log::Level::kInfo},
                                                        {"warn", log::Level::kWarn},
                                                        {"error", log::Level::kError}};
  auto found = levels.find(level);
  if (found == levels.end()) return Fail(UsageError("log/level: not debug, info, warn or error: " + level));
  c.log.level = found->second;
  ASSAY_TRY(Get(v, "json", c.log.json));
  return Get(v, "file", c.log.file);
}

}  // namespace

std::string_view ScopeName(Scope scope) { return kScopes.Of(scope); }

Result<Config> ParseConfig(std::string_view json) {
  ASSAY_ASSIGN(JsonDoc doc, JsonDoc::Parse(json, "assayd-config", kMaxConfig));
  JsonValue root = doc.root();
  ASSAY_TRY(root.OnlyKeys({"state_dir", "run_dir", "mount_point", "tpm", "record", "engine", "manifest",
                           "serve", "log", "early"}));
  Config c;
  ASSAY_TRY(Get(root, "state_dir", c.state_dir));
  ASSAY_TRY(Get(root, "run_dir", c.run_dir));
  ASSAY_TRY(Get(root, "mount_point", c.mount_point));
  struct Section {
    std::string_view name;
    Result<> (*parse)(const JsonValue&, Config&);
  };
  for (const Section& section :
       {Section{"tpm", ParseTpm}, Section{"record", ParseRecord}, Section{"serve", ParseServe},
        Section{"log", ParseLog}, Section{"early", ParseEarly}}) {
    if (!root.Has(section.name)) continue;
    ASSAY_ASSIGN(JsonValue v, root.Object(section.name));
    ASSAY_TRY(section.parse(v, c));
  }
  // The member is required, because what is measured must not depend on a default.
  ASSAY_ASSIGN(JsonValue engine, root.Object("engine"));
  ASSAY_TRY(ParseEngine(engine, c));
  if (root.Has("manifest")) {
    ASSAY_ASSIGN(JsonValue manifest, root.Object("manifest"));
    ASSAY_TRY(manifest.OnlyKeys({"index", "key"}));
    ASSAY_ASSIGN(c.manifest, manifest.Str("index"));
    ASSAY_ASSIGN(c.manifest_key, manifest.Str("key"));
  }
  if (c.engine.name == kKernelIma && (root.Has("record") || root.Has("manifest")))
    return Fail(UsageError(
        "record and manifest have no effect with the engine kernel-ima, where the kernel records"));
  if (c.engine.rules.appraise != measure::Appraise::kOff && c.manifest.empty())
    return Fail(UsageError("engine/appraise needs a manifest; without one no content is known"));
  if (!c.listen.empty() && (c.certificate.empty() || c.key.empty()))
    return Fail(UsageError("serve/listen needs serve/certificate and serve/key"));
  return c;
}

Result<Config> ReadConfig(const std::string& path) {
  ASSAY_ASSIGN(Bytes bytes, ReadFile(path, kMaxConfig));
  auto config = ParseConfig(AsText(bytes));
  if (!config) return Fail(config.error().In("reading " + path));
  return config;
}

std::string_view AppraiseName(measure::Appraise appraise) { return kAppraises.Of(appraise); }

std::string EnginePolicy(const Config& c) {
  nlohmann::json j;
  j["engine"] = {{"scope", ScopeName(c.scope)},
                 {"mounts", c.engine.fanotify.mounts},
                 {"extensions", c.engine.rules.extensions},
                 {"appraise", AppraiseName(c.engine.rules.appraise)},
                 {"rules", c.engine.rules.policy->text()},
                 {"guard", c.engine.lsm.guard},
                 {"deadline_ms", c.engine.limits.deadline.count()},
                 {"expiry", kExpiries.Of(c.engine.limits.expiry)}};
  j["record"] = {{"pcr", c.pcr},
                 {"synchronous", c.synchronous},
                 {"group_ms", c.group_ms},
                 {"max_records", c.max_records}};
  return DumpJson(j);
}

}  // namespace assay::daemon
