// Internal: the lists of words in the tables of programs, and how a program's name is read.
//
//   static_assert(ProgramName("/usr/bin/bash.distrib") == "bash");
//   if (HasGlobFor("sshd sshd-*", ProgramName("/usr/sbin/sshd"))) log::Info("it is one of them");
//
// Contract: words are separated by blanks.
#pragma once

#include <algorithm>
#include <string_view>

#include "measure/policy/policy.h"

namespace assay::measure {

constexpr std::string_view LastPart(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The name by which a program is recognised.
constexpr std::string_view ProgramName(std::string_view path) {
  constexpr std::string_view kDiverted = ".distrib";  // dpkg-divert(1)
  std::string_view name = LastPart(path);
  if (name.ends_with(kDiverted)) name.remove_suffix(kDiverted.size());
  return name;
}

// Whether f(word) is true for any word of a list.
template <typename F>
bool AnyOf(std::string_view list, F f) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(' '), list.size());
    if (end > 0 && f(list.substr(0, end))) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}
inline bool HasGlobFor(std::string_view list, std::string_view name) {
  return AnyOf(list, [&](std::string_view glob) { return GlobMatches(glob, name); });
}

}  // namespace assay::measure
