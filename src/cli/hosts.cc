#include "cli/hosts.h"

#include <fmt/core.h>

#include <set>

#include "base/json_members.h"

namespace assay::cli {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kMaxFiles = 100;  // reference values or boots of one host

// The members that a host may have for itself, or that "defaults" has for all.
struct Common {
  std::string cert, key, policy, trusted, trusted_key;
  std::vector<std::string> references, boots;
};
struct One {
  Common own;
  std::string name, unix_path, tls, pin, state;
};
struct File {
  Common defaults;
  std::vector<One> hosts;
};

constexpr auto kCommon = [](auto& visit, auto& c) {
  visit.Optional("cert", c.cert);
  visit.Optional("key", c.key);
  visit.Optional("policy", c.policy);
  visit.Optional("trusted", c.trusted);
  visit.Optional("trusted_key", c.trusted_key);
  visit.Optional("reference", c.references);
  visit.Optional("boot", c.boots);
};
constexpr auto kOne = [](auto& visit, auto& h) {
  visit("name", h.name);
  visit("state", h.state);
  visit.Optional("unix", h.unix_path);
  visit.Optional("tls", h.tls);
  visit.Optional("pin", h.pin);
  kCommon(visit, h.own);
};
constexpr auto kFile = [](auto& visit, auto& f) {
  visit.Constant("version", kVersion);
  visit.Optional("defaults", f.defaults, kCommon);
  visit("hosts", f.hosts, JsonList{kOne, kMaxHosts});
};

std::string Below(const std::string& folder, const std::string& path) {
  return path.empty() || path.starts_with('/') ? path : folder + "/" + path;
}
std::vector<std::string> Below(const std::string& folder, std::vector<std::string> paths) {
  for (std::string& path : paths)
    if (path != "self") path = Below(folder, path);  // the programs of this assay
  return paths;
}

auto Bad(const std::string& where, const std::string& what) {
  return ParseError("hosts", 0, fmt::format("{}: {}", where, what));
}

Result<Host> HostOf(const One& one, const Common& defaults, const std::string& folder,
                    const std::string& where) {
  const auto own_or = [](const auto& own, const auto& common) { return own.empty() ? common : own; };
  Host host;
  host.name = one.name;
  Address& address = host.target.address;
  if (one.name.empty()) return Fail(Bad(where + "/name", "a name is wanted"));
  if (one.state.empty()) return Fail(Bad(where + "/state", "a file is wanted"));
  if (one.unix_path.empty() == one.tls.empty())
    return Fail(
        Bad(where, "the address is wanted: either \"unix\": SOCKET, or \"tls\": \"HOST:PORT\" with \"pin\""));
  if (!one.unix_path.empty() && !one.unix_path.starts_with('/'))
    return Fail(Bad(where + "/unix", "an absolute path is wanted"));
  address.unix_path = one.unix_path;
  if (!one.tls.empty()) {
    address.tls = one.tls;
    address.pin = one.pin;
    address.cert = Below(folder, own_or(one.own.cert, defaults.cert));
    address.key = Below(folder, own_or(one.own.key, defaults.key));
    if (!Fingerprint::Parse(one.pin))
      return Fail(Bad(where + "/pin",
                      "the SHA-256 of the attester's certificate is wanted, as 'assay keys show' prints it"));
    if (address.cert.empty() || address.key.empty())
      return Fail(Bad(where, "this verifier's \"cert\" and \"key\" are wanted, here or in /defaults"));
  }
  host.target.state = Below(folder, one.state);
  host.target.policy = Below(folder, own_or(one.own.policy, defaults.policy));
  host.target.trusted = Below(folder, own_or(one.own.trusted, defaults.trusted));
  host.target.trusted_key = Below(folder, own_or(one.own.trusted_key, defaults.trusted_key));
  host.target.references = Below(folder, own_or(one.own.references, defaults.references));
  host.target.boots = Below(folder, own_or(one.own.boots, defaults.boots));
  if (host.target.references.size() > kMaxFiles || host.target.boots.size() > kMaxFiles)
    return Fail(Bad(where, "too many files"));
  return host;
}

}  // namespace

Result<std::vector<Host>> ParseHosts(std::string_view text, const std::string& folder) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "hosts", kMaxHostsFile));
  File file;
  ASSAY_TRY(ReadMembers(kFile, doc.root(), file));
  if (file.hosts.empty()) return Fail(Bad("/hosts", "there is no host"));
  std::vector<Host> hosts;
  std::set<std::string> names, states;
  for (const One& one : file.hosts) {
    const std::string where = fmt::format("/hosts/{}", hosts.size());
    ASSAY_ASSIGN(Host host, HostOf(one, file.defaults, folder, where));
    if (!names.insert(host.name).second) return Fail(Bad(where + "/name", "another host has it too"));
    if (!states.insert(host.target.state).second)
      return Fail(Bad(where + "/state", "another host has it too"));
    hosts.push_back(std::move(host));
  }
  return hosts;
}

}  // namespace assay::cli
