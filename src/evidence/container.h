// Which container a control group belongs to, by the names that container engines give to groups.
//
//   // given: const std::string& text
//   const std::optional<Container> c = ContainerIn("/machine.slice/libpod-4f0c[...].scope/container");
//   ASSAY_ASSIGN(const ContainerPattern wanted, ContainerPattern::Parse(text));   // "4f0c9a7b1d22"
//   if (c && wanted.Fits(*c)) log::Info("{}", c->Text());
//
// Contract: docs/formats/containers.md. The outermost container of a path counts: the groups below its own
// are named by the container itself. What a user's service manager names is that user's word, and what is
// named below the group of a system's service is that service's, which may run as a user; so such a container
// never is one of the system's. Any bytes are a container or none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay::evidence {

inline constexpr std::size_t kContainerId = 64;    // hexadecimal digits of podman, docker, containerd, CRI-O
inline constexpr std::size_t kMaxContainer = 128;  // bytes of a name that is no such id
inline constexpr std::size_t kShortId = 12;        // digits that engines print, and that suffice to name one

struct Container {
  std::string id;                     // 64 hexadecimal digits, or the name that runc, nspawn, LXC were given
  std::string_view engine;            // "podman", ...; empty: the path does not tell it
  std::optional<std::uint32_t> user;  // whose service manager named the group (rootless); none: the system's
  std::string service{};              // below whose group it is ("web.service"); empty: below none
  bool operator==(const Container&) const = default;
  std::string Text() const;  // for people: "container 4f0c9a7b1d22 of user 1000", "... of web.service"
};
std::optional<Container> ContainerIn(std::string_view cgroup);

// Which containers are meant: an id, its first 12 or more digits, or a glob of names ("web-*", "*"). Behind
// "UID:" those of that user, behind "NAME.service:" those of that service, which are never meant otherwise.
struct ContainerPattern {
  std::optional<std::uint32_t> user;
  std::string service{};
  std::string id = "*";
  bool OfSystem() const { return !user && service.empty(); }
  static Result<ContainerPattern> Parse(std::string_view text);
  std::string Text() const;  // as Parse() takes it
  bool FitsId(const Container& c) const;
  bool Fits(const Container& c) const { return c.user == user && c.service == service && FitsId(c); }
  bool operator==(const ContainerPattern&) const = default;
};

}  // namespace assay::evidence
