// Internal: the layout of an index file.
//
//   // given: ByteView file
//   Header header{};
//   std::memcpy(&header, file.data(), sizeof(header));
//   const bool is_index = header.magic == kMagic && header.file_size == file.size();
//
// Contract: docs/formats/index.md. All integers are little-endian; every table begins at a multiple of 64.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace assay::reference {

inline constexpr std::array<char, 8> kMagic{'A', 'S', 'Y', 'I', 'D', 'X', '0', '5'};
// Before there were checksums, a filter and paths without their common beginnings: HeaderV4, and PathRow.
inline constexpr std::array<char, 8> kMagicV4{'A', 'S', 'Y', 'I', 'D', 'X', '0', '4'};
// Before there were advisories: its header ends before them, and its rows of packages end with `since`.
inline constexpr std::array<char, 8> kMagicV3{'A', 'S', 'Y', 'I', 'D', 'X', '0', '3'};
// Before there were allowances: its header ends before them.
inline constexpr std::array<char, 8> kMagicV2{'A', 'S', 'Y', 'I', 'D', 'X', '0', '2'};
// Before there were superseded packages: as V2, and its rows of packages lack `since`.
inline constexpr std::array<char, 8> kMagicV1{'A', 'S', 'Y', 'I', 'D', 'X', '0', '1'};

struct Header {
  std::array<char, 8> magic;
  std::uint64_t file_size;
  std::uint64_t digests, origins, packages, paths, allowances, advisories;  // rows
  std::uint64_t path_text_size, strings_size;                               // bytes
  std::uint64_t fanout_bits, filter_blocks;
  std::uint64_t digests_at, ranges_at, origins_at, path_packages_at, path_blocks_at, path_text_at;
  std::uint64_t packages_at, strings_at, allowances_at, advisories_at, fanout_at, filter_at;
  std::array<std::uint8_t, 32> content;  // SHA-256 of what follows the header
  std::array<std::uint8_t, 32> check;    // SHA-256 of the header up to here
};
static_assert(sizeof(Header) == 256);
inline constexpr std::size_t kTableAlignment = 64;

struct HeaderV4 {
  std::array<char, 8> magic;
  std::uint64_t file_size;
  std::uint64_t digests, origins, packages, paths, strings_size;                                  // counts
  std::uint64_t fanout_at, digests_at, ranges_at, origins_at, packages_at, paths_at, strings_at;  // offsets
  std::uint64_t allowances, allowances_at;  // count, offset
  std::uint64_t advisories, advisories_at;  // count, offset
};
static_assert(sizeof(HeaderV4) == 144);
inline constexpr std::size_t kHeaderV3 = 128, kHeaderV2 = 112;

// fanout: 2^fanout_bits + 1 u32, each the number of digests whose first bits are smaller than its index.
// digests: 32 bytes each, ascending. ranges: digests + 1 u32, indexes into origins.
inline constexpr std::uint64_t kMinFanoutBits = 8, kMaxFanoutBits = 29;
inline constexpr std::uint64_t kDigestsInBucket = 8;  // at most, on average
struct OriginRow {
  std::uint32_t package;
  std::uint32_t path;  // a row of paths; before version 5 into strings
};
struct PackageRow {
  std::uint32_t name, version, architecture, note;  // into strings
  std::uint32_t standing;                           // appraise::Standing: 0 good, 1 vulnerable, ...
  std::uint32_t since;                   // when it was superseded, seconds since the epoch; 0: it was not
  std::uint32_t source, source_version;  // into strings: the source package that it was built from
  std::uint32_t known;                 // when it was first in an index, seconds since the epoch; 0: not known
  std::uint32_t advisory, advisories;  // the first row of its advisories, and how many there are
};
// path_packages: for each path the package whose file it should be now.
inline constexpr std::uint32_t kNoPackage = UINT32_MAX;
// path_blocks: for each kPathsInBlock paths the offset of the first in path_text. There each has u8 bytes
// that it shares with the one before in its block | length of the rest, 7 bits a byte, low first | the rest.
inline constexpr std::uint64_t kPathsInBlock = 16;
// Before version 5.
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

// filter: blocks of eight u64. A digest sets one bit in each word of its block.
struct FilterBlock {
  std::array<std::uint64_t, 8> words;
};
inline constexpr std::uint64_t kDigestsInFilterBlock = 48;  // at most, on average
// The first 8 bytes, big-endian: digests ascend by them.
inline std::uint64_t DigestHead(const std::uint8_t* digest) {
  std::uint64_t v = 0;
  __builtin_memcpy(&v, digest, sizeof(v));
  return __builtin_bswap64(v);
}
// Ascends with the digest, so that a filter can be written from its beginning to its end.
inline std::uint64_t FilterBlockOf(std::uint64_t head, std::uint64_t blocks) {
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(head) * blocks) >> 64U);
}
// The bit in word `word`: six bits of the digest's second 8 bytes, little-endian.
inline std::uint64_t FilterBit(const std::uint8_t* digest, unsigned word) {
  std::uint64_t v = 0;
  __builtin_memcpy(&v, digest + 8, sizeof(v));
  return std::uint64_t{1} << (v >> (6 * word) & 63U);
}

}  // namespace assay::reference
