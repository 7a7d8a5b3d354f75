// Internal: reads the tables of an index file, of each version of the format.
//
//   // given: ByteView file, const Digest& digest
//   ASSAY_ASSIGN(const IndexTables tables, IndexTables::Of(file, "debian.idx"));
//   const auto row = tables.FindDigest(digest);
//   if (row) log::Info("{}", tables.PathOf(tables.OriginAt(*row).path));
//
// Contract: docs/formats/index.md. Of() looks at the header only, whatever the size of the file is. Each
// offset that is read later is checked when it is used: a damaged file gives no answer, never a crash.
// CheckAll() reads the whole file. The bytes must outlive the tables.
#pragma once

#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "reference/format.h"

namespace assay::reference {

class IndexTables {
 public:
  static Result<IndexTables> Of(ByteView bytes, const std::string& name);
  const Header& header() const { return h_; }
  bool has_checksums() const { return version_ >= 5; }
  bool has_sources() const { return package_row_ == sizeof(PackageRow); }
  Result<> CheckAll() const;

  std::optional<std::uint64_t> FindDigest(const Digest& digest) const;  // a row of digests
  ByteView DigestAt(std::uint64_t row) const { return bytes_.subspan(h_.digests_at + row * 32, 32); }
  struct Range {
    std::uint32_t first, last;  // rows of origins, the last excluded
  };
  Range OriginsOf(std::uint64_t digest) const;
  OriginRow OriginAt(std::uint64_t row) const { return At<OriginRow>(h_.origins_at, row); }
  std::uint32_t AllowancesAt(std::uint64_t digest) const;
  struct FurtherRows {
    std::uint64_t digests = 0, origins = 0;
  };
  FurtherRows CountFurther() const;  // rows that are of further digests; reads the table of allowances
  std::string PathOf(std::uint32_t path) const;  // as an origin names it
  // The file that should be at this path. key: normalised.
  std::optional<OriginRow> FindPath(const std::string& key) const;

  PackageRow PackageAt(std::uint64_t row) const;
  bool IsSuperseded(std::uint32_t package) const { return PackageAt(package).since != 0; }
  bool HasOlder(std::uint32_t package) const;
  // The last row of each version among those of the package.
  std::map<std::string_view, std::uint64_t> VersionsOf(std::string_view package) const;
  AdvisoryRow AdvisoryAt(std::uint64_t row) const { return At<AdvisoryRow>(h_.advisories_at, row); }
  std::string_view String(std::uint32_t offset) const;

 private:
  // The paths of a block, one after the other.
  struct PathCursor {
    std::uint64_t at, left;  // in path_text; how many paths are left in the block
    std::string path;
  };

  template <typename T>
  T At(std::uint64_t table, std::uint64_t row) const {
    T value;
    std::memcpy(&value, bytes_.data() + table + row * sizeof(T), sizeof(T));
    return value;
  }
  Result<> TakeHeader(const std::string& name);
  Result<> CheckPlaces() const;
  Result<> CheckDigests() const;
  Result<> CheckOrigins() const;
  Result<> CheckPaths() const;
  Result<> CheckPackages() const;
  bool MayHave(std::uint64_t head, const std::uint8_t* digest) const;
  PathCursor BlockAt(std::uint64_t block) const;
  bool NextPath(PathCursor& cursor) const;
  std::optional<OriginRow> FindPathV4(const std::string& key) const;
  std::uint64_t PathBlocks() const { return (h_.paths + kPathsInBlock - 1) / kPathsInBlock; }
  bool HasString(std::uint32_t offset) const;
  Error Bad(std::uint64_t at, std::string what) const { return ParseError("index", at, std::move(what)); }

  ByteView bytes_;
  Header h_{};
  unsigned version_ = 5;
  std::size_t package_row_ = sizeof(PackageRow);  // bytes of a row in this version of the format
  std::uint64_t paths_at_ = 0;                    // before version 5: of PathRow
};

}  // namespace assay::reference
