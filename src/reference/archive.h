// Internal: libarchive, and what the readers of package files and images share: entries, their paths and
// their digests, and an archive within another one.
//
//   // given: archive* outer, const std::string& path
//   Budget budget{.format = "deb", .left = std::uint64_t{1} << 30};
//   PipeFromEntry member(outer);
//   ASSAY_ASSIGN(const ArchivePtr inner, OpenTar(member, path));
//   archive_entry* entry = nullptr;
//   ASSAY_ASSIGN(const bool more, NextEntry(inner.get(), &entry, path));
//   if (more) ASSAY_TRY(HashEntry(inner.get(), path, budget, nullptr));
//
// Contract: nothing is unpacked to disk. A damaged archive is a LibError of libarchive, and what goes beyond
// a bound is a ParseError of the budget's format. No filter that starts a program is used.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"

namespace assay::reference {

class FurtherHasher;

inline constexpr std::size_t kBlock = 256 << 10;
inline constexpr std::size_t kMaxFiles = 1'000'000;
inline constexpr std::uint64_t kMaxUnpacked = std::uint64_t{64} << 30;
inline constexpr std::size_t kMaxKept = std::size_t{256} << 20;  // bytes of one file that are kept in memory

struct ArchiveDelete {
  void operator()(archive* a) const { archive_read_free(a); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveDelete>;

Error ArchiveError(archive* a, const std::string& path);
// Reads the next entry; false at the end.
Result<bool> NextEntry(archive* a, archive_entry** entry, const std::string& path);

// What an inner archive is read from.
class Pipe {
 public:
  virtual ~Pipe() = default;
  // The next bytes, valid until the next call; empty at the end.
  virtual Result<ByteView> Next() = 0;
};
// A member of an outer archive.
class PipeFromEntry : public Pipe {
 public:
  explicit PipeFromEntry(archive* outer) : outer_(outer) {}
  Result<ByteView> Next() override;

 private:
  archive* outer_;
  std::array<std::uint8_t, kBlock> block_;
};

// The compressions that dpkg-deb, images and kernel builds use. Other filters of libarchive are left out,
// because some start a program for what they can't unpack themselves.
void AddFilters(archive* a);
// The pipe must outlive the archive.
Result<ArchivePtr> OpenTar(Pipe& pipe, const std::string& path);  // packed or not
Result<> OpenPipe(archive* a, Pipe& pipe, const std::string& path);

// "./usr/bin/ls" as "/usr/bin/ls".
std::string Absolute(std::string_view name);

// How many more bytes may be unpacked, and the format that a ParseError names.
struct Budget {
  std::string_view format;
  std::uint64_t left;
};
// keep: gets the content, up to kMaxKept. size: the entry's; libarchive does not give the hole that a sparse
// file ends with. further: hashes the content too, if not null.
Result<Digest> HashEntry(archive* a, const std::string& path, Budget& budget, Bytes* keep,
                         std::uint64_t size = 0, FurtherHasher* further = nullptr);

}  // namespace assay::reference
