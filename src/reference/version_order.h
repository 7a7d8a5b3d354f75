// Internal: the order of versions, as the distributions' package managers have it.
//
//   const bool older = CompareVersions("3.0.11-1~deb12u2", "3.0.11-1") < 0;
//   const bool before = CompareRpmVersions("1:2.0-1.el9", "1:2.0-2.el9") < 0;
//
// Contract: CompareVersions is deb-version(7), by libapt-pkg, as apt and dpkg compare. CompareRpmVersions is
// rpm-version(7); librpm is not used for it, because it would bring Lua, SQLite and its plugins into each
// `assay`. Any text is a version; what no version could be has some place in the order. For the builder only:
// the attester reads an index without libapt-pkg.
#pragma once

#include <string_view>

namespace assay::reference {

// Negative: a is older than b; 0: the same version, maybe written otherwise.
int CompareVersions(std::string_view a, std::string_view b);
int CompareRpmVersions(std::string_view a, std::string_view b);
// The source of a package of rpm is the name of a file, which ends so; the versions of such packages have
// rpm's order.
inline constexpr std::string_view kRpmSource = ".src.rpm";

}  // namespace assay::reference
