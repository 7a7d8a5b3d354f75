// What reference values are taken from: a package file, a folder, a list of digests, an image of a container.
//
//   // given: Builder& builder
//   Sources sources;
//   sources.push_back(DebSource("coreutils_9.1-1_amd64.deb"));
//   sources.push_back(FolderSource("/opt/app", {.package = "app", .version = "1.0"}, ""));
//   const SourceReport report = AddSources(sources, builder, nullptr);
//   for (const FailedFile& f : report.failed) log::Warn("{}: {}", f.path, f.error.Message());
//
// Contract: a source is read as often as asked, from any thread, and changes nothing. What it reads was
// written by others: each kind has its bounds, and its errors name the file. The kinds are the functions
// below; a new one (docs/how-to-add.md) is one more of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reference/index.h"
#include "reference/package_file.h"

namespace assay::reference {

// One package of a source.
struct SourceContent {
  PackageContent content;
  std::vector<PackagedFile> byte_code = {};
};
struct SourceRead {
  std::vector<SourceContent> contents;
  SourceReport report = {};
};

class PackageSource {
 public:
  virtual ~PackageSource() = default;
  virtual const std::string& path() const = 0;  // of what is read
  // compiler: null where no byte code is wanted.
  virtual Result<SourceRead> Read(ByteCompiler* compiler) const = 0;
};
using Sources = std::vector<std::unique_ptr<PackageSource>>;

// The name of what has none of its own.
struct PackageName {
  std::string package, version;
};
// kinds: which digests of each file there are besides its SHA-256, where the source has its content.
// A .deb file: every regular file in it, its maintainer scripts, what its programs may do.
std::unique_ptr<PackageSource> DebSource(std::string path, FurtherKinds kinds = {});
// An .rpm file: every regular file in it, by the digests in its header (rpm_file.h).
std::unique_ptr<PackageSource> RpmSource(std::string path);
// Every regular file below the folder. root: a folder that is no part of their paths; empty: "/".
std::unique_ptr<PackageSource> FolderSource(std::string path, PackageName name, std::string root,
                                            FurtherKinds kinds = {});
// The files that a list names (digest_list.h).
std::unique_ptr<PackageSource> ListSource(std::string path, PackageName name);
// The images in an OCI image layout or an archive of `docker save` (image.h): a package for each. name: empty
// members are as the image calls itself. architecture: of several images those for another one are left out;
// empty: this machine's.
std::unique_ptr<PackageSource> ImageSource(std::string path, PackageName name, std::string architecture,
                                           FurtherKinds kinds = {});
PackageContent ContentOf(const DigestList& list, const PackageName& name);

// Adds them on all cores, because unpacking takes most of the time. A source that can't be read is one of the
// failed files.
SourceReport AddSources(const Sources& sources, Builder& builder, const FetchProgress& progress);

Result<Digest> HashFile(const std::string& path);
// The digests of a file on this disk. path: what it is called in the result.
Result<PackagedFile> DigestsOf(const std::string& on_disk, std::string path, const FurtherKinds& kinds);

}  // namespace assay::reference
