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

namespace assay::reference {

struct PackagedFile {
  std::string path;              // absolute: "/usr/bin/ls"
  Digest digest;                 // SHA-256
  std::uint32_t allowances = 0;  // allowances.h
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
                               std::vector<PackagedFile>* byte_code = nullptr);
// The unpacked content of a packed kernel module ("x.ko.xz", as "x.ko"): kmod unpacks it and loads it from
// memory. nullopt: the file is no packed module, or it can't be unpacked (then kmod can't load it either).
bool IsPackedModule(std::string_view path);
std::optional<PackagedFile> UnpackedModule(const std::string& path, ByteView packed);
inline constexpr std::size_t kMaxModule = std::size_t{256} << 20;  // bytes, packed and unpacked
// The files of a wheel (PEP 427), which a package has so that Python can install it into an environment:
// "/usr/share/python-wheels/x.whl" with "/x/a.py" appended. Nothing is added for a damaged wheel. compiler
// and byte_code: as for ReadDeb().
bool IsWheel(std::string_view path);
void AddWheel(const std::string& path, ByteView wheel, std::vector<PackagedFile>& files,
              ByteCompiler* compiler, std::vector<PackagedFile>* byte_code);
inline constexpr std::size_t kMaxWheel = std::size_t{64} << 20;  // bytes, packed and unpacked
// ReadDeb() of a package in memory; name is for error messages.
Result<PackageContent> ReadDebBytes(ByteView bytes, const std::string& name);

}  // namespace assay::reference
