#include "reference/index.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <mutex>

#include "base/detached.h"
#include "base/mapped.h"
#include "reference/allowances.h"
#include "reference/errors.h"
#include "reference/format.h"

namespace assay::reference {
namespace {

constexpr std::size_t kDigest = 32;
constexpr std::size_t kFanout = 257;

}  // namespace

struct Index::Impl {
  MappedFile file;
  Bytes memory;
  ByteView bytes;  // the content, from either of the two above
  Header h{};
  std::size_t package_row = sizeof(PackageRow);  // bytes of a row in this version of the format
  mutable std::once_flag hashed;
  mutable std::string fingerprint;

  template <typename T>
  T At(std::uint64_t table, std::uint64_t row) const {
    T value;
    std::memcpy(&value, bytes.data() + table + row * sizeof(T), sizeof(T));
    return value;
  }
  std::string_view String(std::uint32_t offset) const {
    if (offset + std::uint64_t{2} > h.strings_size) return "";
    const auto size = At<std::uint16_t>(h.strings_at + offset, 0);
    if (offset + std::uint64_t{2} + size > h.strings_size) return "";
    return AsText(bytes.subspan(h.strings_at + offset + 2, size));
  }
  // Looks in rows [first, last), whose digests begin with the same byte.
  std::optional<std::uint64_t> FindDigest(const Digest& digest) const {
    if (digest.alg() != HashAlg::kSha256) return std::nullopt;
    const std::uint8_t first = digest.view()[0];
    std::uint64_t low = At<std::uint32_t>(h.fanout_at, first);
    std::uint64_t high = At<std::uint32_t>(h.fanout_at, first + 1U);
    while (low < high) {
      const std::uint64_t middle = low + (high - low) / 2;
      const int order =
          std::memcmp(bytes.data() + h.digests_at + middle * kDigest, digest.view().data(), kDigest);
      if (order == 0) return middle;
      if (order < 0)
        low = middle + 1;
      else
        high = middle;
    }
    return std::nullopt;
  }
  // digest: a row of digests.
  std::uint32_t AllowancesAt(std::uint64_t digest) const {
    std::uint64_t low = 0;
    std::uint64_t high = h.allowances;
    while (low < high) {
      const std::uint64_t middle = low + (high - low) / 2;
      const auto row = At<AllowanceRow>(h.allowances_at, middle);
      if (row.digest == digest) return row.kinds;
      if (row.digest < digest)
        low = middle + 1;
      else
        high = middle;
    }
    return 0;
  }
  // most: how many advisories are wanted.
  std::vector<appraise::Advisory> AdvisoriesOf(const PackageRow& package, std::size_t most) const {
    std::vector<appraise::Advisory> out;
    for (std::uint32_t i = 0; i < package.advisories && i < most; ++i) {
      const auto row = At<AdvisoryRow>(h.advisories_at, package.advisory + i);
      out.push_back({.id = std::string(String(row.id)),
                     .record = std::string(String(row.record)),
                     .severity = std::string(String(row.severity)),
                     .fixed = std::string(String(row.fixed))});
    }
    return out;
  }
  std::optional<IndexedPackage> PackageAt(std::uint32_t row, std::size_t advisories = SIZE_MAX) const {
    if (row >= h.packages) return std::nullopt;
    const PackageRow package = RowAt(row);
    if (package.advisory > h.advisories || package.advisories > h.advisories - package.advisory)
      return std::nullopt;
    if (package.standing > static_cast<std::uint32_t>(appraise::Standing::kSuperseded)) return std::nullopt;
    return IndexedPackage{
        .package = std::string(String(package.name)),
        .version = std::string(String(package.version)),
        .architecture = std::string(String(package.architecture)),
        .note = std::string(String(package.note)),
        .standing = static_cast<appraise::Standing>(package.standing),
        .since_ms = package.since * std::uint64_t{1000},
        .source = std::string(package_row < sizeof(PackageRow) ? "" : String(package.source)),
        .source_version = std::string(package_row < sizeof(PackageRow) ? "" : String(package.source_version)),
        .known_ms = package.known * std::uint64_t{1000},
        .advisories = AdvisoriesOf(package, advisories),
        .advisory_count = package.advisories};
  }
  PackageRow RowAt(std::uint64_t row) const {
    PackageRow package{};
    std::memcpy(&package, bytes.data() + h.packages_at + row * package_row, package_row);
    return package;
  }
  // Rows of one name ascend by version; equal texts are one string.
  bool HasOlder(std::uint32_t row) const {
    if (package_row < sizeof(PackageRow)) return false;
    const PackageRow here = RowAt(row);
    while (row-- > 0) {
      const PackageRow before = RowAt(row);
      if (before.name != here.name) return false;
      if (before.version != here.version) return true;
    }
    return false;
  }
  // The last row of each version among those of the package.
  std::map<std::string_view, std::uint64_t> VersionsOf(std::string_view package) const {
    std::map<std::string_view, std::uint64_t> out;
    if (package_row < sizeof(PackageRow)) return out;
    std::uint64_t low = 0;
    std::uint64_t high = h.packages;
    while (low < high) {
      const std::uint64_t middle = low + (high - low) / 2;
      if (String(RowAt(middle).name) < package)
        low = middle + 1;
      else
        high = middle;
    }
    for (; low < h.packages && String(RowAt(low).name) == package; ++low)
      out[String(RowAt(low).version)] = low;
    return out;
  }
  bool IsSuperseded(std::uint32_t row) const {
    if (package_row < kPackageRowV2) return false;
    return At<std::uint32_t>(h.packages_at + row * package_row + offsetof(PackageRow, since), 0) != 0;
  }
  std::optional<appraise::Origin> OriginAt(std::uint32_t row) const {
    if (row >= h.origins) return std::nullopt;
    const auto origin = At<OriginRow>(h.origins_at, row);
    std::optional<IndexedPackage> package = PackageAt(origin.package, appraise::kOriginAdvisories);
    if (!package) return std::nullopt;
    return appraise::Origin{.standing = package->Judged(),
                            .package = std::move(package->package),
                            .version = std::move(package->version),
                            .architecture = std::move(package->architecture),
                            .path = std::string(String(origin.path)),
                            .note = std::move(package->note),
                            .since_ms = package->since_ms,
                            .advisories = std::move(package->advisories),
                            .advisory_count = package->advisory_count,
                            .has_older = HasOlder(origin.package)};
  }
  Result<> Check() const;
};

Result<> Index::Impl::Check() const {
  struct Table {
    const char* name;
    std::uint64_t at, rows, size;
  };
  if (h.digests >= UINT32_MAX || h.origins >= UINT32_MAX || h.packages >= UINT32_MAX ||
      h.paths >= UINT32_MAX || h.allowances >= UINT32_MAX || h.advisories >= UINT32_MAX ||
      h.strings_size > bytes.size())
    return Fail(ParseError("index", 16, "a table is too large"));
  for (const Table& t :
       {Table{"fanout", h.fanout_at, kFanout, 4}, Table{"digests", h.digests_at, h.digests, kDigest},
        Table{"ranges", h.ranges_at, h.digests + 1, 4},
        Table{"origins", h.origins_at, h.origins, sizeof(OriginRow)},
        Table{"packages", h.packages_at, h.packages, package_row},
        Table{"paths", h.paths_at, h.paths, sizeof(PathRow)},
        Table{"strings", h.strings_at, h.strings_size, 1},
        Table{"allowances", h.allowances_at, h.allowances, sizeof(AllowanceRow)},
        Table{"advisories", h.advisories_at, h.advisories, sizeof(AdvisoryRow)}}) {
    if (t.at % 8 != 0 || t.at > bytes.size() || t.rows * t.size > bytes.size() - t.at)
      return Fail(ParseError("index", 56, std::string(t.name) + " lie outside the file"));
  }
  std::uint32_t before = 0;
  for (std::uint64_t i = 0; i < kFanout; ++i) {
    const auto n = At<std::uint32_t>(h.fanout_at, i);
    if (n < before || n > h.digests) return Fail(ParseError("index", h.fanout_at + i * 4, "fan-out"));
    before = n;
  }
  if (before != h.digests) return Fail(ParseError("index", h.fanout_at, "fan-out"));
  return {};
}

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
  const ByteView bytes = impl->bytes;
  if (bytes.size() < kHeaderV2) return Fail(ParseError("index", bytes.size(), "truncated"));
  std::memcpy(&impl->h, bytes.data(), kHeaderV2);
  const auto magic = impl->h.magic;
  if (magic == kMagic) {
    if (bytes.size() < sizeof(Header)) return Fail(ParseError("index", bytes.size(), "truncated"));
    std::memcpy(&impl->h, bytes.data(), sizeof(Header));
  } else if (magic == kMagicV3) {
    if (bytes.size() < kHeaderV3) return Fail(ParseError("index", bytes.size(), "truncated"));
    std::memcpy(&impl->h, bytes.data(), kHeaderV3);
    impl->package_row = kPackageRowV2;
  } else if (magic == kMagicV2) {
    impl->package_row = kPackageRowV2;
  } else if (magic == kMagicV1) {
    impl->package_row = kPackageRowV1;
  } else {
    return Fail(ParseError("index", 0, name + " is not an index"));
  }
  if (impl->h.file_size != impl->bytes.size())
    return Fail(ParseError("index", 8, "the file's size is wrong"));
  ASSAY_TRY(impl->Check());
  return std::unique_ptr<Index>(new Index(std::move(impl)));
}

std::vector<appraise::Origin> Index::Find(const Digest& digest) const {
  std::vector<appraise::Origin> out;
  const std::optional<std::uint64_t> row = impl_->FindDigest(digest);
  if (!row) return out;
  const auto first = impl_->At<std::uint32_t>(impl_->h.ranges_at, *row);
  const auto last = impl_->At<std::uint32_t>(impl_->h.ranges_at, *row + 1);
  for (std::uint32_t i = first; i < last && i < impl_->h.origins; ++i)
    if (std::optional<appraise::Origin> origin = impl_->OriginAt(i)) out.push_back(std::move(*origin));
  return out;
}

std::optional<appraise::Origin> Index::FindPath(const std::string& path) const {
  const std::string key = appraise::NormalisePath(path);
  std::uint64_t low = 0;
  std::uint64_t high = impl_->h.paths;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto row = impl_->At<PathRow>(impl_->h.paths_at, middle);
    const std::string_view here = impl_->String(row.key);
    if (here == key) return impl_->OriginAt(row.origin);
    if (here < key)
      low = middle + 1;
    else
      high = middle;
  }
  return std::nullopt;
}

bool Index::IsOlder(const std::string& package, const std::string& version, const std::string& than) const {
  if (version == than) return false;
  const auto versions = impl_->VersionsOf(package);
  const auto a = versions.find(version);
  const auto b = versions.find(than);
  return a != versions.end() && b != versions.end() && a->second < b->second;
}

std::set<std::string> Index::AllowedViolations(const Digest& digest) const {
  const std::optional<std::uint64_t> row = impl_->FindDigest(digest);
  return row ? AllowanceNames(impl_->AllowancesAt(*row)) : std::set<std::string>();
}

// A superseded version is known to a verifier, but is not in the manifest; revoked content never is.
bool Index::Contains(const Digest& digest) const {
  const std::optional<std::uint64_t> row = impl_->FindDigest(digest);
  if (!row) return false;
  const auto first = impl_->At<std::uint32_t>(impl_->h.ranges_at, *row);
  const auto last = impl_->At<std::uint32_t>(impl_->h.ranges_at, *row + 1);
  bool present = false;
  for (std::uint32_t i = first; i < last && i < impl_->h.origins; ++i) {
    const auto package = impl_->At<OriginRow>(impl_->h.origins_at, i).package;
    if (package >= impl_->h.packages) continue;
    if (impl_->RowAt(package).standing == static_cast<std::uint32_t>(appraise::Standing::kRevoked))
      return false;
    present = present || !impl_->IsSuperseded(package);
  }
  return present;
}
std::size_t Index::size() const { return impl_->h.digests; }
std::size_t Index::files() const { return impl_->h.origins; }

std::vector<IndexedPackage> Index::Packages() const {
  std::vector<IndexedPackage> out;
  for (std::uint32_t i = 0; i < impl_->h.packages; ++i)
    if (std::optional<IndexedPackage> package = impl_->PackageAt(i)) out.push_back(std::move(*package));
  return out;
}

std::vector<IndexedContent> Index::Contents() const {
  std::vector<IndexedContent> out(impl_->h.packages);
  for (std::uint32_t i = 0; i < impl_->h.packages; ++i)
    if (std::optional<IndexedPackage> package = impl_->PackageAt(i)) out[i].package = std::move(*package);
  for (std::uint64_t row = 0; row < impl_->h.digests; ++row) {
    const ByteView bytes = impl_->bytes.subspan(impl_->h.digests_at + row * kDigest, kDigest);
    const Result<Digest> digest = Digest::Of(HashAlg::kSha256, bytes);
    const auto first = impl_->At<std::uint32_t>(impl_->h.ranges_at, row);
    const auto last = impl_->At<std::uint32_t>(impl_->h.ranges_at, row + 1);
    for (std::uint32_t i = first; digest && i < last && i < impl_->h.origins; ++i) {
      const auto origin = impl_->At<OriginRow>(impl_->h.origins_at, i);
      if (origin.package < out.size())
        out[origin.package].files.push_back(
            {std::string(impl_->String(origin.path)), *digest, impl_->AllowancesAt(row)});
    }
  }
  std::erase_if(out, [](const IndexedContent& c) { return c.package.package.empty(); });
  return out;
}

std::string Index::Fingerprint() const {
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
