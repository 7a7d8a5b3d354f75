#include "daemon/config.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/json.h"
#include "base/json_dump.h"
#include "base/name_table.h"
#include "base/near.h"
#include "base/text.h"
#include "daemon/config_texts.h"
#include "daemon/errors.h"
#include "measure/engine/starts.h"
#include "measure/policy/instrumented.h"

namespace assay::daemon {
namespace {

// Every member, the form that is wanted, and the default. man/assayd.json.5 describes them, and
// packaging/assayd.json shows them (tests compare).
constexpr ConfigMember kMembers[] = {
    {"state_dir", "a path", R"("/var/lib/assay")"},
    {"run_dir", "a path", R"("/run/assayd")"},
    {"mount_point", "a path", R"("/run/assay")"},
    {"tpm/tcti", "embedded, or a TCTI as device:/dev/tpmrm0", R"("embedded")"},
    {"tpm/stop", "true or false", "false"},
    {"tpm/ak", "ecc or rsa", R"("ecc")"},
    {"tpm/endorsement_password_file", "a path", ""},
    {"tpm/owner_password_file", "a path", ""},
    {"record/pcr", "a number from 8 to 15", "10"},
    {"record/synchronous", "true or false", "false"},
    {"record/group_ms", "a number from 1 to 10000", "50"},
    {"record/max_records", "a number from 100 to 100000000", "1000000"},
    {"engine/scope", "none, namespace or host", ""},
    {"engine/mounts", "a list of paths: [\"/\"]", R"(["/"])"},
    {"engine/policy", "built-in policies joined by |, or the absolute path of a file", R"("default")"},
    {"engine/appraise", "off, learn or enforce", R"("off")"},
    {"engine/extensions", "a list of endings: [\".py\"]", R"([".py", ".pl", ".pm", ".sh", ".rb"])"},
    {"engine/workers", "a number from 1 to 64", "2"},
    {"engine/deadline_ms", "a number from 100 to 600000", "30000"},
    {"engine/expiry", "allow or refuse", R"("allow")"},
    {"engine/engine", "best, lsm, fanotify or kernel-ima", R"("best")"},
    {"engine/guard", "true or false", "false"},
    {"engine/instrumented", R"(an object {PATH: HOOK}: {"/usr/bin/python3.11": "python"})", "{}"},
    {"manifest/index", "the path of a signed index", ""},
    {"manifest/key", "the path of a public key (PEM)", ""},
    {"serve/unix", "true or false", "true"},
    {"serve/unix_level", "quote, list or full", R"("quote")"},
    {"serve/listen", "ADDRESS:PORT, numeric: 192.0.2.7:7443 or [::1]:7443", ""},
    {"serve/certificate", "the path of a certificate (PEM)", ""},
    {"serve/key", "the path of a private key (PEM)", ""},
    {"serve/allow",
     "an object {FINGERPRINT: LEVEL}; a fingerprint has 64 hex digits, AA:BB:.. is accepted; a level is "
     "quote, list or full",
     "{}"},
    {"early/on_failure", "cap or halt", R"("cap")"},
    {"log/level", "debug, info, warn or error", R"("info")"},
    {"log/json", "true or false", "false"},
    {"log/file", "a path", ""},
};

// The names that stand right below a section; below "" those of the sections, too.
std::vector<std::string_view> NamesBelow(std::string_view section) {
  std::vector<std::string_view> names;
  for (const ConfigMember& m : kMembers) {
    std::string_view name = m.name;
    if (!section.empty()) {
      if (!name.starts_with(section) || name.size() <= section.size() || name[section.size()] != '/')
        continue;
      name.remove_prefix(section.size() + 1);
    } else {
      name = name.substr(0, name.find('/'));
    }
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  return names;
}

std::string FormOf(std::string_view member) {
  for (const ConfigMember& m : kMembers)
    if (m.name == member) return "; wanted: " + std::string(m.form);
  return "";
}

// Every name in every text is that of a member, of a section, or below a member whose value is an object.
Result<> OnlyKnown(const MergedTexts& texts) {
  const auto known = [](std::string_view path) {
    return std::any_of(std::begin(kMembers), std::end(kMembers), [&](const ConfigMember& m) {
      const std::string_view shorter = m.name.size() < path.size() ? m.name : path;
      const std::string_view longer = m.name.size() < path.size() ? path : m.name;
      return longer.starts_with(shorter) && (longer == shorter || longer[shorter.size()] == '/');
    });
  };
  for (const auto& [name, places] : texts.texts()) {
    for (const auto& [path, line] : places.lines()) {
      if (known(path)) continue;
      const std::size_t slash = path.rfind('/') == std::string::npos ? 0 : path.rfind('/');
      const std::string_view key = std::string_view(path).substr(slash == 0 ? 0 : slash + 1);
      const std::string_view meant = Nearest(key, NamesBelow(std::string_view(path).substr(0, slash)));
      return Fail(StateError(ConfigError::kUnknownMember,
                             fmt::format("{}:{}: {}: there is no such member{}", name, line, Printable(path),
                                         meant.empty() ? "" : fmt::format("; did you mean '{}'?", meant))));
    }
  }
  return {};
}

// An object of the configuration. Its members are read by their names, and errors name the whole path.
class Section {
 public:
  Section(const MergedTexts& texts, JsonValue value, std::string name)
      : texts_(texts), value_(std::move(value)), name_(std::move(name)) {}

  bool Has(std::string_view key) const { return value_.Has(key); }
  std::string Path(std::string_view key) const {
    return name_.empty() ? std::string(key) : name_ + "/" + std::string(key);
  }
  Error Bad(std::string_view key, const std::string& what) const {
    return texts_.Bad(ConfigError::kValue, Path(key), what + FormOf(Path(key)));
  }
  Error Conflict(std::string_view key, const std::string& what) const {
    return texts_.Bad(ConfigError::kConflict, Path(key), what);
  }
  Result<> Require(std::string_view key) const {
    if (Has(key)) return {};
    return Fail(texts_.Bad(ConfigError::kMissing, Path(key), "it is missing" + FormOf(Path(key))));
  }
  Result<> Get(std::string_view key, std::string& into) const {
    return Take(key, into, [&] { return value_.Str(key); });
  }
  Result<> Get(std::string_view key, bool& into) const {
    return Take(key, into, [&] { return value_.Bool(key); });
  }
  Result<> Get(std::string_view key, std::vector<std::string>& into) const {
    return Take(key, into, [&] { return value_.Strings(key); });
  }
  Result<> Get(std::string_view key, std::uint64_t low, std::uint64_t high, auto& into) const {
    std::uint64_t value = low;
    ASSAY_TRY(Take(key, value, [&] { return value_.U64(key); }));
    if (value < low || value > high)
      return Fail(Bad(key, fmt::format("{} is not within {}..{}", value, low, high)));
    if (Has(key)) into = static_cast<std::remove_reference_t<decltype(into)>>(value);
    return {};
  }
  // A member that is one of some names; `parse` gives the value of a name.
  Result<> Choose(std::string_view key, auto& into, const auto& parse) const {
    if (!Has(key)) return {};
    std::string name;
    ASSAY_TRY(Get(key, name));
    auto value = parse(name);
    if (!value) return Fail(Bad(key, fmt::format("'{}' is none of them", Printable(name))));
    into = *value;
    return {};
  }
  Result<Section> Object(std::string_view key) const {
    Result<JsonValue> object = value_.Object(key);
    if (!object) return Fail(Bad(key, "it is not an object"));
    return Section(texts_, std::move(*object), Path(key));
  }
  const JsonValue& value() const { return value_; }

 private:
  template <typename T>
  Result<> Take(std::string_view key, T& into, const auto& read) const {
    if (!Has(key)) return {};
    Result<T> value = read();
    if (!value) return Fail(Bad(key, "it is of another type"));
    into = std::move(*value);
    return {};
  }
  const MergedTexts& texts_;
  JsonValue value_;
  std::string name_;
};

Result<> ParseTpm(const Section& s, Config& c) {
  ASSAY_TRY(s.Get("tcti", c.tcti));
  ASSAY_TRY(s.Get("stop", c.stop_tpm));
  ASSAY_TRY(s.Get("endorsement_password_file", c.endorsement_password_file));
  ASSAY_TRY(s.Get("owner_password_file", c.owner_password_file));
  return s.Choose("ak", c.ak, [](std::string_view name) {
    return name == "ecc"   ? std::optional(tpm::AkKind::kEccP256)
           : name == "rsa" ? std::optional(tpm::AkKind::kRsa2048)
                           : std::nullopt;
  });
}

Result<> ParseRecord(const Section& s, Config& c) {
  ASSAY_TRY(s.Get("pcr", 8, 15, c.pcr));  // not a PCR that software can reset
  ASSAY_TRY(s.Get("synchronous", c.synchronous));
  ASSAY_TRY(s.Get("group_ms", 1, 10'000, c.group_ms));
  return s.Get("max_records", 100, 100'000'000, c.max_records);
}

constexpr auto kScopes =
    Names<Scope>({{Scope::kNone, "none"}, {Scope::kNamespace, "namespace"}, {Scope::kHost, "host"}});
constexpr auto kAppraises = Names<measure::Appraise>({{measure::Appraise::kOff, "off"},
                                                      {measure::Appraise::kLearn, "learn"},
                                                      {measure::Appraise::kEnforce, "enforce"}});
constexpr auto kExpiries =
    Names<measure::Expiry>({{measure::Expiry::kAllow, "allow"}, {measure::Expiry::kRefuse, "refuse"}});
constexpr std::string_view kBest = "best";

// Members that exclude each other are an error: no other engine or scope takes the place of the configured
// one.
Result<> CheckEngine(const Section& s, const Config& c, std::string_view engine) {
  if (engine == kKernelIma) {
    // The kernel decides everything else, so members that it would not follow are refused.
    for (const std::string_view name : NamesBelow("engine"))
      if (name != "scope" && name != "engine" && s.Has(name))
        return Fail(
            s.Conflict(name, "it has no effect with the engine kernel-ima, where the kernel decides"));
    if (c.scope != Scope::kHost)
      return Fail(
          s.Conflict("engine", "kernel-ima needs the scope host: the kernel measures the whole machine"));
  }
  if (engine == "lsm" && c.scope == Scope::kNamespace)
    return Fail(s.Conflict("engine", "lsm needs the scope host: its hooks know no mount namespaces"));
  if (c.engine.lsm.guard && (engine == "fanotify" || c.scope != Scope::kHost))
    return Fail(s.Conflict("guard", "only the lsm engine, for the scope host, can guard the attester"));
  if (!c.engine.lsm.instrumented.empty() && (engine == "fanotify" || c.scope != Scope::kHost))
    return Fail(s.Conflict("instrumented",
                           "only the lsm engine, for the scope host, tells how interpreters are started"));
  return {};
}

Result<> ParseInstrumented(const Section& s, std::map<std::string, std::string>& into) {
  if (!s.Has("instrumented")) return {};
  const Result<JsonValue> hooks = s.value().Object("instrumented");
  if (!hooks) return Fail(s.Bad("instrumented", "it is not an object"));
  ASSAY_TRY(hooks->EachMember([&](std::string_view path, const JsonValue& value) -> Result<> {
    const auto bad = [&](const std::string& what) {
      return Fail(s.Bad("instrumented", fmt::format("'{}': {}", Printable(path), what)));
    };
    if (!path.starts_with('/')) return bad("not an absolute path");
    const Result<std::string> hook = value.AsStr();
    if (!hook || !measure::IsHookName(*hook)) return bad("not the name of a hook: a-z, 0-9 and -");
    if (!into.emplace(path, *hook).second) return bad("it is there twice");
    return {};
  }));
  if (into.size() > measure::kMaxInstrumented)
    return Fail(s.Bad("instrumented", fmt::format("more than {} programs", measure::kMaxInstrumented)));
  return {};
}

Result<> ParseEngine(const Section& s, Config& c) {
  // The member is required, because what is measured must not depend on a default.
  ASSAY_TRY(s.Require("scope"));
  ASSAY_TRY(s.Choose("scope", c.scope, [](std::string_view name) { return kScopes.Find(name); }));
  c.engine.fanotify.mounts = {"/"};
  ASSAY_TRY(s.Get("mounts", c.engine.fanotify.mounts));
  std::string policy = "default";
  ASSAY_TRY(s.Get("policy", policy));
  Result<std::shared_ptr<const measure::Policy>> found = measure::FindPolicy(policy);
  if (!found) return Fail(s.Bad("policy", found.error().Message()));
  c.engine.rules.policy = std::move(*found);
  if (policy.starts_with('/')) c.policy_file = policy;
  ASSAY_TRY(s.Choose("appraise", c.engine.rules.appraise,
                     [](std::string_view name) { return kAppraises.Find(name); }));
  ASSAY_TRY(s.Get("extensions", c.engine.rules.extensions));
  ASSAY_TRY(s.Get("workers", 1, 64, c.engine.limits.workers));
  std::uint64_t deadline = static_cast<std::uint64_t>(c.engine.limits.deadline.count());
  ASSAY_TRY(s.Get("deadline_ms", 100, 600'000, deadline));
  c.engine.limits.deadline = std::chrono::milliseconds(deadline);
  ASSAY_TRY(
      s.Choose("expiry", c.engine.limits.expiry, [](std::string_view name) { return kExpiries.Find(name); }));
  std::string engine(kBest);
  ASSAY_TRY(s.Choose("engine", engine, [](const std::string& name) {
    for (const std::string_view known : {kBest, kKernelIma})
      if (name == known) return std::optional(name);
    for (const measure::EngineEntry& entry : measure::Engines())
      if (name == entry.name) return std::optional(name);
    return std::optional<std::string>();
  }));
  if (engine != kBest) c.engine.name = engine;
  ASSAY_TRY(s.Get("guard", c.engine.lsm.guard));
  ASSAY_TRY(ParseInstrumented(s, c.engine.lsm.instrumented));
  return CheckEngine(s, c, engine);
}

Result<> ParseServe(const Section& s, Config& c) {
  const auto level = [](std::string_view name) {
    const Result<evidence::Level> parsed = evidence::ParseLevel(name);
    return parsed ? std::optional(*parsed) : std::nullopt;
  };
  ASSAY_TRY(s.Get("unix", c.serve_unix));
  ASSAY_TRY(s.Choose("unix_level", c.unix_level, level));
  ASSAY_TRY(s.Get("listen", c.listen));
  if (!c.listen.empty() && !ParseListen(c.listen))
    return Fail(s.Bad("listen", fmt::format("'{}' is no address", Printable(c.listen))));
  ASSAY_TRY(s.Get("certificate", c.certificate));
  ASSAY_TRY(s.Get("key", c.key));
  if (!c.listen.empty() && (c.certificate.empty() || c.key.empty()))
    return Fail(s.Conflict("listen", "it needs serve/certificate and serve/key"));
  if (!s.Has("allow")) return {};
  const Result<JsonValue> allow = s.value().Object("allow");
  if (!allow) return Fail(s.Bad("allow", "it is not an object"));
  return allow->EachMember([&](std::string_view fingerprint, const JsonValue& value) -> Result<> {
    const auto bad = [&](const std::string& what) {
      return Fail(s.Bad("allow", fmt::format("'{}': {}", Printable(fingerprint), what)));
    };
    const Result<Fingerprint> of = Fingerprint::Parse(fingerprint);
    if (!of) return bad("not a SHA-256 fingerprint");
    const Result<std::string> name = value.AsStr();
    const auto seen = name ? level(*name) : std::nullopt;
    if (!seen) return bad("not a level");
    if (!c.allow.emplace(*of, *seen).second) return bad("it is there twice");
    return {};
  });
}

Result<> ParseEarly(const Section& s, Config& c) {
  return s.Choose("on_failure", c.halt_without_start, [](std::string_view name) {
    return name == "cap" ? std::optional(false) : name == "halt" ? std::optional(true) : std::nullopt;
  });
}

Result<> ParseLog(const Section& s, Config& c) {
  ASSAY_TRY(s.Choose("level", c.log.level, [](const std::string& name) -> std::optional<log::Level> {
    static const std::map<std::string, log::Level> levels{{"debug", log::Level::kDebug},
                                                          {"info", log::Level::kInfo},
                                                          {"warn", log::Level::kWarn},
                                                          {"error", log::Level::kError}};
    const auto found = levels.find(name);
    return found == levels.end() ? std::nullopt : std::optional(found->second);
  }));
  ASSAY_TRY(s.Get("json", c.log.json));
  return s.Get("file", c.log.file);
}

Result<> ParseManifest(const Section& s, Config& c) {
  ASSAY_TRY(s.Require("index"));
  ASSAY_TRY(s.Require("key"));
  ASSAY_TRY(s.Get("index", c.manifest));
  return s.Get("key", c.manifest_key);
}

}  // namespace

std::span<const ConfigMember> ConfigMembers() { return kMembers; }

std::string_view ScopeName(Scope scope) { return kScopes.Of(scope); }

Result<ListenAddress> ParseListen(std::string_view text) {
  const Error bad = UsageError("not ADDRESS:PORT, numeric: " + std::string(text));
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Fail(bad);
  ListenAddress address;
  address.host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || address.port < 0 ||
      address.port > 65535)
    return Fail(bad);
  std::array<std::uint8_t, 16> binary{};
  const bool six = address.host.starts_with('[') && address.host.ends_with(']');
  const std::string bare = six ? address.host.substr(1, address.host.size() - 2) : address.host;
  const std::string scopeless = bare.substr(0, bare.find('%'));
  if (inet_pton(six ? AF_INET6 : AF_INET, scopeless.c_str(), binary.data()) != 1) return Fail(bad);
  return address;
}

Result<Config> ParseConfig(std::span<const ConfigText> given) {
  ASSAY_ASSIGN(const MergedTexts texts, MergedTexts::Of(given));
  ASSAY_TRY(OnlyKnown(texts));
  Result<JsonDoc> doc = JsonDoc::Parse(texts.merged(), "assayd-config");
  if (!doc) return Fail(StateError(ConfigError::kSyntax, given[0].name + ": " + doc.error().Message()));
  const Section root(texts, doc->root(), "");
  Config c;
  for (const ConfigText& text : given) c.files.push_back(text.name);
  ASSAY_TRY(root.Get("state_dir", c.state_dir));
  ASSAY_TRY(root.Get("run_dir", c.run_dir));
  ASSAY_TRY(root.Get("mount_point", c.mount_point));
  ASSAY_TRY(root.Require("engine"));
  struct Part {
    std::string_view name;
    Result<> (*parse)(const Section&, Config&);
  };
  for (const Part& part : {Part{"tpm", ParseTpm}, Part{"record", ParseRecord}, Part{"engine", ParseEngine},
                           Part{"manifest", ParseManifest}, Part{"serve", ParseServe}, Part{"log", ParseLog},
                           Part{"early", ParseEarly}}) {
    if (!root.Has(part.name)) continue;
    ASSAY_ASSIGN(const Section section, root.Object(part.name));
    ASSAY_TRY(part.parse(section, c));
  }
  for (const std::string_view member : {"record", "manifest"})
    if (c.engine.name == kKernelIma && root.Has(member))
      return Fail(
          root.Conflict(member, "it has no effect with the engine kernel-ima, where the kernel records"));
  if (c.engine.rules.appraise != measure::Appraise::kOff && c.manifest.empty())
    return Fail(root.Conflict("engine/appraise", "it needs a manifest; without one no content is known"));
  return c;
}

Result<Config> ParseConfig(std::string_view json, const std::string& name) {
  const ConfigText text{.name = name, .json = std::string(json)};
  return ParseConfig(std::span(&text, 1));
}

Result<Config> ReadConfig(const std::string& path) {
  ASSAY_ASSIGN(const std::vector<ConfigText> texts, ReadConfigTexts(path));
  return ParseConfig(texts);
}

Result<> CheckKeyFile(const std::string& path) {
  struct stat st{};
  if (stat(path.c_str(), &st) != 0) return Fail(OsError("stat", path, errno));
  if ((st.st_mode & S_IRWXO) != 0)
    return Fail(StateError(ConfigError::kKeyFile,
                           fmt::format("every user can read or write the key {0}: chmod 600 {0}", path)));
  return {};
}

std::vector<std::string> NeedsRestart(const Config& a, const Config& b) {
  const auto& ae = a.engine;
  const auto& be = b.engine;
  const std::pair<std::string_view, bool> same[] = {
      {"state_dir", a.state_dir == b.state_dir},
      {"run_dir", a.run_dir == b.run_dir},
      {"mount_point", a.mount_point == b.mount_point},
      {"tpm/tcti", a.tcti == b.tcti},
      {"tpm/stop", a.stop_tpm == b.stop_tpm},
      {"tpm/ak", a.ak == b.ak},
      {"tpm/endorsement_password_file", a.endorsement_password_file == b.endorsement_password_file},
      {"tpm/owner_password_file", a.owner_password_file == b.owner_password_file},
      {"record/pcr", a.pcr == b.pcr},
      {"record/synchronous", a.synchronous == b.synchronous},
      {"record/group_ms", a.group_ms == b.group_ms},
      {"record/max_records", a.max_records == b.max_records},
      {"engine/scope", a.scope == b.scope},
      {"engine/mounts", ae.fanotify.mounts == be.fanotify.mounts},
      {"engine/appraise", ae.rules.appraise == be.rules.appraise},
      {"engine/extensions", ae.rules.extensions == be.rules.extensions},
      {"engine/workers", ae.limits.workers == be.limits.workers},
      {"engine/deadline_ms", ae.limits.deadline == be.limits.deadline},
      {"engine/expiry", ae.limits.expiry == be.limits.expiry},
      {"engine/engine", ae.name == be.name},
      {"engine/guard", ae.lsm.guard == be.lsm.guard},
      {"engine/instrumented", ae.lsm.instrumented == be.lsm.instrumented},
      {"manifest/index", a.manifest == b.manifest},
      {"manifest/key", a.manifest_key == b.manifest_key}};
  std::vector<std::string> changed;
  for (const auto& [member, is_same] : same)
    if (!is_same) changed.emplace_back(member);
  return changed;
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
  if (!c.engine.lsm.instrumented.empty()) j["engine"]["instrumented"] = c.engine.lsm.instrumented;
  j["record"] = {{"pcr", c.pcr},
                 {"synchronous", c.synchronous},
                 {"group_ms", c.group_ms},
                 {"max_records", c.max_records}};
  return DumpJson(j);
}

}  // namespace assay::daemon
