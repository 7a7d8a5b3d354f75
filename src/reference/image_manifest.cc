#include "reference/image_manifest.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/digest_text.h"
#include "base/json.h"
#include "base/text.h"

namespace assay::reference {
namespace {

constexpr std::string_view kFormat = "image";
constexpr std::size_t kMaxDepth = 8;  // of indexes
constexpr std::size_t kMaxImages = 1000, kMaxLayers = 1000;
constexpr const char* kIndex = "index.json";
constexpr const char* kDockerManifest = "manifest.json";

// What names a text or a layer by its digest.
struct Descriptor {
  Digest digest;
  std::uint64_t size = 0;
  std::string media, reference, architecture, os;
};

std::string BlobName(const Digest& digest) {
  return fmt::format("blobs/{}/{}", HashName(digest.alg()), digest.hex());
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

Result<std::string> OptionalText(const JsonValue& of, std::string_view key) {
  return of.Has(key) ? of.Str(key) : std::string();
}

Result<Digest> DigestIn(const JsonValue& of, std::string_view key) {
  ASSAY_ASSIGN(const std::string text, of.Str(key));
  const Result<Digest> digest = ParseDigest(text);
  if (!digest || !CanHash(digest->alg())) return Fail(of.Bad("a digest that can't be checked"));
  return *digest;
}

Result<Descriptor> DescriptorOf(const JsonValue& of) {
  Descriptor out;
  ASSAY_ASSIGN(out.digest, DigestIn(of, "digest"));
  ASSAY_ASSIGN(out.size, of.U64("size"));
  ASSAY_ASSIGN(out.media, OptionalText(of, "mediaType"));
  if (of.Has("platform")) {
    ASSAY_ASSIGN(const JsonValue platform, of.Object("platform"));
    ASSAY_ASSIGN(out.architecture, OptionalText(platform, "architecture"));
    ASSAY_ASSIGN(out.os, OptionalText(platform, "os"));
  }
  if (!of.Has("annotations")) return out;
  ASSAY_ASSIGN(const JsonValue notes, of.Object("annotations"));
  for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
    if (!out.reference.empty()) break;
    ASSAY_ASSIGN(out.reference, OptionalText(notes, key));
  }
  return out;
}

Result<std::vector<Descriptor>> Descriptors(const JsonValue& of, std::string_view key, std::size_t max) {
  std::vector<Descriptor> out;
  ASSAY_ASSIGN(const JsonValue list, of.Array(key));
  ASSAY_TRY(list.Each([&](const JsonValue& v) -> Result<> {
    if (out.size() >= max) return Fail(v.Bad("too many"));
    ASSAY_ASSIGN(Descriptor d, DescriptorOf(v));
    out.push_back(std::move(d));
    return {};
  }));
  return out;
}

// What the configuration of an image says.
struct Config {
  std::string architecture;
  std::vector<Digest> layers;  // of the tar archives, the lowest first
};
Result<Config> ConfigOf(ByteView text) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(text), kFormat, kMaxImageText));
  Config out;
  ASSAY_ASSIGN(out.architecture, OptionalText(doc.root(), "architecture"));
  ASSAY_ASSIGN(const JsonValue rootfs, doc.root().Object("rootfs"));
  ASSAY_ASSIGN(const JsonValue list, rootfs.Array("diff_ids"));
  ASSAY_TRY(list.Each([&](const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(const std::string id, v.AsStr());
    const Result<Digest> digest = ParseDigest(id);
    if (!digest || !CanHash(digest->alg())) return Fail(v.Bad("a digest that can't be checked"));
    if (out.layers.size() >= kMaxLayers) return Fail(v.Bad("too many layers"));
    out.layers.push_back(*digest);
    return {};
  }));
  return out;
}

class Oci {
 public:
  Oci(const ImageFiles& files, const std::string& architecture)
      : files_(files), architecture_(architecture) {}

  Result<std::vector<ImageManifest>> Read(ByteView index) {
    ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(index), kFormat, kMaxImageText));
    ASSAY_TRY(Follow(doc.root(), ""));
    for (std::size_t depth = 0; !next_.empty(); ++depth) {
      if (depth >= kMaxDepth) return Fail(BadImage("an index of indexes of indexes, too deep"));
      const std::vector<Descriptor> level = std::exchange(next_, {});
      ASSAY_ASSIGN(const auto texts, Texts(level));
      for (const Descriptor& d : level) ASSAY_TRY(Manifest(d, texts.at(BlobName(d.digest))));
    }
    ASSAY_TRY(Configure());
    if (found_.empty())
      return Fail(BadImage(others_.empty() ? std::string("there is no image in it")
                                           : fmt::format("no image in it is for {}; there are some for {}",
                                                         architecture_, Printable(*others_.begin()))));
    return std::move(found_);
  }

 private:
  // The manifests of an index, but for those that are for other machines, or are no images (attestations have
  // the platform "unknown"). name: of the index itself.
  Result<> Follow(const JsonValue& index, const std::string& name) {
    ASSAY_ASSIGN(std::vector<Descriptor> list, Descriptors(index, "manifests", kMaxImages));
    for (Descriptor& d : list) {
      if (!d.architecture.empty() && (d.architecture != architecture_ || d.os != "linux")) {
        others_.insert(d.os + "/" + d.architecture);
        continue;
      }
      if (d.reference.empty()) d.reference = name;
      if (!seen_.insert(d.digest).second) continue;
      if (seen_.size() > kMaxImages) return Fail(BadImage("too many images"));
      next_.push_back(std::move(d));
    }
    return {};
  }

  // The texts of blobs, whose digests they have.
  Result<std::map<std::string, Bytes>> Texts(const std::vector<Descriptor>& of) {
    std::set<std::string> names;
    for (const Descriptor& d : of) names.insert(BlobName(d.digest));
    ASSAY_ASSIGN(auto texts, files_.Small(names));
    for (const Descriptor& d : of) {
      const auto text = texts.find(BlobName(d.digest));
      if (text == texts.end()) return Fail(BadImage(BlobName(d.digest) + " is missing"));
      if (text->second.size() != d.size || Hash(d.digest.alg(), text->second) != d.digest)
        return Fail(BadImage("the content of " + BlobName(d.digest) + " is not what its digest says"));
    }
    return texts;
  }

  Result<> Manifest(const Descriptor& d, ByteView text) {
    ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(text), kFormat, kMaxImageText));
    const JsonValue root = doc.root();
    if (!root.is_object()) return Fail(root.Bad("no manifest"));
    if (root.Has("manifests")) return Follow(root, d.reference);
    if (root.Has("fsLayers"))
      return Fail(BadImage("a manifest of docker's first schema, which has no digests"));
    ASSAY_ASSIGN(const JsonValue config, root.Object("config"));
    ASSAY_ASSIGN(Descriptor of, DescriptorOf(config));
    // A manifest may be of anything: signatures, charts, lists of parts.
    if (of.media.find("image.config") == std::string::npos &&
        of.media.find("container.image") == std::string::npos)
      return {};
    ImageManifest image{.digest = d.digest, .reference = d.reference, .architecture = {}, .layers = {}};
    ASSAY_ASSIGN(const std::vector<Descriptor> layers, Descriptors(root, "layers", kMaxLayers));
    for (const Descriptor& l : layers) {
      if (l.media.find("tar") == std::string::npos || l.media.find("encrypted") != std::string::npos)
        return Fail(BadImage("a layer of a kind that can't be read: " + Printable(l.media)));
      image.layers.push_back({.file = BlobName(l.digest), .packed = l.digest, .size = l.size});
    }
    found_.push_back(std::move(image));
    configs_.push_back(std::move(of));
    return {};
  }

  Result<> Configure() {
    ASSAY_ASSIGN(const auto texts, Texts(configs_));
    std::vector<ImageManifest> fitting;
    for (std::size_t i = 0; i < found_.size(); ++i) {
      ImageManifest& image = found_[i];
      ASSAY_ASSIGN(const Config config, ConfigOf(texts.at(BlobName(configs_[i].digest))));
      if (config.layers.size() != image.layers.size())
        return Fail(BadImage("a manifest and its configuration have other numbers of layers"));
      for (std::size_t l = 0; l < config.layers.size(); ++l) image.layers[l].unpacked = config.layers[l];
      image.architecture = config.architecture;
      // Where the index has not said it; a single image is what was asked for.
      if (found_.size() > 1 && !config.architecture.empty() && config.architecture != architecture_)
        others_.insert("linux/" + config.architecture);
      else
        fitting.push_back(std::move(image));
    }
    found_ = std::move(fitting);
    return {};
  }

  const ImageFiles& files_;
  const std::string& architecture_;
  std::vector<Descriptor> next_;
  std::set<Digest> seen_;
  std::set<std::string> others_;  // platforms of what was left out
  std::vector<ImageManifest> found_;
  std::vector<Descriptor> configs_;  // of what was found
};

// [{"Config", "RepoTags", "Layers"}]; the configuration's name or place says its digest.
Result<std::vector<ImageManifest>> ReadDocker(const ImageFiles& files, ByteView text) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(text), kFormat, kMaxImageText));
  std::vector<ImageManifest> out;
  std::vector<std::string> configs;
  ASSAY_TRY(doc.root().Each([&](const JsonValue& of) -> Result<> {
    if (out.size() >= kMaxImages) return Fail(of.Bad("too many images"));
    ImageManifest image;
    ASSAY_ASSIGN(std::string config, of.Str("Config"));
    ASSAY_ASSIGN(config, files.Resolve(config));
    configs.push_back(std::move(config));
    if (of.Has("RepoTags")) {
      // null where the image has no name
      if (const Result<std::vector<std::string>> tags = of.Strings("RepoTags"); tags && !tags->empty())
        image.reference = tags->front();
    }
    ASSAY_ASSIGN(const std::vector<std::string> layers, of.Strings("Layers"));
    if (layers.size() > kMaxLayers) return Fail(of.Bad("too many layers"));
    for (const std::string& layer : layers) {
      ASSAY_ASSIGN(const std::string file, files.Resolve(layer));
      image.layers.push_back({.file = file});
    }
    out.push_back(std::move(image));
    return {};
  }));
  if (out.empty()) return Fail(BadImage("there is no image in it"));
  ASSAY_ASSIGN(const auto texts, files.Small({configs.begin(), configs.end()}));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto found = texts.find(configs[i]);
    if (found == texts.end()) return Fail(BadImage(Printable(configs[i]) + " is missing"));
    out[i].digest = Hash(HashAlg::kSha256, found->second);
    std::string name = configs[i].substr(configs[i].rfind('/') + 1);
    name = name.substr(0, name.find('.'));
    if (name.size() == 64 && FromHex(name) && Lower(name) != out[i].digest.hex())
      return Fail(BadImage("the content of " + Printable(configs[i]) + " is not what its digest says"));
    ASSAY_ASSIGN(const Config config, ConfigOf(found->second));
    if (config.layers.size() != out[i].layers.size())
      return Fail(BadImage("a manifest and its configuration have other numbers of layers"));
    out[i].architecture = config.architecture;
    for (std::size_t l = 0; l < config.layers.size(); ++l) out[i].layers[l].unpacked = config.layers[l];
  }
  return out;
}

}  // namespace

Result<std::vector<ImageManifest>> FindImages(const ImageFiles& files, const std::string& architecture) {
  ASSAY_ASSIGN(const auto texts, files.Small({kIndex, kDockerManifest}));
  // An archive of a new docker has both; its index is the one with digests.
  if (const auto index = texts.find(kIndex); index != texts.end())
    return Oci(files, architecture).Read(index->second);
  if (const auto manifest = texts.find(kDockerManifest); manifest != texts.end())
    return ReadDocker(files, manifest->second);
  return Fail(BadImage("neither an index.json of OCI nor a manifest.json of docker is in it"));
}

}  // namespace assay::reference
