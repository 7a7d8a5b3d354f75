#include "reference/index.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/detached.h"
#include "base/mapped.h"
#include "reference/allowances.h"
#include "reference/errors.h"
#include "reference/index_tables.h"

namespace assay::reference {

struct Index::Impl {
  MappedFile file;
  Bytes memory;
  ByteView bytes;  // the content, from either of the two above
  IndexTables tables;
  mutable std::once_flag hashed;
  mutable std::string fingerprint;

  // most: how many advisories are wanted.
  std::vector<appraise::Advisory> AdvisoriesOf(const PackageRow& package, std::size_t most) const {
    std::vector<appraise::Advisory> out;
    for (std::uint32_t i = 0; i < package.advisories && i < most; ++i) {
      const AdvisoryRow row = tables.AdvisoryAt(package.advisory + i);
      out.push_back({.id = std::string(tables.String(row.id)),
                     .record = std::string(tables.String(row.record)),
                     .severity = std::string(tables.String(row.severity)),
                     .fixed = std::string(tables.String(row.fixed))});
    }
    return out;
  }
  std::optional<IndexedPackage> PackageAt(std::uint32_t row, std::size_t advisories = SIZE_MAX) const {
    const Header& h = tables.header();
    if (row >= h.packages) return std::nullopt;
    const PackageRow package = tables.PackageAt(row);
    if (package.advisory > h.advisories || package.advisories > h.advisories - package.advisory)
      return std::nullopt;
    if (package.standing > static_cast<std::uint32_t>(appraise::Standing::kSuperseded)) return std::nullopt;
    const auto text = [&](std::uint32_t offset) { return std::string(tables.String(offset)); };
    const bool has_source = tables.has_sources();
    return IndexedPackage{.package = text(package.name),
                          .version = text(package.version),
                          .architecture = text(package.architecture),
                          .note = text(package.note),
                          .standing = static_cast<appraise::Standing>(package.standing),
                          .since_ms = package.since * std::uint64_t{1000},
                          .source = has_source ? text(package.source) : "",
                          .source_version = has_source ? text(package.source_version) : "",
                          .known_ms = package.known * std::uint64_t{1000},
                          .advisories = AdvisoriesOf(package, advisories),
                          .advisory_count = package.advisories};
  }
  std::optional<appraise::Origin> Told(const OriginRow& origin) const {
    std::optional<IndexedPackage> package = PackageAt(origin.package, appraise::kOriginAdvisories);
    if (!package) return std::nullopt;
    return appraise::Origin{.standing = package->Judged(),
                            .package = std::move(package->package),
                            .version = std::move(package->version),
                            .architecture = std::move(package->architecture),
                            .path = tables.PathOf(origin.path),
                            .note = std::move(package->note),
                            .since_ms = package->since_ms,
                            .advisories = std::move(package->advisories),
                            .advisory_count = package->advisory_count,
                            .has_older = tables.HasOlder(origin.package)};
  }
};

Index::Index(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Index::~Index() = default;

Result<std::unique_ptr<Index>> Index::Open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  ASSAY_ASSIGN(impl->file, MappedFile::Open(path));
  impl->bytes = impl->file.view();
  return Checked(std::move(impl), path);
}

Result<std::unique_ptr<Index>> Index::OfBytes(Bytes bytes) {
  auto impl = std::make_unique<Impl>();
  impl->memory = std::move(bytes);
  impl->bytes = impl->memory;
  return Checked(std::move(impl), "index");
}

Result<std::unique_ptr<Index>> Index::Checked(std::unique_ptr<Impl> impl, const std::string& name) {
  ASSAY_ASSIGN(impl->tables, IndexTables::Of(impl->bytes, name));
  return std::unique_ptr<Index>(new Index(std::move(impl)));
}

Result<> Index::CheckAll() const { return impl_->tables.CheckAll(); }

bool Index::Knows(const Digest& digest) const { return impl_->tables.FindDigest(digest).has_value(); }

std::vector<appraise::Origin> Index::Find(const Digest& digest) const {
  std::vector<appraise::Origin> out;
  const std::optional<std::uint64_t> row = impl_->tables.FindDigest(digest);
  if (!row) return out;
  const IndexTables::Range range = impl_->tables.OriginsOf(*row);
  for (std::uint32_t i = range.first; i < range.last; ++i)
    if (std::optional<appraise::Origin> origin = impl_->Told(impl_->tables.OriginAt(i)))
      out.push_back(std::move(*origin));
  return out;
}

std::optional<appraise::Origin> Index::FindPath(const std::string& path) const {
  const std::optional<OriginRow> row = impl_->tables.FindPath(appraise::NormalisePath(path));
  return row ? impl_->Told(*row) : std::nullopt;
}

bool Index::IsOlder(const std::string& package, const std::string& version, const std::string& than) const {
  if (version == than) return false;
  const auto versions = impl_->tables.VersionsOf(package);
  const auto a = versions.find(version);
  const auto b = versions.find(than);
  return a != versions.end() && b != versions.end() && a->second < b->second;
}

std::set<std::string> Index::AllowedViolations(const Digest& digest) const {
  const std::optional<std::uint64_t> row = impl_->tables.FindDigest(digest);
  return row ? AllowanceNames(impl_->tables.AllowancesAt(*row)) : std::set<std::string>();
}

// A superseded version is known to a verifier, but is not in the manifest; revoked content never is.
bool Index::Contains(const Digest& digest) const {
  const IndexTables& tables = impl_->tables;
  const std::optional<std::uint64_t> row = tables.FindDigest(digest);
  if (!row) return false;
  const IndexTables::Range range = tables.OriginsOf(*row);
  bool present = false;
  for (std::uint32_t i = range.first; i < range.last; ++i) {
    const std::uint32_t package = tables.OriginAt(i).package;
    if (package >= tables.header().packages) continue;
    const PackageRow p = tables.PackageAt(package);
    if (p.standing == static_cast<std::uint32_t>(appraise::Standing::kRevoked)) return false;
    present = present || p.since == 0;
  }
  return present;
}
// Further digests are no contents and no files of their own.
std::size_t Index::size() const {
  return impl_->tables.header().digests - impl_->tables.CountFurther().digests;
}
std::size_t Index::files() const {
  return impl_->tables.header().origins - impl_->tables.CountFurther().origins;
}

std::vector<IndexedPackage> Index::Packages() const {
  std::vector<IndexedPackage> out;
  for (std::uint32_t i = 0; i < impl_->tables.header().packages; ++i)
    if (std::optional<IndexedPackage> package = impl_->PackageAt(i)) out.push_back(std::move(*package));
  return out;
}

std::vector<IndexedContent> Index::Contents() const {
  const IndexTables& tables = impl_->tables;
  const Header& h = tables.header();
  std::vector<IndexedContent> out(h.packages);
  for (std::uint32_t i = 0; i < h.packages; ++i)
    if (std::optional<IndexedPackage> package = impl_->PackageAt(i)) out[i].package = std::move(*package);
  for (std::uint64_t row = 0; row < h.digests; ++row) {
    const Result<Digest> digest = Digest::Of(HashAlg::kSha256, tables.DigestAt(row));
    const IndexTables::Range range = tables.OriginsOf(row);
    for (std::uint32_t i = range.first; digest && i < range.last; ++i) {
      const OriginRow origin = tables.OriginAt(i);
      if (origin.package < out.size())
        out[origin.package].files.push_back({tables.PathOf(origin.path), *digest, tables.AllowancesAt(row)});
    }
  }
  std::erase_if(out, [](const IndexedContent& c) { return c.package.package.empty(); });
  return out;
}

// The header has the checksum of all that follows it.
std::string Index::Fingerprint() const {
  if (impl_->tables.has_checksums()) return Hex(impl_->tables.header().check);
  std::call_once(impl_->hashed, [this] { impl_->fingerprint = ContentDigest().hex(); });
  return impl_->fingerprint;
}

Digest Index::ContentDigest() const { return Hash(HashAlg::kSha256, impl_->bytes); }

std::vector<appraise::Origin> Indexes::Find(const Digest& digest) const {
  std::vector<appraise::Origin> out;
  for (const std::unique_ptr<Index>& index : indexes_)
    for (appraise::Origin& origin : index->Find(digest)) out.push_back(std::move(origin));
  return out;
}

std::optional<appraise::Origin> Indexes::FindPath(const std::string& path) const {
  for (const std::unique_ptr<Index>& index : indexes_)
    if (std::optional<appraise::Origin> origin = index->FindPath(path)) return origin;
  return std::nullopt;
}

bool Indexes::IsOlder(const std::string& package, const std::string& version, const std::string& than) const {
  return std::any_of(indexes_.begin(), indexes_.end(),
                     [&](const auto& index) { return index->IsOlder(package, version, than); });
}

std::string Indexes::Fingerprint() const {
  std::string all;
  for (const std::unique_ptr<Index>& index : indexes_) all += index->Fingerprint();
  for (const appraise::ImageReference& image : images_)
    all += "@" + image.who.Text() + " " + image.values->Fingerprint();
  return all;
}

void Indexes::AddImage(const evidence::ContainerPattern& who, const std::string& name,
                       std::unique_ptr<Index> index) {
  images_.push_back({.who = who, .name = name, .values = index.get()});
  image_indexes_.push_back(std::move(index));
}

std::set<std::string> Indexes::AllowedViolations(const Digest& digest) const {
  std::set<std::string> out;
  for (const std::unique_ptr<Index>& index : indexes_) out.merge(index->AllowedViolations(digest));
  return out;
}

Result<> SignManifest(const std::string& index_path, const PrivateKey& key) {
  ASSAY_ASSIGN(const MappedFile file, MappedFile::Open(index_path));
  return SignBeside(index_path, file.view(), key);
}

Result<Bytes> VerifyManifest(const std::string& index_path, const PublicKey& key) {
  ASSAY_ASSIGN(Bytes signature, SignatureBeside(index_path));
  ASSAY_ASSIGN(const MappedFile file, MappedFile::Open(index_path));
  if (!VerifySignature(file.view(), signature, key))
    return Fail(StateError(ReferenceError::kSignature, index_path + " is not signed by this key"));
  return signature;
}

}  // namespace assay::reference
