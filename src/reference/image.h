// Internal: saved images of containers: OCI image layouts, and archives of `docker save`.
//
//   // given: const std::string& path
//   ASSAY_ASSIGN(const std::unique_ptr<ImageFiles> files, OpenImageFiles(path));
//   const ImageOptions options{.architecture = "amd64"};
//   ASSAY_ASSIGN(const std::vector<SourceContent> images, ReadImages(*files, options, nullptr));
//   for (const SourceContent& i : images) log::Info("{}: {} files", i.content.note, i.content.files.size());
//
// Contract: docs/formats/images.md. Every digest on the way from the index to a file's content is checked, so
// that the digest in the note says which image it is. A ParseError "image" names what is missing or altered.
// Nothing is unpacked to disk. Sources: OCI image specification 1.1 (image-layout, index, manifest, config,
// layer), docker image specification 1.2.
#pragma once

#include <string>
#include <vector>

#include "reference/image_files.h"
#include "reference/image_layer.h"
#include "reference/source.h"

namespace assay::reference {

struct ImageOptions {
  PackageName name = {};     // empty members: as the image calls itself
  std::string architecture;  // Go's name: "amd64"; of several images those for another one are left out
  LayerLimits limits = {};   // of all images together
  FurtherKinds kinds = {};
};
std::string OwnImageArchitecture();
Result<std::vector<SourceContent>> ReadImages(const ImageFiles& files, const ImageOptions& options,
                                              ByteCompiler* compiler);

}  // namespace assay::reference
