// Internal: what reference values know of one packaged file besides its own digest: a packed kernel module
// unpacked, the files of a wheel, the byte code of a Python source.
//
//   // given: archive* a, archive_entry* entry, std::vector<PackagedFile>& files
//   Budget budget{.format = "deb", .left = kMaxUnpacked};
//   const EntryName name{.path = "/lib/modules/6/m.ko.xz", .archive = "linux.deb"};
//   const Parts parts{.files = files};
//   ASSAY_ASSIGN(const PackagedFile own, ReadParts(a, entry, name, budget, nullptr, parts, nullptr));
//
// Contract: what is packed and damaged gives no more files: nothing could load it either. Errors are those of
// archive.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reference/archive.h"
#include "reference/package_file.h"

namespace assay::reference {

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
// The content of one packed file, to be read from its only entry; null: it is not packed.
ArchivePtr OpenPacked(ByteView packed);

struct EntryName {
  const std::string& path;     // as installed
  const std::string& archive;  // for errors
};
inline const FurtherKinds kNoKinds{};
struct Parts {
  std::vector<PackagedFile>& files;                // gets what is in the file, and not the file itself
  std::vector<PackagedFile>* byte_code = nullptr;  // with a compiler: gets the byte code of sources
  const FurtherKinds& kinds = kNoKinds;            // of the file itself
};
// Reads the entry's content, and returns the file itself. compiler: null where no byte code is wanted. keep:
// gets the content, if not null.
Result<PackagedFile> ReadParts(archive* a, archive_entry* entry, const EntryName& name, Budget& budget,
                               ByteCompiler* compiler, const Parts& out, Bytes* keep);

}  // namespace assay::reference
