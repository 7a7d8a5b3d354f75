// Reference values: built from packages and folders into one immutable file, looked up without parsing.
//
//   // given: const Digest& digest
//   Builder builder;
//   ASSAY_TRY(builder.AddDeb("coreutils_9.1-1_amd64.deb"));
//   ASSAY_TRY(builder.AddFolder("/opt/app", "app", "1.0"));
//   ASSAY_TRY(builder.Write("debian.idx"));
//   ASSAY_ASSIGN(std::unique_ptr<Index> index, Index::Open("debian.idx"));
//   for (const appraise::Origin& o : index->Find(digest)) log::Info("{} {}", o.package, o.path);
//
// Contract: docs/formats/index.md. The file is memory-mapped and immutable; every offset read from it is
// bounds-checked, so that a damaged file gives a named error at Open() or no answer, never a crash. Paths are
// normalised for merged /usr ("/bin/ls" is found as "/usr/bin/ls"). Digests are SHA-256.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "appraise/appraise.h"
#include "base/crypto.h"
#include "reference/advisories.h"
#include "reference/deny.h"
#include "reference/digest_list.h"

namespace assay::reference {

// Byte code of packaged Python sources. No package contains it: py3compile or Python itself writes it on each
// machine.
struct ByteCodeReport {
  std::string unavailable;          // why there is no byte code; empty: it is available
  std::size_t known = 0;            // files of byte code
  std::size_t unknown = 0;          // sources without byte code, because it is unavailable
  std::size_t other_python = 0;     // sources for a Python of another version than this machine's
  std::vector<std::string> failed;  // "PACKAGE: PATH" of sources that could not be compiled, sorted
};

struct FailedFile {
  std::string path;
  Error error;
};

struct SourceReport {
  std::vector<FailedFile> failed;  // files that could not be read; all others were
  std::size_t left_out = 0;        // digests of other algorithms than SHA-256
};

class Index;
class PackageSource;

class Builder {
 public:
  Builder();
  ~Builder();
  // What a source has (source.h). From several threads at once.
  Result<SourceReport> Add(const PackageSource& source);
  Result<> AddDeb(const std::string& path);  // every regular file in it
  // Every regular file below the folder. Returns those that could not be read, and adds all others. root: a
  // folder that is no part of their paths, as of an image that was unpacked there; empty: "/".
  Result<std::vector<FailedFile>> AddFolder(const std::string& path, const std::string& package,
                                            const std::string& version, const std::string& root = "");
  Result<> AddFile(const std::string& path_on_disk, const std::string& path, const std::string& package,
                   const std::string& version);
  // The files of a list, as content of one package.
  void AddList(const DigestList& list, const std::string& package, const std::string& version);
  // From this call on, packages and folders also add the byte code of their Python sources, calculated by
  // this Python program.
  void UseByteCode(const std::string& python);
  ByteCodeReport ByteCode() const;
  // What an earlier index holds and this one does not: the former versions of packages, and packages that are
  // gone, become superseded at `now_ms`. kOfAdded: of the packages that were added, other versions become
  // superseded; all others stay as they are. Superseded for longer than `keep_days` is left out.
  enum class Former { kSuperseded, kOfAdded };
  void AddFormer(const Index& index, Former former, std::uint64_t now_ms, std::uint64_t keep_days);
  // When the packages were first known that no earlier index has.
  void KnownSince(std::uint64_t now_ms);
  // Marks the versions that these advisories affect, in place of what earlier indexes said by advisories.
  void UseAdvisories(std::vector<FeedEntry> feed);
  // Revokes what these name, in place of the digests that earlier indexes have denied. What is denied and is
  // not in the index is no error.
  void Deny(std::vector<DenyEntry> denied);
  // Marks older versions by the CVEs that the changelogs of newer ones name as fixed.
  void UseChangelogs();
  // Marks all content of a package's version as vulnerable or revoked. version empty: all versions. A mark
  // that fits no package makes Encode() and Write() fail: content that should be marked would count as good.
  void Mark(const std::string& package, const std::string& version, appraise::Standing standing,
            const std::string& note);
  std::size_t files() const;
  Result<Bytes> Encode() const;  // the file's content
  // Atomic: a build that ends early leaves the file that was there. The rows are sorted with bounded
  // memory, in temporary files beside it; the builder itself keeps what was added.
  Result<> Write(const std::string& path) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct IndexedPackage {
  std::string package, version, architecture, note;
  appraise::Standing standing = appraise::Standing::kGood;
  std::uint64_t since_ms = 0;              // when it was superseded
  std::string source{}, source_version{};  // the source package, as the package itself says; empty: not known
  std::uint64_t known_ms = 0;              // when it was first in an index; 0: not known
  std::vector<appraise::Advisory> advisories{};
  std::size_t advisory_count = 0;
  // What a verifier judges by: advisories make a version vulnerable that nothing was said of.
  appraise::Standing Judged() const {
    const bool said = standing == appraise::Standing::kVulnerable || standing == appraise::Standing::kRevoked;
    return said || advisory_count == 0 ? standing : appraise::Standing::kVulnerable;
  }
};
struct IndexedFile {
  std::string path;  // as packaged
  Digest digest;
  std::uint32_t allowances = 0;  // bits of the row in the table of allowances
};
struct IndexedContent {
  IndexedPackage package;
  std::vector<IndexedFile> files;
};

class Index : public appraise::ReferenceValues {
 public:
  static Result<std::unique_ptr<Index>> Open(const std::string& path);
  static Result<std::unique_ptr<Index>> OfBytes(Bytes bytes);  // an index in memory
  ~Index() override;
  std::vector<appraise::Origin> Find(const Digest& digest) const override;
  std::optional<appraise::Origin> FindPath(const std::string& path) const override;
  std::set<std::string> AllowedViolations(const Digest& program) const override;
  // In a version that is not superseded, and nowhere revoked. Lock-free, allocation-free: for the recorder.
  bool Contains(const Digest& digest) const;
  bool Knows(const Digest& digest) const;  // in any version. Lock-free, allocation-free
  // Reads the whole file: its checksum, and that its tables fit each other. Open() sees a header that is
  // damaged or a file that was cut short only.
  Result<> CheckAll() const;
  std::size_t size() const;   // digests
  std::size_t files() const;  // files of all packages, where the same content may count several times
  std::vector<IndexedPackage> Packages() const;
  std::vector<IndexedContent> Contents() const;
  bool IsOlder(const std::string& package, const std::string& version,
               const std::string& than) const override;
  std::string Fingerprint() const override;
  Digest ContentDigest() const;  // SHA-256 of the file: what a manifest signature is over

 private:
  struct Impl;
  explicit Index(std::unique_ptr<Impl> impl);
  static Result<std::unique_ptr<Index>> Checked(std::unique_ptr<Impl> impl, const std::string& name);
  std::unique_ptr<Impl> impl_;
};

// Several indexes as one. For a path, the first index that knows it answers.
class Indexes : public appraise::ReferenceValues {
 public:
  void Add(std::unique_ptr<Index> index) { indexes_.push_back(std::move(index)); }
  // For the files of these containers. name: of the index.
  void AddImage(const evidence::ContainerPattern& who, const std::string& name, std::unique_ptr<Index> index);
  std::vector<appraise::Origin> Find(const Digest& digest) const override;
  std::optional<appraise::Origin> FindPath(const std::string& path) const override;
  bool IsOlder(const std::string& package, const std::string& version,
               const std::string& than) const override;
  std::string Fingerprint() const override;
  std::set<std::string> AllowedViolations(const Digest& program) const override;
  const std::vector<appraise::ImageReference>& Images() const override { return images_; }

 private:
  std::vector<std::unique_ptr<Index>> indexes_, image_indexes_;
  std::vector<appraise::ImageReference> images_;
};

struct Installed {
  std::string package, version, architecture;
};
Result<std::vector<Installed>> InstalledPackages();  // by dpkg-query

// Fetches the .deb files of packages into a folder, with apt as it is configured on this machine. Each file,
// also one that was in the folder before, is checked against the SHA-256 in apt's signed lists. Fetched files
// stay when others fail. Of a version that the lists no longer have, a file that the folder or apt's cache
// has kept is used if only root or this user could write it; it says itself which package it is.
enum class Missing {
  kThirdParty,  // in no archive that apt knows: of a third party, or built locally
  kNewer,  // newer than all that the archives have: of another source (backports), or apt's lists are old
  kSuperseded,  // the archive has a newer version instead
};
std::string_view MissingName(Missing m);  // "third-party", "newer", "superseded"
struct MissingPackage {
  Installed installed;
  std::string available;  // the newest version that the archive has; empty: it has none
  Missing why = Missing::kThirdParty;
};
struct KeptPackage {
  Installed installed;
  std::string file;
};
struct FetchReport {
  std::vector<std::string> files;       // .deb paths
  std::vector<KeptPackage> kept;        // among the files, without a digest in apt's lists
  std::vector<MissingPackage> missing;  // this version is neither in the archive nor kept
  // A sentence for each package that is in the archive and could not be fetched.
  std::vector<std::string> failed;
};
using FetchProgress = std::function<void(std::size_t done, std::size_t all)>;
Result<FetchReport> FetchDebs(const std::vector<Installed>& packages, const std::string& folder,
                              const FetchProgress& progress);
// Removes the .deb files of the folder that are not among these paths: those of versions that are no longer
// installed.
Result<> RemoveOtherDebs(const std::string& folder, const std::vector<std::string>& used);

// The packages that own these files. Merged /usr, diversions and the links of update-alternatives are
// resolved.
struct Owners {
  std::vector<Installed> packages;
  std::vector<std::string> unowned;  // paths that no package owns: /usr/local, a user's own builds
};
Result<Owners> OwnersOf(const std::vector<std::string>& paths);

// Signs and verifies a manifest: index.sig beside the index holds, in base64, an ES256 signature over its
// SHA-256.
Result<> SignManifest(const std::string& index_path, const PrivateKey& key);
// Returns the signature if it is valid.
Result<Bytes> VerifyManifest(const std::string& index_path, const PublicKey& key);

}  // namespace assay::reference
