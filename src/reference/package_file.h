// Internal: the regular files in a Debian package, hashed as they stream by.
//
//   ASSAY_ASSIGN(PackageContent c, ReadDeb("coreutils_9.1-1_amd64.deb"));
//
// Contract: nothing is unpacked to disk and no other program is started, but by a ByteCompiler. Damaged
// archives are LibErrors of libarchive; what is too large, missing or there twice is a ParseError "deb".
// Source: deb(5), tar(5).
#pragma once

#include <optional>
#include <string>
#include <string_view>
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
  std::string note = "";
};
class ByteCompiler;
// compiler and byte_code: both or none; the byte code of the Python sources in it.
Result<PackageContent> ReadDeb(const std::string& path, ByteCompiler* compiler = nullptr,
                               std::vector<PackagedFile>* byte_code = nullptr);
// A packed kernel module ("x.ko.xz") as it is when kmod has unpacked it and loads it from memory: "x.ko".
// Nothing: the file is none, or can't be unpacked (then nobody can load it so either).
bool IsPackedModule(std::string_view path);
std::optional<PackagedFile> UnpackedModule(const std::string& path, ByteView packed);
inline constexpr std::size_t kMaxModule = std::size_t{256} << 20;  // bytes, packed and unpacked
// The same of bytes in memory; name is for errors.
Result<PackageContent> ReadDebBytes(ByteView bytes, const std::string& name);

}  // namespace assay::reference
