// Internal: the layout of an index file.
//
//   // given: ByteView file
//   Header header{};
//   std::memcpy(&header, file.data(), sizeof(header));
//   const bool is_index = header.magic == kMagic && header.file_size == file.size();
//
// Contract: docs/formats/index.md. All integers are little-endian; every table begins at a multiple of 8.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace assay::reference {

inline constexpr std::array<char, 8> kMagic{'A', 'S', 'Y', 'I', 'D', 'X', '0', '4'};
// Before there were advisories: its header ends before them, and its rows of packages end with `since`.
inline constexpr std::array<char, 8> kMagicV3{'A', 'S', 'Y', 'I', 'D', 'X', '0', '3'};
// Before there were allowances: its header ends before them.
inline constexpr std::array<char, 8> kMagicV2{'A', 'S', 'Y', 'I', 'D', 'X', '0', '2'};
// Before there were superseded packages: as V2, and its rows of packages lack `since`.
inline constexpr std::array<char, 8> kMagicV1{'A', 'S', 'Y', 'I', 'D', 'X', '0', '1'};

struct Header {
  std::array<char, 8> magic;
  std::uint64_t file_size;
  std::uint64_t digests, origins, packages, paths, strings_size;                                  // counts
  std::uint64_t fanout_at, digests_at, ranges_at, origins_at, packages_at, paths_at, strings_at;  // offsets
  std::uint64_t allowances, allowances_at;  // count, offset
  std::uint64_t advisories, advisories_at;  // count, offset
};
static_assert(sizeof(Header) == 144);
inline constexpr std::size_t kHeaderV3 = 128, kHeaderV2 = 112;

// fanout: 257 u32, each the number of digests whose first byte is smaller than its index.
// digests: 32 bytes each, ascending. ranges: digests + 1 u32, indexes into origins.
struct OriginRow {
  std::uint32_t package;
  std::uint32_t path;  // into strings
};
struct PackageRow {
  std::uint32_t name, version, architecture, note;  // into strings
  std::uint32_t standing;                           // appraise::Standing: 0 good, 1 vulnerable, ...
  std::uint32_t since;                   // when it was superseded, seconds since the epoch; 0: it was not
  std::uint32_t source, source_version;  // into strings: the source package that it was built from
  std::uint32_t known;                 // when it was first in an index, seconds since the epoch; 0: not known
  std::uint32_t advisory, advisories;  // the first row of its advisories, and how many there are
};
struct PathRow {
  std::uint32_t key;  // into strings: appraise::NormalisePath of it; rows ascend by it
  std::uint32_t origin;
};
struct AllowanceRow {
  std::uint32_t digest;  // into digests; rows ascend by it
  std::uint32_t kinds;   // a bit for each kind (allowances.cc)
};
// The worst of a package come first.
struct AdvisoryRow {
  std::uint32_t id, record, severity, fixed;  // into strings
};
inline constexpr std::size_t kPackageRowV1 = 20, kPackageRowV2 = 24;
static_assert(sizeof(OriginRow) == 8 && sizeof(PackageRow) == 44 && sizeof(PathRow) == 8);
static_assert(sizeof(AllowanceRow) == 8 && sizeof(AdvisoryRow) == 16);
// strings: each u16 length | bytes.

}  // namespace assay::reference
