// Saved images and their layers from anywhere: parsing never crashes, and an accepted image has absolute
// paths that lead nowhere outside, each once.
#include "base/fuzzing.h"
#include "reference/image.h"

using namespace assay;
using namespace assay::reference;

namespace {

class Whole : public Pipe {
 public:
  explicit Whole(ByteView bytes) : left_(bytes) {}
  Result<ByteView> Next() override { return std::exchange(left_, ByteView()); }

 private:
  ByteView left_;
};

void CheckPath(const std::string& path) {
  Require(path.starts_with('/') && path.size() > 1 && !path.ends_with('/'));
  Require(path.find("//") == std::string::npos && (path + "/").find("/../") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr LayerLimits kSmall{.unpacked = 1 << 22, .content = 1 << 22, .entries = 1000, .names = 1 << 16};
  LayerLimits limits = kSmall;
  Whole blob({data, size});
  if (const Result<Layer> layer = ReadLayer(blob, {.name = "input"}, limits, nullptr)) {
    Require(layer->size == size && layer->packed == Hash(HashAlg::kSha256, {data, size}));
    ImageTree tree;
    if (ApplyLayer(*layer, tree) && ApplyLayer(*layer, tree))
      for (const auto& [path, file] : tree) CheckPath(path);
  }
  const auto files = ImageFilesOf({data, size});
  if (!files) return 0;
  const auto images = ReadImages(**files, {.architecture = "amd64", .limits = kSmall}, nullptr);
  if (!images) return 0;
  for (const SourceContent& image : *images) {
    Require(!image.content.package.empty() && !image.content.version.empty());
    for (const PackagedFile& file : image.content.files) CheckPath(file.path);
  }
  return 0;
}
