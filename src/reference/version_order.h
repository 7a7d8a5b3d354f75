// Internal: the order of Debian versions, by the distribution's own library.
//
//   const bool older = CompareVersions("3.0.11-1~deb12u2", "3.0.11-1") < 0;
//
// Contract: deb-version(7), as apt and dpkg compare. Any text is a version; what no version could be has some
// place in the order. For the builder only: the attester reads an index without libapt-pkg.
#pragma once

#include <string_view>

namespace assay::reference {

// Negative: a is older than b; 0: the same version, maybe written otherwise.
int CompareVersions(std::string_view a, std::string_view b);

}  // namespace assay::reference
