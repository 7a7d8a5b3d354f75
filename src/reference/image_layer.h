// Internal: one layer of an image, and the tree of files that layers make one upon the other.
//
//   // given: Pipe& blob, Pipe& next
//   LayerLimits limits;
//   ASSAY_ASSIGN(const Layer base, ReadLayer(blob, {.name = "base"}, limits, nullptr));
//   ASSAY_ASSIGN(const Layer upper, ReadLayer(next, {.name = "upper"}, limits, nullptr));
//   ImageTree tree;
//   ASSAY_TRY(ApplyLayer(base, tree));
//   ASSAY_TRY(ApplyLayer(upper, tree));   // what `upper` deletes is no longer in the tree
//
// Contract: nothing is unpacked to disk, and links are not followed: a path is what the layer calls it.
// Device nodes, pipes and symbolic links have no content, and hide what a lower layer has there. Refused
// (ParseError "image"): a path with "..", a file below what is no folder, a hard link to nothing, a whiteout
// of nothing, more than the limits. Source: OCI image specification 1.1, layer.md (whiteouts, opaque
// whiteouts).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reference/archive.h"
#include "reference/package_file.h"

namespace assay::reference {

// What is left of the bounds of one image.
struct LayerLimits {
  std::uint64_t unpacked = kMaxUnpacked;       // bytes of tar archives
  std::uint64_t content = kMaxUnpacked;        // bytes of files, of which sparse ones have more
  std::size_t entries = kMaxFiles;             // of all layers
  std::size_t names = std::size_t{256} << 20;  // bytes of their paths
};
struct LayerName {
  std::string name;                         // for errors
  HashAlg alg = HashAlg::kSha256;           // of the blob's digest
  HashAlg unpacked_alg = HashAlg::kSha256;  // of the tar archive's
};
struct LayerFile {
  Digest digest;
  std::vector<Digest> further = {};      // as PackagedFile has them
  std::vector<PackagedFile> parts = {};  // what is packed in it: a kernel module, the files of a wheel
  std::vector<PackagedFile> byte_code = {};
};
struct LayerEntry {
  enum class Kind { kFile, kFolder, kLink, kOther };
  Kind kind = Kind::kOther;
  LayerFile file = {};
  std::string target = {};  // of a hard link to a file of a lower layer
};
struct Layer {
  std::string name;
  std::map<std::string, LayerEntry> entries;  // by path: "/usr/bin/ls"
  std::set<std::string> whiteouts, opaque;    // paths that are deleted, and folders that are emptied
  Digest packed, unpacked;                    // of the blob, and of the tar archive in it
  std::uint64_t size = 0;                     // of the blob, in bytes
};
// Reads the blob to its end. compiler: null where no byte code is wanted.
Result<Layer> ReadLayer(Pipe& blob, const LayerName& name, LayerLimits& limits, ByteCompiler* compiler,
                        const FurtherKinds& kinds = {});

using ImageTree = std::map<std::string, LayerFile>;  // the regular files, by path
Result<> ApplyLayer(const Layer& layer, ImageTree& tree);

}  // namespace assay::reference
