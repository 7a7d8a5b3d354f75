#include "reference/image.h"

#include <fmt/core.h>
#include <sys/utsname.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "base/text.h"
#include "reference/image_manifest.h"

namespace assay::reference {
namespace {

constexpr std::size_t kMaxName = 200;  // bytes

// "localhost/web:1.4" is the package localhost/web of version 1.4; an index may have only "1.4". What the
// image does not say is "image", and its digest.
PackageName NameOf(const ImageManifest& image, const PackageName& wanted) {
  const std::string text = PrintableAscii(std::string_view(image.reference).substr(0, kMaxName));
  const std::size_t slash = text.rfind('/');
  const std::size_t colon = text.find(':', slash == std::string::npos ? 0 : slash);
  PackageName out = wanted;
  if (colon == std::string::npos && slash == std::string::npos) {
    if (out.version.empty()) out.version = text;
  } else {
    if (out.package.empty()) out.package = text.substr(0, colon);
    if (out.version.empty() && colon != std::string::npos) out.version = text.substr(colon + 1);
  }
  if (out.package.empty()) out.package = "image";
  if (out.version.empty()) out.version = image.digest.ToString();
  return out;
}

// The layers of all images, by file, each read once.
Result<std::map<std::string, Layer>> ReadLayers(const ImageFiles& files,
                                                const std::vector<ImageManifest>& images,
                                                const ImageOptions& options, ByteCompiler* compiler) {
  LayerLimits limits = options.limits;
  std::map<std::string, const ImageLayer*> wanted;
  std::set<std::string> names;
  for (const ImageManifest& image : images) {
    for (const ImageLayer& layer : image.layers) {
      wanted.emplace(layer.file, &layer);
      names.insert(layer.file);
    }
  }
  std::map<std::string, Layer> out;
  ASSAY_TRY(files.Each(names, [&](const std::string& name, Pipe& blob) -> Result<> {
    const ImageLayer& want = *wanted.at(name);
    ASSAY_ASSIGN(Layer layer, ReadLayer(blob,
                                        {.name = "layer " + Printable(name),
                                         .alg = want.packed ? want.packed->alg() : HashAlg::kSha256,
                                         .unpacked_alg = want.unpacked.alg()},
                                        limits, compiler, options.kinds));
    out.emplace(name, std::move(layer));
    return {};
  }));
  for (const ImageManifest& image : images) {
    for (const ImageLayer& want : image.layers) {
      const auto found = out.find(want.file);
      if (found == out.end()) return Fail(BadImage(Printable(want.file) + " is missing"));
      const Layer& have = found->second;
      if ((want.packed && *want.packed != have.packed) || (want.size && *want.size != have.size))
        return Fail(BadImage("the content of " + Printable(want.file) + " is not what its digest says"));
      if (want.unpacked != have.unpacked)
        return Fail(BadImage(Printable(want.file) + " is another layer than the image's configuration says"));
    }
  }
  return out;
}

class Image : public PackageSource {
 public:
  Image(std::string path, ImageOptions options) : path_(std::move(path)), options_(std::move(options)) {}
  const std::string& path() const override { return path_; }
  Result<SourceRead> Read(ByteCompiler* compiler) const override {
    ASSAY_ASSIGN(const std::unique_ptr<ImageFiles> files, OpenImageFiles(path_));
    SourceRead read;
    Result<std::vector<SourceContent>> images = ReadImages(*files, options_, compiler);
    if (!images) return Fail(images.error().In(path_));
    read.contents = std::move(*images);
    return read;
  }

 private:
  std::string path_;
  ImageOptions options_;
};

}  // namespace

std::string OwnImageArchitecture() {
  utsname name{};
  if (uname(&name) != 0) return "";
  const std::string machine = name.machine;
  return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
}

Result<std::vector<SourceContent>> ReadImages(const ImageFiles& files, const ImageOptions& options,
                                              ByteCompiler* compiler) {
  ASSAY_ASSIGN(const std::vector<ImageManifest> images, FindImages(files, options.architecture));
  ASSAY_ASSIGN(const auto layers, ReadLayers(files, images, options, compiler));
  std::vector<SourceContent> out;
  for (const ImageManifest& image : images) {
    ImageTree tree;
    for (const ImageLayer& layer : image.layers) ASSAY_TRY(ApplyLayer(layers.at(layer.file), tree));
    const PackageName name = NameOf(image, options.name);
    SourceContent content{.content = {.package = name.package,
                                      .version = name.version,
                                      .architecture = PrintableAscii(image.architecture.substr(0, kMaxName)),
                                      .files = {},
                                      .note = "image " + image.digest.ToString()}};
    for (auto& [path, file] : tree) {
      content.content.files.push_back(
          {.path = path, .digest = file.digest, .further = std::move(file.further)});
      std::ranges::move(file.parts, std::back_inserter(content.content.files));
      std::ranges::move(file.byte_code, std::back_inserter(content.byte_code));
    }
    out.push_back(std::move(content));
  }
  return out;
}

std::unique_ptr<PackageSource> ImageSource(std::string path, PackageName name, std::string architecture,
                                           FurtherKinds kinds) {
  if (architecture.empty()) architecture = OwnImageArchitecture();
  return std::make_unique<Image>(std::move(path), ImageOptions{.name = std::move(name),
                                                               .architecture = std::move(architecture),
                                                               .kinds = std::move(kinds)});
}

}  // namespace assay::reference
