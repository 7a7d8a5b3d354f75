// The check of a whole index: its checksum, and that all tables say the same.
#include "appraise/appraise.h"
#include "reference/index_tables.h"

namespace assay::reference {

Result<> IndexTables::CheckAll() const {
  if (has_checksums()) {
    const Digest content = Hash(HashAlg::kSha256, bytes_.subspan(sizeof(Header)));
    if (!Equal(content.view(), h_.content))
      return Fail(
          Bad(sizeof(Header), "the content is damaged: it has another checksum than the header says"));
  }
  ASSAY_TRY(CheckDigests());
  ASSAY_TRY(CheckOrigins());
  ASSAY_TRY(CheckPaths());
  return CheckPackages();
}

Result<> IndexTables::CheckDigests() const {
  const std::uint64_t buckets = std::uint64_t{1} << h_.fanout_bits;
  std::uint64_t bucket = 0;
  for (std::uint64_t i = 0; i < h_.digests; ++i) {
    const std::uint8_t* row = DigestAt(i).data();
    const std::uint64_t at = h_.digests_at + i * 32;
    if (i > 0 && std::memcmp(row - 32, row, 32) >= 0) return Fail(Bad(at, "digests do not ascend"));
    const std::uint64_t head = DigestHead(row);
    for (; bucket <= head >> (64 - h_.fanout_bits); ++bucket)
      if (At<std::uint32_t>(h_.fanout_at, bucket) != i)
        return Fail(Bad(h_.fanout_at + bucket * 4, "fan-out"));
    if (h_.filter_blocks != 0 && !MayHave(head, row)) return Fail(Bad(at, "the filter lacks a digest"));
  }
  for (; bucket <= buckets; ++bucket)
    if (At<std::uint32_t>(h_.fanout_at, bucket) != h_.digests)
      return Fail(Bad(h_.fanout_at + bucket * 4, "fan-out"));
  return {};
}

Result<> IndexTables::CheckOrigins() const {
  std::uint32_t before = 0;
  for (std::uint64_t i = 0; i <= h_.digests; ++i) {
    const auto first = At<std::uint32_t>(h_.ranges_at, i);
    const bool wrong = i == 0 ? first != 0 : first <= before;
    if (wrong || (i == h_.digests && first != h_.origins)) return Fail(Bad(h_.ranges_at + i * 4, "ranges"));
    before = first;
  }
  for (std::uint64_t i = 0; i < h_.origins; ++i) {
    const OriginRow row = OriginAt(i);
    if (row.package >= h_.packages || (version_ < 5 ? !HasString(row.path) : row.path >= h_.paths))
      return Fail(Bad(h_.origins_at + i * sizeof(OriginRow), "an origin"));
  }
  for (std::uint64_t i = 0; i < h_.allowances; ++i) {
    const auto row = At<AllowanceRow>(h_.allowances_at, i);
    if (row.digest >= h_.digests || (i > 0 && At<AllowanceRow>(h_.allowances_at, i - 1).digest >= row.digest))
      return Fail(Bad(h_.allowances_at + i * sizeof(AllowanceRow), "an allowance"));
  }
  return {};
}

Result<> IndexTables::CheckPaths() const {
  std::pair<std::string, std::string> before;
  if (version_ < 5) {
    for (std::uint64_t i = 0; i < h_.paths; ++i) {
      const auto row = At<PathRow>(paths_at_, i);
      const std::string key(String(row.key));
      if (row.origin >= h_.origins || (i > 0 && key <= before.first))
        return Fail(Bad(paths_at_ + i * sizeof(PathRow), "a path"));
      before.first = key;
    }
    return {};
  }
  std::uint64_t end = 0;  // of the block before
  for (std::uint64_t block = 0; block < PathBlocks(); ++block) {
    PathCursor cursor = BlockAt(block);
    const std::uint64_t at = h_.path_blocks_at + block * 4;
    if (cursor.at != end) return Fail(Bad(at, "a block of paths"));
    for (std::uint64_t i = block * kPathsInBlock; cursor.left > 0; ++i) {
      if (!NextPath(cursor)) return Fail(Bad(h_.path_text_at + cursor.at, "a path"));
      const std::pair<std::string, std::string> here{appraise::NormalisePath(cursor.path), cursor.path};
      if (i > 0 && here <= before) return Fail(Bad(h_.path_text_at + cursor.at, "paths do not ascend"));
      const auto package = At<std::uint32_t>(h_.path_packages_at, i);
      if (package != kNoPackage && package >= h_.packages)
        return Fail(Bad(h_.path_packages_at + i * 4, "the package of a path"));
      before = here;
    }
    end = cursor.at;
  }
  if (end != h_.path_text_size) return Fail(Bad(h_.path_text_at + end, "texts of paths"));
  return {};
}

Result<> IndexTables::CheckPackages() const {
  for (std::uint64_t i = 0; i < h_.packages; ++i) {
    const PackageRow p = PackageAt(i);
    const bool texts =
        HasString(p.name) && HasString(p.version) && HasString(p.architecture) && HasString(p.note) &&
        (package_row_ < sizeof(PackageRow) || (HasString(p.source) && HasString(p.source_version)));
    const bool advisories = p.advisory <= h_.advisories && p.advisories <= h_.advisories - p.advisory;
    if (!texts || !advisories || p.standing > static_cast<std::uint32_t>(appraise::Standing::kSuperseded) ||
        (i > 0 && String(PackageAt(i - 1).name) > String(p.name)))
      return Fail(Bad(h_.packages_at + i * package_row_, "a package"));
  }
  for (std::uint64_t i = 0; i < h_.advisories; ++i) {
    const AdvisoryRow a = AdvisoryAt(i);
    if (!HasString(a.id) || !HasString(a.record) || !HasString(a.severity) || !HasString(a.fixed))
      return Fail(Bad(h_.advisories_at + i * sizeof(AdvisoryRow), "an advisory"));
  }
  return {};
}

}  // namespace assay::reference
