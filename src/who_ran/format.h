// Internal: the layout of the file. Contract: docs/formats/who-ran.md.
//
//   Header h{};
//   h.magic = kMagic;
//
// All integers are little-endian, as on every machine that this runs on.
#pragma once

#include <array>
#include <cstdint>

namespace assay::who_ran {

inline constexpr std::array<char, 8> kMagic{'A', 'S', 'Y', 'W', 'H', 'O', '0', '1'};

struct Header {
  std::array<char, 8> magic;
  std::uint64_t file_size;
  std::uint64_t values, hosts;          // rows
  std::uint64_t sets_size, names_size;  // bytes
  std::uint64_t sets_at, values_at, ends_at, hosts_at, by_name_at, names_at;
  std::array<std::uint8_t, 32> content, check;
};
static_assert(sizeof(Header) == 160);

struct HostRow {
  std::uint64_t first, last;  // milliseconds since the epoch: of its first and last evidence
  std::uint64_t boot_first;   // of the first evidence of its last boot
  std::uint64_t boot;         // the first 8 bytes of SHA-256 of the boot's ID
  std::uint32_t name, name_size;
};
static_assert(sizeof(HostRow) == 40);

// In sets, before the bytes of each set.
inline constexpr std::uint8_t kLast = 1;     // when the hosts last ran it; else when they first did
inline constexpr std::uint8_t kRoaring = 2;  // the bytes are a Roaring bitmap; else u32 numbers
inline constexpr std::size_t kSetHead = 9;   // u8 kind, u16 from, u16 to, u32 size of the bytes

inline constexpr std::size_t kAlignment = 8;
inline constexpr std::size_t kMaxName = 255;
// The sets of a value may take this, and this many times what one set of all its hosts takes, or a bit for
// each of them where that is more.
inline constexpr std::size_t kAlwaysExact = 4096, kTimesOneSet = 3;

}  // namespace assay::who_ran
