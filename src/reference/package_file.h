// Internal: the regular files in a Debian package, hashed as they stream by.
//
//   ASSAY_ASSIGN(PackageContent c, ReadDeb("coreutils_9.1-1_amd64.deb"));
//
// Contract: nothing is unpacked to disk and no other program is started. Damaged archives are LibErrors of
// libarchive; what is too large, missing or there twice is a ParseError "deb". Source: deb(5), tar(5).
#pragma once

#include <string>
#include <vector>

#include "base/digest.h"

namespace assay::reference {

struct PackagedFile {
  std::string path;  // absolute: "/usr/bin/ls"
  Digest digest;     // SHA-256
};
struct PackageContent {
  std::string package, version, architecture;
  std::vector<PackagedFile> files;
};
Result<PackageContent> ReadDeb(const std::string& path);
// The same of bytes in memory; name is for errors.
Result<PackageContent> ReadDebBytes(ByteView bytes, const std::string& name);

}  // namespace assay::reference
