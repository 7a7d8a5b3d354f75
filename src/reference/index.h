// Reference values: built from packages and folders into one immutable file, looked up without parsing.
//
//   Builder b; ASSAY_TRY(b.AddDeb("coreutils_9.1-1_amd64.deb")); ASSAY_TRY(b.AddFolder("/opt/app", "app",
//   "1.0")); ASSAY_TRY(b.Write("debian.idx")); ASSAY_ASSIGN(std::unique_ptr<Index> idx,
//   Index::Open("debian.idx")); for (const Origin& o : idx->Find(digest)) ...
//
// Contract: docs/formats/index.md. The file is memory-mapped and immutable; every offset read from it is
// bounds-checked, so a damaged file gives a named error at Open() or no answer, never a crash. Paths are
// normalised for merged /usr
// ("/bin/ls" is found as "/usr/bin/ls"). SHA-256.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "appraise/appraise.h"
#include "base/crypto.h"

namespace assay::reference {

class Builder {
 public:
  Builder();
  ~Builder();
  Result<> AddDeb(const std::string& path);  // every regular file in it
  Result<> AddFolder(const std::string& path, const std::string& package, const std::string& version);
  Result<> AddFile(const std::string& path_on_disk, const std::string& path, const std::string& package,
                   const std::string& version);
  // Marks all content of a package's version as vulnerable or revoked. version empty: all versions.
  void Mark(const std::string& package, const std::string& version, appraise::Standing standing,
            const std::string& note);
  std::size_t files() const;
  Result<> Write(const std::string& path) const;  // atomic

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Index : public appraise::ReferenceValues {
 public:
  static Result<std::unique_ptr<Index>> Open(const std::string& path);
  ~Index() override;
  std::vector<appraise::Origin> Find(const Digest& digest) const override;
  std::optional<appraise::Origin> FindPath(const std::string& path) const override;
  bool Contains(const Digest& digest) const;  // lock-free, allocation-free: for the recorder
  std::size_t size() const;                   // digests
  Digest ContentDigest() const;               // SHA-256 of the file: what a manifest signature is over

 private:
  struct Impl;
  explicit Index(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Fetches the .deb files of installed packages with apt (as the machine has it set up) into a folder.
struct Installed {
  std::string package, version, architecture;
};
Result<std::vector<Installed>> InstalledPackages();  // by dpkg-query
struct FetchReport {
  std::vector<std::string> files;  // .deb paths, those already there included
  std::vector<Installed> missing;  // no longer in the archive, or local
};
Result<FetchReport> FetchDebs(const std::vector<Installed>& packages, const std::string& folder,
                              const std::function<void(std::size_t done, std::size_t all)>& progress);
// Packages that own these files (dpkg -S, merged /usr understood).
Result<std::vector<Installed>> OwnersOf(const std::vector<std::string>& paths);

// Signs and checks a manifest: index.sig beside the index holds base64 of ES256 over its SHA-256.
Result<> SignManifest(const std::string& index_path, const PrivateKey& key);
Result<> VerifyManifest(const std::string& index_path, const PublicKey& key);

}  // namespace assay::reference
