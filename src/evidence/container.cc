#include "evidence/container.h"

#include <fnmatch.h>

#include <algorithm>
#include <charconv>

namespace assay::evidence {
namespace {

enum class Kind { kId, kName, kNone };

// A group's name: prefix, id, suffix. The first row that fits decides.
struct Form {
  std::string_view prefix, suffix;
  Kind kind;
  std::string_view engine;
};
// Sources: podman libpod/container_internal_linux.go and crun (libpod-payload: --cgroups=split), docker
// daemon/oci_linux.go, containerd cri/server/podsandbox, cri-o internal/config/cgmgr, runc and crun with
// their systemd managers, systemd-nspawn(1), machined (a virtual machine is no container), LXC
// src/lxc/cgroups/cgfsng.c. Monitors ("libpod-conmon-ID.scope") run outside of their container.
constexpr Form kForms[] = {
    {"libpod-payload-", "", Kind::kId, "podman"},
    {"libpod-", ".scope", Kind::kId, "podman"},
    {"libpod-", "", Kind::kId, "podman"},
    {"docker-", ".scope", Kind::kId, "docker"},
    {"cri-containerd-", ".scope", Kind::kId, "containerd"},
    {"nerdctl-", ".scope", Kind::kId, "containerd"},
    {"crio-", ".scope", Kind::kId, "cri-o"},
    {"crio-", "", Kind::kId, "cri-o"},
    {"", "", Kind::kId, ""},  // docker and Kubernetes without systemd: /docker/ID, /kubepods/podUID/ID
    {"runc-", ".scope", Kind::kName, "runc"},
    {"crun-", ".scope", Kind::kName, "crun"},
    {"systemd-nspawn@", ".service", Kind::kName, "systemd-nspawn"},
    {"machine-qemu\\x2d", ".scope", Kind::kNone, ""},
    {"machine-", ".scope", Kind::kName, "systemd-machined"},
    {"lxc.payload.", "", Kind::kName, "lxc"},
};

constexpr std::string_view kService = ".service";

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view text) { return text.size() == kContainerId && IsHex(text); }

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxContainer &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~' && c != '/'; });
}

std::optional<std::uint32_t> Number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// "user-1000.slice", the second part of the path of what a user's service manager made.
std::optional<std::uint32_t> UserOf(std::string_view cgroup) {
  constexpr std::string_view kBegin = "/user.slice/user-", kEnd = ".slice";
  if (!cgroup.starts_with(kBegin)) return std::nullopt;
  cgroup.remove_prefix(kBegin.size());
  cgroup = cgroup.substr(0, cgroup.find('/'));
  if (!cgroup.ends_with(kEnd)) return std::nullopt;
  return Number(cgroup.substr(0, cgroup.size() - kEnd.size()));
}

std::optional<Container> Named(std::string_view part) {
  for (const Form& form : kForms) {
    if (part.size() < form.prefix.size() + form.suffix.size() || !part.starts_with(form.prefix) ||
        !part.ends_with(form.suffix))
      continue;
    const std::string_view id =
        part.substr(form.prefix.size(), part.size() - form.prefix.size() - form.suffix.size());
    if (form.kind == Kind::kNone) return std::nullopt;
    if (form.kind == Kind::kId ? !IsId(id) : !IsName(id)) continue;
    return Container{.id = std::string(id), .engine = form.engine, .user = std::nullopt};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Container> ContainerIn(std::string_view cgroup) {
  const std::optional<std::uint32_t> user = UserOf(cgroup);
  std::string_view service;
  while (!cgroup.empty()) {
    const std::size_t end = std::min(cgroup.find('/'), cgroup.size());
    const std::string_view part = cgroup.substr(0, end);
    if (std::optional<Container> found = Named(part)) {
      found->user = user;
      found->service = service;
      return found;
    }
    if (!user && service.empty() && part.ends_with(kService) && IsName(part)) service = part;
    cgroup.remove_prefix(std::min(end + 1, cgroup.size()));
  }
  return std::nullopt;
}

std::string Container::Text() const {
  const std::string shown = IsId(id) ? id.substr(0, kShortId) : id;
  return "container " + shown + (user ? " of user " + std::to_string(*user) : "") +
         (service.empty() ? "" : " of " + service);
}

Result<ContainerPattern> ContainerPattern::Parse(std::string_view text) {
  ContainerPattern p;
  std::string_view id = text;
  const std::size_t named = text.find(std::string(kService) + ":");
  const std::size_t colon = named == std::string_view::npos ? text.find(':') : named + kService.size();
  if (named != std::string_view::npos) {
    const std::string_view service = text.substr(0, colon);
    if (!IsName(service)) return Fail(UsageError("not a service: '" + std::string(service) + "'"));
    p.service = service;
    id = text.substr(colon + 1);
  } else if (colon != std::string_view::npos) {
    p.user = Number(text.substr(0, colon));
    if (!p.user)
      return Fail(UsageError("not a container: '" + std::string(text) +
                             "': a user's number or a service before the ':'"));
    id = text.substr(colon + 1);
  }
  if (!IsName(id))
    return Fail(UsageError("not a container: '" + std::string(text) +
                           "': its id, at least 12 digits of it, its name, or *"));
  p.id = id;
  return p;
}

std::string ContainerPattern::Text() const {
  return (user ? std::to_string(*user) + ":" : service.empty() ? "" : service + ":") + id;
}

bool ContainerPattern::FitsId(const Container& c) const {
  if (id.size() >= kShortId && IsId(c.id) && IsHex(id)) return c.id.starts_with(id);
  // A name from systemd may have backslashes ("a\x2db").
  return fnmatch(id.c_str(), c.id.c_str(), FNM_NOESCAPE) == 0;
}

}  // namespace assay::evidence
