#include "appraise/host_state.h"

#include "base/json_members.h"

namespace assay::appraise {
namespace {

constexpr std::uint64_t kVersion = 8, kEnrolmentVersion = 2, kRunKeyVersion = 3, kJudgedWithVersion = 4,
                        kResetVersion = 5, kDeviceVersion = 6, kNewestVersion = 7;

constexpr JsonText kVerdict{VerdictName, VerdictFromName};
constexpr JsonText kFindingName{NameText, FindingFromName};

constexpr auto kContext = [](auto& visit, auto& c) {
  visit("index", c.index);
  visit("sub", c.sub);
  visit("time_ms", c.time_ms);
  visit("pid", c.pid);
  visit("uid", c.uid);
  visit("comm", c.comm);
  visit("hook", c.hook);
  visit.Optional("cgroup", c.cgroup);  // states of before this and the next were kept have none
  visit.Optional("program", c.program);
  visit.Optional("script", c.script);
  visit.Optional("under", c.under);
};

constexpr auto kFinding = [](auto& visit, auto& f) {
  visit("name", f.name, kFindingName);
  visit("weight", f.weight, kVerdict);
  visit("text", f.text);
  visit.Optional("record", f.record);
  visit("sub", f.sub);
  visit("path", f.path);
  visit("digest", f.digest);
  visit.Optional("code", f.code);
  visit.Optional("cgroup", f.cgroup);
  visit.Optional("context", f.context, kContext);
  visit.Optional("reason", f.reason);
};

constexpr auto kDevice = [](auto& visit, auto& d) {
  visit("subject", d.subject);
  visit("model", d.model);
  visit("serial", d.serial);
};

constexpr auto kNewest = [](auto& visit, auto& n) {
  visit("path", n.path);
  visit("package", n.package);
  visit("version", n.version);
};
// A list in JSON, because paths are no names of members.
struct PathVersion {
  std::string path, package, version;
};
constexpr JsonForm kNewestVersions{
    [](const NewestVersions& all) {
      std::vector<PathVersion> list;
      list.reserve(all.size());
      for (const auto& [path, n] : all) list.push_back({path, n.package, n.version});
      nlohmann::json array = nlohmann::json::array();
      for (const PathVersion& p : list) array.push_back(WriteMembers(kNewest, p));
      return array;
    },
    [](const JsonValue& array) -> Result<NewestVersions> {
      NewestVersions all;
      ASSAY_TRY(array.Each([&](const JsonValue& v) -> Result<> {
        PathVersion p;
        ASSAY_TRY(ReadMembers(kNewest, v, p));
        if (all.size() >= kMaxNewest) return Fail(v.Bad("too many"));
        if (!all.try_emplace(p.path, NewestVersion{p.package, p.version}).second)
          return Fail(v.Bad("a path is there twice"));
        return {};
      }));
      return all;
    }};

using Prefix = std::map<HashAlg, Digest>;
constexpr JsonForm kPrefix{
    [](const Prefix& prefix) {
      nlohmann::json object = nlohmann::json::object();
      for (const auto& [alg, value] : prefix) object[std::string(HashName(alg))] = value.hex();
      return object;
    },
    [](const JsonValue& object) -> Result<Prefix> {
      Prefix prefix;
      ASSAY_TRY(object.EachMember([&](std::string_view key, const JsonValue& v) -> Result<> {
        const std::optional<HashAlg> alg = HashFromName(key);
        if (!alg) return Fail(v.Bad("not a bank"));
        ASSAY_ASSIGN(const std::string hex, v.AsStr());
        ASSAY_ASSIGN(const Bytes bytes, FromHex(hex));
        ASSAY_ASSIGN(prefix[*alg], Digest::Of(*alg, bytes));
        return {};
      }));
      return prefix;
    }};

auto HostStateMembers(std::uint64_t version) {
  return [version](auto& visit, auto& s) {
    visit.Constant("version", version);
    visit("ak_name", s.ak_name);
    visit("ek_name", s.ek_name);
    if (version >= kEnrolmentVersion) {
      visit("identity", s.identity);
      visit("tpm_software", s.tpm_software);
    }
    if (version >= kDeviceVersion) visit("device", s.device, kDevice);
    visit("clock", s.clock);
    visit("reset_count", s.reset_count);
    visit("restart_count", s.restart_count);
    visit("records", s.records);
    visit("prefix", s.prefix, kPrefix);
    visit("boot_id", s.boot_id);
    if (version >= kResetVersion) visit("reset_in", s.reset_in);
    visit("standing", s.standing, JsonList{kFinding, kMaxStanding + 1});
    visit("rounds", s.rounds);
    if (version >= kJudgedWithVersion) visit("judged_with", s.judged_with);
    visit("own", s.own);
    if (version >= kNewestVersion) {
      visit("newest", s.newest, kNewestVersions);
      visit("newest_before", s.newest_before, kNewestVersions);
    }
  };
}

}  // namespace

Result<HostState> ParseHostState(std::string_view text) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "host-state", kMaxHostState));
  ASSAY_ASSIGN(const std::uint64_t version, doc.root().U64("version"));
  if (version < 1 || version > kVersion)
    return Fail(ParseError("host-state", 0, "version " + std::to_string(version)));
  HostState s;
  ASSAY_TRY(ReadMembers(HostStateMembers(version), doc.root(), s));
  if (version < kEnrolmentVersion && !s.ak_name.empty()) s.identity = "first-use";
  if (version < kRunKeyVersion) {
    // The state is by a verifier that knew no run key and judged less of what the attester says of itself, so
    // the list is judged from its start again.
    s.records = 0;
    s.prefix.clear();
    s.standing.clear();
    s.own.clear();
  }
  return s;
}

std::string EncodeHostState(const HostState& s) {
  return DumpJson(WriteMembers(HostStateMembers(kVersion), s), 1) + "\n";
}

}  // namespace assay::appraise
