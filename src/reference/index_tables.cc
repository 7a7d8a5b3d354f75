#include "reference/index_tables.h"

#include <algorithm>

#include "appraise/appraise.h"
#include "reference/further_digests.h"

namespace assay::reference {
namespace {

constexpr std::size_t kDigest = 32;
constexpr std::uint64_t kScanned = 16;  // rows: fewer are compared one after the other

}  // namespace

Result<IndexTables> IndexTables::Of(ByteView bytes, const std::string& name) {
  IndexTables tables;
  tables.bytes_ = bytes;
  ASSAY_TRY(tables.TakeHeader(name));
  if (tables.h_.file_size != bytes.size()) return Fail(tables.Bad(8, "the file's size is wrong"));
  ASSAY_TRY(tables.CheckPlaces());
  return tables;
}

Result<> IndexTables::TakeHeader(const std::string& name) {
  std::array<char, 8> magic{};
  if (bytes_.size() < kHeaderV2) return Fail(Bad(bytes_.size(), "truncated"));
  std::memcpy(&magic, bytes_.data(), magic.size());
  if (magic == kMagic) {
    if (bytes_.size() < sizeof(Header)) return Fail(Bad(bytes_.size(), "truncated"));
    std::memcpy(&h_, bytes_.data(), sizeof(Header));
    const Digest check = Hash(HashAlg::kSha256, bytes_.first(offsetof(Header, check)));
    if (!Equal(check.view(), h_.check)) return Fail(Bad(offsetof(Header, check), "the header is damaged"));
    if (h_.fanout_bits < kMinFanoutBits || h_.fanout_bits > kMaxFanoutBits)
      return Fail(Bad(offsetof(Header, fanout_bits), "fan-out"));
    return {};
  }
  std::size_t size = kHeaderV2;
  package_row_ = kPackageRowV2;
  if (magic == kMagicV4) {
    version_ = 4;
    size = sizeof(HeaderV4);
    package_row_ = sizeof(PackageRow);
  } else if (magic == kMagicV3) {
    version_ = 3;
    size = kHeaderV3;
  } else if (magic == kMagicV2) {
    version_ = 2;
  } else if (magic == kMagicV1) {
    version_ = 1;
    package_row_ = kPackageRowV1;
  } else {
    return Fail(Bad(0, name + " is not an index"));
  }
  if (bytes_.size() < size) return Fail(Bad(bytes_.size(), "truncated"));
  HeaderV4 old{};
  std::memcpy(&old, bytes_.data(), size);
  h_ = {.magic = old.magic,
        .file_size = old.file_size,
        .digests = old.digests,
        .origins = old.origins,
        .packages = old.packages,
        .paths = old.paths,
        .allowances = old.allowances,
        .advisories = old.advisories,
        .path_text_size = 0,
        .strings_size = old.strings_size,
        .fanout_bits = 8,
        .filter_blocks = 0,
        .digests_at = old.digests_at,
        .ranges_at = old.ranges_at,
        .origins_at = old.origins_at,
        .path_packages_at = 0,
        .path_blocks_at = 0,
        .path_text_at = 0,
        .packages_at = old.packages_at,
        .strings_at = old.strings_at,
        .allowances_at = old.allowances_at,
        .advisories_at = old.advisories_at,
        .fanout_at = old.fanout_at,
        .filter_at = 0,
        .content = {},
        .check = {}};
  paths_at_ = old.paths_at;
  return {};
}

// Every table lies within the file.
Result<> IndexTables::CheckPlaces() const {
  struct Table {
    const char* name;
    std::uint64_t at, rows, size;
  };
  for (const std::uint64_t rows :
       {h_.digests, h_.origins, h_.packages, h_.paths, h_.allowances, h_.advisories, h_.filter_blocks})
    if (rows >= UINT32_MAX) return Fail(Bad(16, "a table is too large"));
  const bool old = version_ < 5;
  for (const Table& t : {Table{"fanout", h_.fanout_at, (std::uint64_t{1} << h_.fanout_bits) + 1, 4},
                         Table{"filter", h_.filter_at, h_.filter_blocks, sizeof(FilterBlock)},
                         Table{"digests", h_.digests_at, h_.digests, kDigest},
                         Table{"ranges", h_.ranges_at, h_.digests + 1, 4},
                         Table{"origins", h_.origins_at, h_.origins, sizeof(OriginRow)},
                         Table{"packages", h_.packages_at, h_.packages, package_row_},
                         Table{"paths", paths_at_, old ? h_.paths : 0, sizeof(PathRow)},
                         Table{"packages of paths", h_.path_packages_at, old ? 0 : h_.paths, 4},
                         Table{"blocks of paths", h_.path_blocks_at, old ? 0 : PathBlocks(), 4},
                         Table{"texts of paths", h_.path_text_at, h_.path_text_size, 1},
                         Table{"strings", h_.strings_at, h_.strings_size, 1},
                         Table{"allowances", h_.allowances_at, h_.allowances, sizeof(AllowanceRow)},
                         Table{"advisories", h_.advisories_at, h_.advisories, sizeof(AdvisoryRow)}}) {
    if (t.at % 8 != 0 || t.at > bytes_.size() || t.rows > (bytes_.size() - t.at) / t.size)
      return Fail(Bad(16, std::string(t.name) + " lie outside the file"));
  }
  return {};
}

bool IndexTables::HasString(std::uint32_t offset) const {
  if (offset + std::uint64_t{2} > h_.strings_size) return false;
  const auto size = At<std::uint16_t>(h_.strings_at + offset, 0);
  return offset + std::uint64_t{2} + size <= h_.strings_size;
}

std::string_view IndexTables::String(std::uint32_t offset) const {
  if (!HasString(offset)) return "";
  return AsText(bytes_.subspan(h_.strings_at + offset + 2, At<std::uint16_t>(h_.strings_at + offset, 0)));
}

bool IndexTables::MayHave(std::uint64_t head, const std::uint8_t* digest) const {
  const auto block = At<FilterBlock>(h_.filter_at, FilterBlockOf(head, h_.filter_blocks));
  std::uint64_t missing = 0;
  for (unsigned word = 0; word < block.words.size(); ++word)
    missing |= FilterBit(digest, word) & ~block.words[word];
  return missing == 0;
}

std::optional<std::uint64_t> IndexTables::FindDigest(const Digest& digest) const {
  if (digest.alg() != HashAlg::kSha256) return std::nullopt;
  const std::uint8_t* wanted = digest.view().data();
  const std::uint64_t head = DigestHead(wanted);
  const std::uint64_t bucket = head >> (64 - h_.fanout_bits);
  // Both tables are larger than a processor's cache, so their lines are fetched at the same time.
  __builtin_prefetch(bytes_.data() + h_.fanout_at + bucket * 4);
  if (h_.filter_blocks != 0 && !MayHave(head, wanted)) return std::nullopt;
  std::uint64_t low = At<std::uint32_t>(h_.fanout_at, bucket);
  std::uint64_t high = At<std::uint32_t>(h_.fanout_at, bucket + 1);
  if (low > high || high > h_.digests) return std::nullopt;
  const std::uint8_t* rows = bytes_.data() + h_.digests_at;
  while (high - low > kScanned) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (std::memcmp(rows + middle * kDigest, wanted, kDigest) < 0)
      low = middle + 1;
    else
      high = middle + 1;
  }
  for (; low < high; ++low) {
    const std::uint64_t here = DigestHead(rows + low * kDigest);
    if (here < head) continue;
    if (here > head) return std::nullopt;
    if (std::memcmp(rows + low * kDigest, wanted, kDigest) == 0) return low;
  }
  return std::nullopt;
}

IndexTables::Range IndexTables::OriginsOf(std::uint64_t digest) const {
  const auto first = At<std::uint32_t>(h_.ranges_at, digest);
  const auto last = At<std::uint32_t>(h_.ranges_at, digest + 1);
  return {first, static_cast<std::uint32_t>(std::min<std::uint64_t>(last, h_.origins))};
}

std::uint32_t IndexTables::AllowancesAt(std::uint64_t digest) const {
  std::uint64_t low = 0;
  std::uint64_t high = h_.allowances;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto row = At<AllowanceRow>(h_.allowances_at, middle);
    if (row.digest == digest) return row.kinds;
    if (row.digest < digest)
      low = middle + 1;
    else
      high = middle;
  }
  return 0;
}

IndexTables::FurtherRows IndexTables::CountFurther() const {
  FurtherRows out;
  for (std::uint64_t i = 0; i < h_.allowances; ++i) {
    const auto row = At<AllowanceRow>(h_.allowances_at, i);
    if ((row.kinds & kFurtherDigest) == 0 || row.digest >= h_.digests) continue;
    const Range range = OriginsOf(row.digest);
    ++out.digests;
    out.origins += range.last > range.first ? range.last - range.first : 0;
  }
  return out;
}

IndexTables::PathCursor IndexTables::BlockAt(std::uint64_t block) const {
  return {.at = At<std::uint32_t>(h_.path_blocks_at, block),
          .left = std::min(kPathsInBlock, h_.paths - block * kPathsInBlock),
          .path = ""};
}

// False: the block has no more, or is damaged.
bool IndexTables::NextPath(PathCursor& c) const {
  if (c.left == 0 || c.at >= h_.path_text_size) return false;
  const std::uint8_t* text = bytes_.data() + h_.path_text_at;
  const std::size_t shared = text[c.at++];
  std::uint64_t size = 0;
  for (unsigned shift = 0;; shift += 7) {
    if (c.at >= h_.path_text_size || shift > 14) return false;
    const std::uint8_t b = text[c.at++];
    size |= std::uint64_t{b & 0x7FU} << shift;
    if ((b & 0x80U) == 0) break;
  }
  if (shared > c.path.size() || size > h_.path_text_size - c.at) return false;
  c.path.resize(shared);
  c.path.append(AsText(bytes_.subspan(h_.path_text_at + c.at, size)));
  c.at += size;
  --c.left;
  return true;
}

std::string IndexTables::PathOf(std::uint32_t path) const {
  if (version_ < 5) return std::string(String(path));
  if (path >= h_.paths) return "";
  PathCursor cursor = BlockAt(path / kPathsInBlock);
  for (std::uint64_t i = 0; i <= path % kPathsInBlock; ++i)
    if (!NextPath(cursor)) return "";
  return std::move(cursor.path);
}

std::optional<OriginRow> IndexTables::FindPath(const std::string& key) const {
  if (version_ < 5) return FindPathV4(key);
  std::uint64_t low = 0;
  std::uint64_t high = PathBlocks();
  while (low < high) {  // the first block that does not begin before the key
    const std::uint64_t middle = low + (high - low) / 2;
    PathCursor cursor = BlockAt(middle);
    if (NextPath(cursor) && appraise::NormalisePath(cursor.path) < key)
      low = middle + 1;
    else
      high = middle;
  }
  for (std::uint64_t block = low == 0 ? 0 : low - 1; block < PathBlocks(); ++block) {
    PathCursor cursor = BlockAt(block);
    for (std::uint64_t i = 0; NextPath(cursor); ++i) {
      const std::string here = appraise::NormalisePath(cursor.path);
      if (here > key) return std::nullopt;
      const std::uint64_t path = block * kPathsInBlock + i;
      const auto package = At<std::uint32_t>(h_.path_packages_at, path);
      // Several packaged paths may be one on the machine; one of them has its package.
      if (here == key && package != kNoPackage) return OriginRow{package, static_cast<std::uint32_t>(path)};
    }
    if (cursor.left != 0) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<OriginRow> IndexTables::FindPathV4(const std::string& key) const {
  std::uint64_t low = 0;
  std::uint64_t high = h_.paths;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto row = At<PathRow>(paths_at_, middle);
    const std::string_view here = String(row.key);
    if (here == key) return row.origin < h_.origins ? std::optional(OriginAt(row.origin)) : std::nullopt;
    if (here < key)
      low = middle + 1;
    else
      high = middle;
  }
  return std::nullopt;
}

PackageRow IndexTables::PackageAt(std::uint64_t row) const {
  PackageRow package{};
  std::memcpy(&package, bytes_.data() + h_.packages_at + row * package_row_, package_row_);
  return package;
}

// Rows of one name ascend by version; equal texts are one string.
bool IndexTables::HasOlder(std::uint32_t row) const {
  if (package_row_ < sizeof(PackageRow)) return false;
  const PackageRow here = PackageAt(row);
  while (row-- > 0) {
    const PackageRow before = PackageAt(row);
    if (before.name != here.name) return false;
    if (before.version != here.version) return true;
  }
  return false;
}

std::map<std::string_view, std::uint64_t> IndexTables::VersionsOf(std::string_view package) const {
  std::map<std::string_view, std::uint64_t> out;
  if (package_row_ < sizeof(PackageRow)) return out;
  std::uint64_t low = 0;
  std::uint64_t high = h_.packages;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (String(PackageAt(middle).name) < package)
      low = middle + 1;
    else
      high = middle;
  }
  for (; low < h_.packages && String(PackageAt(low).name) == package; ++low)
    out[String(PackageAt(low).version)] = low;
  return out;
}

}  // namespace assay::reference
