#include "reference/image.h"

#include <fmt/core.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "base/fd.h"
#include "base/folder.h"
#include "reference/reference_testing.h"

namespace assay::reference {
namespace {

constexpr const char* kLayerTar = "application/vnd.oci.image.layer.v1.tar";
constexpr const char* kLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr const char* kConfig = "application/vnd.oci.image.config.v1+json";

// Makes layers with tar itself, and layouts and archives of them.
class Images : public ReferenceFixture {
 protected:
  void Run(const std::vector<std::string>& argv) {
    const auto o = RunProgram(argv, dir_);
    EXPECT_TRUE(o && o->exit_code == 0) << argv[0] << ": " << (o ? o->err : o.error().Message());
  }
  // The folder `name` as a tar archive; its bytes.
  Bytes Tar(const std::string& name, const std::vector<std::string>& options = {}) {
    std::vector<std::string> argv{"tar", "-C", dir_ + "/" + name, "-cf", dir_ + "/layer.tar"};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.push_back(".");
    Run(argv);
    return *ReadFile(dir_ + "/layer.tar", 64 << 20);
  }
  std::string Blob(ByteView content, const std::string& media, const std::string& more = "") {
    const std::string hex = Hash(HashAlg::kSha256, content).hex();
    std::filesystem::create_directories(dir_ + "/oci/blobs/sha256");
    EXPECT_THAT(WriteFileAtomic(dir_ + "/oci/blobs/sha256/" + hex, content, 0644), IsOk());
    return fmt::format(R"({{"mediaType":"{}","digest":"sha256:{}","size":{}{}}})", media, hex, content.size(),
                       more);
  }
  static std::string ConfigText(const std::vector<Bytes>& layers, const std::string& architecture = "amd64") {
    std::vector<std::string> ids;
    ids.reserve(layers.size());
    for (const Bytes& tar : layers) ids.push_back("\"" + Hash(HashAlg::kSha256, tar).ToString() + "\"");
    return fmt::format(R"({{"architecture":"{}","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}})",
                       architecture, fmt::join(ids, ","));
  }
  // The descriptor of the manifest of an image of these layers.
  std::string Manifest(const std::vector<Bytes>& layers, const std::string& more = "",
                       const std::string& architecture = "amd64") {
    std::vector<std::string> descriptors;
    for (const Bytes& tar : layers) descriptors.push_back(Blob(tar, kLayerTar));
    const std::string config = Blob(AsBytes(ConfigText(layers, architecture)), kConfig);
    const std::string text = fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]}})", config,
                                         fmt::join(descriptors, ","));
    return Blob(AsBytes(text), "application/vnd.oci.image.manifest.v1+json", more);
  }
  void PutIndex(const std::vector<std::string>& manifests) {
    Put("/oci/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    Put("/oci/index.json",
        fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", fmt::join(manifests, ",")));
  }
  // The layout as one archive.
  std::string Archive(const std::string& compression = "--no-auto-compress") {
    Run({"tar", "-C", dir_ + "/oci", compression, "-cf", dir_ + "/image.tar", "."});
    return dir_ + "/image.tar";
  }
  static Result<std::vector<SourceContent>> Read(const std::string& path, ImageOptions options = {}) {
    ASSAY_ASSIGN(const std::unique_ptr<ImageFiles> files, OpenImageFiles(path));
    if (options.architecture.empty()) options.architecture = "amd64";
    return ReadImages(*files, options, nullptr);
  }
  Result<std::vector<SourceContent>> ReadLayout() { return Read(dir_ + "/oci"); }
  static std::string DigestIn(const std::string& descriptor) {
    const std::size_t at = descriptor.find("sha256:");
    return descriptor.substr(at, 71);
  }
  // path -> content of the files that are known
  static std::map<std::string, Digest> FilesOf(const SourceContent& image) {
    std::map<std::string, Digest> out;
    for (const PackagedFile& f : image.content.files) out.emplace(f.path, f.digest);
    return out;
  }
  static std::map<std::string, Digest> Expected(const std::map<std::string, std::string>& files) {
    std::map<std::string, Digest> out;
    for (const auto& [path, content] : files) out.emplace(path, DigestOf(content));
    return out;
  }
};

TEST_F(Images, LayersLieUponEachOther) {
  Put("/base/usr/bin/tool", "tool 1");
  Put("/base/usr/bin/gone", "gone");
  Put("/base/etc/app/a", "a");
  Put("/base/etc/app/b", "b");
  Put("/base/var/file", "a file that becomes a folder");
  Put("/base/opt/folder/x", "in a folder that becomes a file");
  Put("/base/deleted/folder/x", "x");
  Put("/upper/usr/bin/tool", "tool 2");
  Put("/upper/usr/bin/.wh.gone", "");
  Put("/upper/etc/app/.wh..wh..opq", "");
  Put("/upper/etc/app/c", "c");
  Put("/upper/var/file/inner", "inner");
  Put("/upper/opt/folder", "a file now");
  Put("/upper/.wh.deleted", "");
  std::filesystem::create_hard_link(dir_ + "/upper/usr/bin/tool", dir_ + "/upper/usr/bin/tool2");
  std::filesystem::create_symlink("tool", dir_ + "/upper/usr/bin/link");
  const Bytes base = Tar("base"), upper = Tar("upper");
  const std::string manifest =
      Manifest({base, upper}, R"(,"annotations":{"org.opencontainers.image.ref.name":"localhost/web:1.4"})");
  PutIndex({manifest});
  const auto expected = Expected({{"/usr/bin/tool", "tool 2"},
                                  {"/usr/bin/tool2", "tool 2"},
                                  {"/etc/app/c", "c"},
                                  {"/var/file/inner", "inner"},
                                  {"/opt/folder", "a file now"}});
  for (const std::string& path : {dir_ + "/oci", Archive(), Archive("--gzip")}) {
    const auto images = Read(path);
    ASSERT_THAT(images, IsOk()) << path;
    ASSERT_EQ(images->size(), 1U);
    const PackageContent& image = images->front().content;
    EXPECT_EQ(FilesOf(images->front()), expected) << path;
    EXPECT_EQ(image.package, "localhost/web");
    EXPECT_EQ(image.version, "1.4");
    EXPECT_EQ(image.architecture, "amd64");
    EXPECT_EQ(image.note, "image " + DigestIn(manifest));
  }
}

// The archive of `docker save`: a layer may be a link to another image's, and a digest is the
// configuration's.
TEST_F(Images, DockersArchive) {
  Put("/base/bin/tool", "tool");
  Put("/upper/bin/other", "other");
  const Bytes base = Tar("base"), upper = Tar("upper");
  const std::string config = ConfigText({base, upper, base});
  const std::string id = DigestOf(config).hex();
  Put("/docker/" + id + ".json", config);
  Put("/docker/manifest.json",
      fmt::format(R"([{{"Config":"{}.json","RepoTags":["reg:5000/web:2","web:latest"],)"
                  R"("Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]}}])",
                  id));
  std::filesystem::create_directories(dir_ + "/docker/3");
  Put("/docker/1/layer.tar", std::string(AsText(base)));
  Put("/docker/2/layer.tar", std::string(AsText(upper)));
  std::filesystem::create_symlink("../1/layer.tar", dir_ + "/docker/3/layer.tar");
  Run({"tar", "-C", dir_ + "/docker", "-cf", dir_ + "/docker.tar", id + ".json", "1", "2", "3",
       "manifest.json"});
  for (const std::string& path : {dir_ + "/docker", dir_ + "/docker.tar"}) {
    const auto images = Read(path);
    ASSERT_THAT(images, IsOk()) << path;
    ASSERT_EQ(images->size(), 1U);
    EXPECT_EQ(FilesOf(images->front()), Expected({{"/bin/tool", "tool"}, {"/bin/other", "other"}}));
    EXPECT_EQ(images->front().content.package, "reg:5000/web");
    EXPECT_EQ(images->front().content.version, "2");
    EXPECT_EQ(images->front().content.note, "image sha256:" + id);
  }
  Put("/docker/2/layer.tar", std::string(AsText(base)));
  EXPECT_THAT(Read(dir_ + "/docker"), FailsWith("parse.image"));
  Put("/docker/2/layer.tar", std::string(AsText(upper)));
  Put("/docker/" + id + ".json", config + " ");
  EXPECT_THAT(Read(dir_ + "/docker"), FailsWith("parse.image"));
  Put("/docker/" + id + ".json", config);
  ASSERT_THAT(Read(dir_ + "/docker"), IsOk());
}

TEST_F(Images, FurtherDigests) {
  Put("/base/bin/tool", "tool");
  Put("/upper/bin/other", "other");
  std::filesystem::create_hard_link(dir_ + "/upper/bin/other", dir_ + "/upper/bin/same");
  PutIndex({Manifest({Tar("base"), Tar("upper")})});
  const auto images =
      Read(dir_ + "/oci", {.architecture = "amd64", .kinds = *ParseFurtherKinds("verity,sha512")});
  ASSERT_THAT(images, IsOk());
  std::map<std::string, std::vector<Digest>> found;
  for (const PackagedFile& f : images->front().content.files) found[f.path] = f.further;
  FurtherHasher hasher(*ParseFurtherKinds("verity,sha512"));
  hasher.Update(AsBytes("tool"));
  EXPECT_EQ(found["/bin/tool"], hasher.Finish());
  hasher.Update(AsBytes("other"));
  const std::vector<Digest> other = hasher.Finish();
  EXPECT_EQ(found["/bin/other"], other);
  EXPECT_EQ(found["/bin/same"], other);
}

// A container of the image is judged by it.
TEST_F(Images, IntoAnIndex) {
  Put("/base/bin/tool", "tool");
  PutIndex({Manifest({Tar("base")})});
  Builder b;
  ASSERT_THAT(b.Add(*ImageSource(dir_ + "/oci", {.package = "web", .version = "7"}, "amd64")), IsOk());
  const auto index = Written(b);
  EXPECT_EQ(index->FindPath("/usr/bin/tool")->package, "web");
  EXPECT_EQ(index->FindPath("/usr/bin/tool")->version, "7");
  EXPECT_TRUE(index->Contains(DigestOf("tool")));
}

TEST_F(Images, PackedLayersAndOddNames) {
  Put("/base/bin/t\xc3\xbc", "umlaut");
  Put("/base/lib/modules/m.ko", "a module");
  Put("/base/" + std::string(200, 'd') + "/" + std::string(200, 'f'), "long");
  Run({"xz", dir_ + "/base/lib/modules/m.ko"});
  for (const char* format : {"--format=pax", "--format=gnu"}) {
    const Bytes tar = Tar("base", {format});
    for (const char* pack : {"gzip", "zstd"}) {
      Run({pack, "-q", "-f", "-k", dir_ + "/layer.tar"});
      const Bytes packed =
          *ReadFile(dir_ + "/layer.tar" + (std::string(pack) == "gzip" ? ".gz" : ".zst"), 1 << 20);
      const std::string config = Blob(AsBytes(ConfigText({tar})), kConfig);
      const std::string layer = Blob(packed, kLayerGzip);
      PutIndex({Blob(AsBytes(fmt::format(R"({{"config":{},"layers":[{}]}})", config, layer)), "x")});
      const auto images = ReadLayout();
      ASSERT_THAT(images, IsOk()) << format << pack;
      auto files = FilesOf(images->front());
      EXPECT_EQ(files.erase("/lib/modules/m.ko.xz"), 1U);
      EXPECT_EQ(files, Expected({{"/bin/t\xc3\xbc", "umlaut"},
                                 {"/lib/modules/m.ko", "a module"},
                                 {"/" + std::string(200, 'd') + "/" + std::string(200, 'f'), "long"}}))
          << format << pack;
    }
  }
}

// An index of indexes; the images for other machines and the attestations are left out.
TEST_F(Images, OfOneMachine) {
  Put("/base/bin/tool", "tool");
  Put("/arm/bin/tool", "tool of arm64");
  const auto platform = [](const std::string& os, const std::string& architecture) {
    return fmt::format(R"(,"platform":{{"os":"{}","architecture":"{}"}})", os, architecture);
  };
  const std::string amd = Manifest({Tar("base")}, platform("linux", "amd64"));
  const std::string arm = Manifest({Tar("arm")}, platform("linux", "arm64"), "arm64");
  const std::string said = Blob(AsBytes(R"({"layers":[]})"), "x", platform("unknown", "unknown"));
  const std::string chart =
      Blob(AsBytes(fmt::format(R"({{"config":{},"layers":[]}})",
                               Blob(AsBytes("{}"), "application/vnd.cncf.helm.config.v1+json"))),
           "x");
  const std::string inner =
      fmt::format(R"({{"manifests":[{}]}})", fmt::join(std::vector{amd, arm, said, chart}, ","));
  PutIndex({Blob(AsBytes(inner), "application/vnd.oci.image.index.v1+json",
                 R"(,"annotations":{"io.containerd.image.name":"reg/app:3"})")});
  for (const auto& [architecture, content] :
       {std::pair<std::string, std::string>("amd64", "tool"), {"arm64", "tool of arm64"}}) {
    const auto images = Read(dir_ + "/oci", {.architecture = architecture});
    ASSERT_THAT(images, IsOk());
    ASSERT_EQ(images->size(), 1U);
    EXPECT_EQ(FilesOf(images->front()), Expected({{"/bin/tool", content}}));
    EXPECT_EQ(images->front().content.package, "reg/app");
  }
  const auto none = Read(dir_ + "/oci", {.architecture = "riscv64"});
  ASSERT_THAT(none, FailsWith("parse.image"));
  EXPECT_NE(none.error().Message().find("no image in it is for riscv64"), std::string::npos);
}

TEST_F(Images, WhatIsAlteredIsRefused) {
  Put("/base/bin/tool", "tool");
  const Bytes base = Tar("base");
  PutIndex({Manifest({base})});
  ASSERT_THAT(ReadLayout(), IsOk());
  const auto names = NamesIn(dir_ + "/oci/blobs/sha256");
  ASSERT_THAT(names, IsOk());
  EXPECT_EQ(names->size(), 3U);
  for (const std::string& name : *names) {
    const std::string file = dir_ + "/oci/blobs/sha256/" + name;
    const Bytes good = *ReadFile(file, 1 << 20);
    Bytes bad = good;
    bad[bad.size() / 2] ^= 1;
    ASSERT_THAT(WriteFileAtomic(file, bad, 0644), IsOk());
    EXPECT_THAT(ReadLayout(), ::testing::Not(IsOk())) << file;
    bad = good;
    bad.push_back(0);  // what no reader of the archive asks for
    ASSERT_THAT(WriteFileAtomic(file, bad, 0644), IsOk());
    EXPECT_THAT(ReadLayout(), FailsWith("parse.image")) << file;
    std::filesystem::remove(file);
    EXPECT_THAT(ReadLayout(), FailsWith("parse.image")) << file;
    ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
    EXPECT_THAT(ReadLayout(), FailsWith("parse.image")) << file;
    std::filesystem::remove(file);
    std::filesystem::create_symlink("/dev/zero", file);
    EXPECT_THAT(ReadLayout(), FailsWith("parse.image")) << file;
    std::filesystem::remove(file);
    ASSERT_THAT(WriteFileAtomic(file, good, 0644), IsOk());
  }
  ASSERT_THAT(ReadLayout(), IsOk());
}

TEST_F(Images, AnIndexThatNamesItself) {
  // No text can have its own digest, so one of them lies; or each names one more.
  const std::string self =
      R"({"mediaType":"x","digest":"sha256:)" + std::string(64, 'a') + R"(","size":100})";
  PutIndex({self});
  Put("/oci/blobs/sha256/" + std::string(64, 'a'), R"({"manifests":[)" + self + "]}");
  EXPECT_THAT(ReadLayout(), FailsWith("parse.image"));
  Put("/base/bin/tool", "tool");
  std::string deep = Manifest({Tar("base")});
  for (int i = 0; i < 9; ++i) deep = Blob(AsBytes(R"({"manifests":[)" + deep + "]}"), "x");
  PutIndex({deep});
  EXPECT_THAT(ReadLayout(), FailsWith("parse.image"));
}

TEST_F(Images, LinksOfAnArchiveInACircle) {
  Put("/docker/manifest.json", R"([{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar"]}])");
  Put("/docker/c.json", ConfigText({Bytes()}));
  std::filesystem::create_directories(dir_ + "/docker/a");
  std::filesystem::create_directories(dir_ + "/docker/b");
  std::filesystem::create_symlink("../b/layer.tar", dir_ + "/docker/a/layer.tar");
  std::filesystem::create_symlink("../a/layer.tar", dir_ + "/docker/b/layer.tar");
  Run({"tar", "-C", dir_ + "/docker", "-cf", dir_ + "/docker.tar", "."});
  EXPECT_THAT(Read(dir_ + "/docker.tar"), FailsWith("parse.image"));
  for (const char* name : {"../c.json", "/etc/passwd", "a/../../c.json"}) {
    Put("/docker/manifest.json", fmt::format(R"([{{"Config":"c.json","Layers":["{}"]}}])", name));
    EXPECT_THAT(Read(dir_ + "/docker"), FailsWith("parse.image")) << name;
    Run({"tar", "-C", dir_ + "/docker", "-cf", dir_ + "/docker.tar", "."});
    EXPECT_THAT(Read(dir_ + "/docker.tar"), FailsWith("parse.image")) << name;
  }
}

TEST_F(Images, AMemberThatIsThereTwice) {
  Put("/base/bin/tool", "tool");
  PutIndex({Manifest({Tar("base")})});
  const std::string archive = Archive();
  ASSERT_THAT(Read(archive), IsOk());
  Run({"tar", "-C", dir_ + "/oci", "-rf", archive, "./index.json"});
  EXPECT_THAT(Read(archive), FailsWith("parse.image"));
}

class Layers : public Images {
 protected:
  static Result<Layer> Of(const Bytes& tar, LayerLimits limits = {}) {
    class Whole : public Pipe {
     public:
      explicit Whole(ByteView b) : left_(b) {}
      Result<ByteView> Next() override { return std::exchange(left_, ByteView()); }

     private:
      ByteView left_;
    } pipe(tar);
    return ReadLayer(pipe, {.name = "layer"}, limits, nullptr);
  }
  // A tar archive with one entry of this name, and maybe a second one.
  Bytes Named(const std::string& transform, const std::vector<std::string>& options = {}) {
    Put("/one/file", "content");
    std::vector<std::string> all{"-P", "--transform", transform};
    all.insert(all.end(), options.begin(), options.end());
    return Tar("one", all);
  }
};

TEST_F(Layers, PathsThatLeadOutAreRefused) {
  EXPECT_THAT(Of(Named("s,^./file,../../etc/passwd,")), FailsWith("parse.image"));
  EXPECT_THAT(Of(Named("s,^./file,usr/../../x,")), FailsWith("parse.image"));
  const auto absolute = Of(Named("s,^./file,/etc//./passwd,"));
  ASSERT_THAT(absolute, IsOk());
  EXPECT_TRUE(absolute->entries.contains("/etc/passwd"));
  EXPECT_THAT(Of(Named("s,^./file,usr/.wh.,")), FailsWith("parse.image"));
  EXPECT_THAT(Of(Named("s,^./file,usr/.wh...,")), FailsWith("parse.image"));
}

TEST_F(Layers, ALinkToNothingAndAFileBelowALink) {
  Put("/one/a", "content");
  std::filesystem::create_hard_link(dir_ + "/one/a", dir_ + "/one/b");
  const auto layer = Of(Tar("one", {"--sort=name", "--exclude=./a"}));
  ASSERT_THAT(layer, IsOk());
  Run({"tar", "-C", dir_ + "/one", "--sort=name", "-cf", dir_ + "/links.tar", "a", "b"});
  Run({"tar", "--delete", "-f", dir_ + "/links.tar", "a"});
  const auto link = Of(*ReadFile(dir_ + "/links.tar", 1 << 20));
  ASSERT_THAT(link, IsOk());
  ImageTree tree;
  EXPECT_THAT(ApplyLayer(*link, tree), FailsWith("parse.image"));
  tree["/a"] = {.digest = DigestOf("lower")};  // of a lower layer
  ASSERT_THAT(ApplyLayer(*link, tree), IsOk());
  EXPECT_EQ(tree["/b"].digest, DigestOf("lower"));
  std::filesystem::create_symlink("/usr/bin", dir_ + "/one/c");
  Run({"tar", "-C", dir_ + "/one", "-P", "--transform", "s,^a$,c/ls,", "-cf", dir_ + "/below.tar", "c", "a"});
  EXPECT_THAT(Of(*ReadFile(dir_ + "/below.tar", 1 << 20)), FailsWith("parse.image"));
}

// Devices, pipes and links have no content, and are in place of what was there.
TEST_F(Layers, WhatIsNoFileHidesOne) {
  ASSERT_EQ(mkdir((dir_ + "/one").c_str(), 0755), 0);
  ASSERT_EQ(mkfifo((dir_ + "/one/pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("loop", dir_ + "/one/loop");
  if (geteuid() == 0) {
    ASSERT_EQ(mknod((dir_ + "/one/device").c_str(), S_IFCHR | 0600, 0), 0);
  }
  const auto layer = Of(Tar("one"));
  ASSERT_THAT(layer, IsOk());
  ImageTree tree;
  for (const char* path : {"/pipe", "/loop", "/device", "/device/x", "/other"}) tree[path] = {};
  ASSERT_THAT(ApplyLayer(*layer, tree), IsOk());
  EXPECT_EQ(tree.size(), geteuid() == 0 ? 1U : 3U);
  EXPECT_TRUE(tree.contains("/other"));
}

TEST_F(Layers, Bombs) {
  Put("/one/zeros", std::string(1 << 20, '\0'));
  const Bytes tar = Tar("one");
  EXPECT_THAT(Of(tar, {.unpacked = 1 << 19}), FailsWith("lib.libarchive"));
  EXPECT_THAT(Of(tar, {.content = 1 << 19}), FailsWith("parse.image"));
  EXPECT_THAT(Of(tar, {.entries = 1}), FailsWith("parse.image"));
  EXPECT_THAT(Of(tar, {.names = 3}), FailsWith("parse.image"));
  // A file of 1 TiB that is all hole.
  std::filesystem::resize_file(dir_ + "/one/zeros", std::uintmax_t{1} << 40);
  const Bytes sparse = Tar("one", {"--sparse"});
  EXPECT_LT(sparse.size(), std::size_t{2} << 20);
  EXPECT_THAT(Of(sparse, {.content = 3 << 20}), FailsWith("parse.image"));
  // One that is not too large has the zeros of its last hole.
  std::filesystem::resize_file(dir_ + "/one/zeros", 0);
  std::filesystem::resize_file(dir_ + "/one/zeros", (2 << 20) + 1);
  const auto holes = Of(Tar("one", {"--sparse"}));
  ASSERT_THAT(holes, IsOk());
  EXPECT_EQ(holes->entries.at("/zeros").file.digest, DigestOf(std::string((2 << 20) + 1, '\0')));
  // Packed twice: no other program would unpack it.
  Run({"gzip", "-kf", dir_ + "/layer.tar"});
  Run({"gzip", "-kf", dir_ + "/layer.tar.gz"});
  EXPECT_THAT(Of(*ReadFile(dir_ + "/layer.tar.gz.gz", 1 << 20)), FailsWith("parse.image"));
  EXPECT_THAT(Of({}), FailsWith("parse.image"));
}

// umoci, another implementation, writes layers with whiteouts of its own.
TEST_F(Images, OfUmoci) {
  if (access("/usr/bin/umoci", X_OK) != 0) GTEST_SKIP() << "umoci is not installed";
  const std::string oci = dir_ + "/made", image = oci + ":1";
  Run({"umoci", "init", "--layout", oci});
  Run({"umoci", "new", "--image", image});
  Run({"umoci", "unpack", "--rootless", "--image", image, dir_ + "/bundle"});
  Put("/bundle/rootfs/usr/bin/tool", "tool 1");
  Put("/bundle/rootfs/usr/bin/gone", "gone");
  Run({"umoci", "repack", "--image", image, dir_ + "/bundle"});
  std::filesystem::remove(dir_ + "/bundle/rootfs/usr/bin/gone");
  Put("/bundle/rootfs/usr/bin/tool", "tool 2, which has another size");
  Put("/bundle/rootfs/usr/lib/new", "new");
  std::filesystem::remove_all(dir_ + "/bundle2");
  Run({"umoci", "unpack", "--rootless", "--image", image, dir_ + "/bundle2"});
  std::filesystem::remove(dir_ + "/bundle2/rootfs/usr/bin/gone");
  Put("/bundle2/rootfs/usr/bin/tool", "tool 2, which has another size");
  Put("/bundle2/rootfs/usr/lib/new", "new");
  Run({"umoci", "repack", "--image", image, dir_ + "/bundle2"});
  const auto images = Read(oci);
  ASSERT_THAT(images, IsOk());
  ASSERT_EQ(images->size(), 1U);
  EXPECT_EQ(FilesOf(images->front()),
            Expected({{"/usr/bin/tool", "tool 2, which has another size"}, {"/usr/lib/new", "new"}}));
  EXPECT_EQ(images->front().content.version, "1");
}

}  // namespace
}  // namespace assay::reference
