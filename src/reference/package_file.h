// Internal: reads and hashes the regular files in a Debian package, and its maintainer scripts, which have
// the paths that dpkg gives them: "/var/lib/dpkg/info/libc6:amd64.postinst".
//
//   ASSAY_ASSIGN(PackageContent content, ReadDeb("coreutils_9.1-1_amd64.deb"));
//   for (const PackagedFile& file : content.files) log::Info("{} {}", file.path, file.digest.ToString());
//
// Contract: nothing is unpacked to disk, and only a ByteCompiler starts another program. A damaged archive is
// a LibError of libarchive; a member that is too large, missing or repeated is a ParseError "deb". Source:
// deb(5), tar(5).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "reference/changelog.h"
#include "reference/further_digests.h"

namespace assay::reference {

struct PackagedFile {
  std::string path;                  // absolute: "/usr/bin/ls"
  Digest digest;                     // SHA-256
  std::uint32_t allowances = 0;      // allowances.h
  std::vector<Digest> further = {};  // stand-ins of its other digests (further_digests.h)
};
struct PackageContent {
  std::string package, version, architecture;
  std::vector<PackagedFile> files;
  std::string note = "";
  std::string source = "", source_version = "";  // the source package that it was built from
  std::vector<ChangelogEntry> changelog = {};    // its Debian changelog, if it has one
};
class ByteCompiler;
// compiler and byte_code: both or neither; byte_code gets the byte code of the package's Python sources.
Result<PackageContent> ReadDeb(const std::string& path, ByteCompiler* compiler = nullptr,
                               std::vector<PackagedFile>* byte_code = nullptr,
                               const FurtherKinds& kinds = {});
// ReadDeb() of a package in memory; name is for error messages.
Result<PackageContent> ReadDebBytes(ByteView bytes, const std::string& name);

}  // namespace assay::reference
