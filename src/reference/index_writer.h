// Internal: writes an index file of any size with bounded memory, by external sorts.
//
//   // given: const IndexedPackage& package, const Digest& digest
//   ASSAY_ASSIGN(IndexWriter writer, IndexWriter::Make("/var/lib/assay"));
//   ASSAY_TRY(writer.AddPackage(package));
//   ASSAY_TRY(writer.AddFile(0, "/usr/bin/ls", digest, 0));
//   ASSAY_TRY(writer.Write("/var/lib/assay/reference.idx"));
//
// Contract: docs/formats/index.md. Packages come in the order of their rows, files in any order; what comes
// twice is one origin. The same packages and files give the same bytes. Beside `memory` there are the
// packages, their texts and 10 MiB of buffers in memory; temporary files of up to twice the size of the index
// are in the folder, and are gone when the process ends. Write() is atomic; a writer writes once.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reference/format.h"
#include "reference/index.h"
#include "reference/spill.h"

namespace assay::reference {

class IndexWriter {
 public:
  static constexpr std::size_t kMemory = std::size_t{256} << 20;  // bytes that are sorted at once
  // folder: for temporary files; empty: all of it stays in memory.
  static Result<IndexWriter> Make(const std::string& folder, std::size_t memory = kMemory);
  // A row for superseded packages and the denied digests too: their files are not what a path should hold.
  Result<> AddPackage(const IndexedPackage& package);
  Result<> AddFile(std::uint32_t package, std::string_view path, const Digest& digest,
                   std::uint32_t allowances);
  Result<> Write(const std::string& path);
  Result<Bytes> Encode();

 private:
  // A file of a package while it is sorted by path, with its texts in text_.
  struct ByPath {
    std::array<std::uint8_t, 32> digest;
    std::uint32_t package, allowances;
    std::uint64_t key;  // in text_; the path follows, if it differs
    std::uint32_t key_size, path_size;
  };
  struct ByDigest {
    std::array<std::uint8_t, 32> digest;
    std::uint32_t package, path, allowances;
  };
  struct Run {
    std::uint64_t from, to;  // in a spill
  };
  class PathRun;
  class DigestRun;
  struct Table {
    std::uint64_t Header::* at;
    const Spill* rows;
  };

  explicit IndexWriter(std::size_t memory) : memory_(memory) {}
  std::uint32_t Put(std::string_view text);
  Result<> SpillPaths();
  Result<> SpillDigests();
  Result<> MergePaths();
  Result<> PutPath(std::string_view key, const std::string& path);
  Result<> EndKey();
  Result<> MergeDigests();
  Result<> PutOrigin(const ByDigest& row);
  Result<> Sort();  // all tables but those that follow from the digests
  template <typename TakeBytes>
  Result<Header> Lay(const TakeBytes& take);
  std::size_t BlockOf(const std::vector<Run>& runs) const;

  std::size_t memory_;
  Header h_{};
  std::vector<bool> absent_;  // for each package: it is not what a path should hold
  std::map<std::string, std::uint32_t, std::less<>> texts_;
  std::map<std::vector<appraise::Advisory>, std::uint32_t> lists_;  // of advisories -> the first row
  std::vector<ByPath> by_path_;
  std::string text_;
  std::vector<ByDigest> by_digest_;
  Spill path_spill_, digest_spill_;  // sorted runs
  std::vector<Run> path_runs_, digest_runs_;
  Spill digests_, ranges_, origins_, path_packages_, path_blocks_, path_text_, packages_, strings_,
      allowances_, advisories_, fanout_, filter_;

  // The path and the digest that were put last.
  std::string key_, path_;
  std::uint32_t in_key_ = 0, winner_ = 0;  // how many paths have the key; which of them has its package
  std::uint32_t package_ = kNoPackage;
  ByDigest last_{};
  std::uint32_t allowed_ = 0;
};

}  // namespace assay::reference
