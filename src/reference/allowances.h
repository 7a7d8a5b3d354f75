// Internal: the programs of packages that are made to cause violations: just-in-time compilers, debuggers,
// tools for block devices. allowances.cc has the table.
//
//   // given: PackageContent content
//   MarkAllowances(content);
//   for (const PackagedFile& file : content.files)
//     for (const std::string& kind : AllowanceNames(file.allowances)) log::Info("{}: {}", file.path, kind);
//
// Contract: only content of .deb files is marked, by the name of the package and the path in it. The index
// then allows the kinds to the program's digest, at whatever path it runs. docs/formats/index.md
#pragma once

#include <set>
#include <string>

#include "reference/package_file.h"

namespace assay::reference {

void MarkAllowances(PackageContent& content);
// Bits that this version does not know are left out.
std::set<std::string> AllowanceNames(std::uint32_t bits);

}  // namespace assay::reference
