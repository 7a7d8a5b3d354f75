// What apt tells a hook before dpkg unpacks (DPkg::Pre-Install-Pkgs, version 3; apt.conf(5)).
//
//   // given: std::string_view text
//   ASSAY_ASSIGN(const std::vector<std::string> debs, ParseAptHook(text));   // "/var/cache/apt/archives/..."
//
// Contract: the package files that will be unpacked, in their order. Packages that are removed or only
// configured have none. Another version of the protocol is a ParseError "apt-hook".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay::reference {

inline constexpr std::size_t kMaxAptHook = std::size_t{16} << 20;  // bytes

Result<std::vector<std::string>> ParseAptHook(std::string_view text);

}  // namespace assay::reference
