// Internal: which layers a saved image has, as its index, manifests and configurations say.
//
//   // given: const ImageFiles& files
//   ASSAY_ASSIGN(const std::vector<ImageManifest> images, FindImages(files, "amd64"));
//   for (const ImageManifest& i : images) log::Info("{}: {} layers", i.digest.ToString(), i.layers.size());
//
// Contract: docs/formats/images.md. The texts are bounded, their digests checked, and an index may name
// others to a depth of eight. Each digest is followed once, so that there is no loop.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "reference/image_files.h"

namespace assay::reference {

struct ImageLayer {
  std::string file;                        // in the image's files
  std::optional<Digest> packed = {};       // of the file, where a manifest says so
  std::optional<std::uint64_t> size = {};  // of the file, in bytes
  Digest unpacked = {};                    // of the tar archive in it
};
struct ImageManifest {
  Digest digest;          // of the manifest; of the configuration for archives of `docker save`
  std::string reference;  // what the image calls itself: "localhost/web:1.4"; empty: nothing
  std::string architecture;
  std::vector<ImageLayer> layers;  // the lowest first
};
// architecture: of several images those for another one are left out.
Result<std::vector<ImageManifest>> FindImages(const ImageFiles& files, const std::string& architecture);

}  // namespace assay::reference
