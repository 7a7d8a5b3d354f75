#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/fd.h"
#include "reference/index.h"
#include "reference/package_file.h"
#include "reference/process.h"

namespace assay::reference {
namespace {

class ReferenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-ref.XXXXXX";
    dir_ = mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void Put(const std::string& path, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(dir_ + path).parent_path());
    std::ofstream(dir_ + path) << content;
  }
  // A package made by dpkg-deb itself.
  std::string MakeDeb(const std::string& name, const std::string& version, const std::string& content) {
    Put("/" + name + "/DEBIAN/control",
        "Package: " + name + "\nVersion: " + version +
            "\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: x\n");
    Put("/" + name + "/bin/tool", content);
    std::filesystem::create_hard_link(dir_ + "/" + name + "/bin/tool", dir_ + "/" + name + "/bin/tool2");
    std::filesystem::create_symlink("tool", dir_ + "/" + name + "/bin/link");
    const std::string deb = dir_ + "/" + name + ".deb";
    const auto o = RunProgram({"dpkg-deb", "--root-owner-group", "-b", dir_ + "/" + name, deb}, "/");
    EXPECT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
    return deb;
  }
  std::unique_ptr<Index> Written(const Builder& b) {
    EXPECT_TRUE(b.Write(dir_ + "/x.idx"));
    auto index = Index::Open(dir_ + "/x.idx");
    EXPECT_TRUE(index) << index.error().Message();
    return index ? std::move(*index) : nullptr;
  }
  std::string dir_;
};

Digest DigestOf(std::string_view s) { return Hash(HashAlg::kSha256, AsBytes(s)); }

TEST_F(ReferenceTest, PackagesAreFoundByContentAndPath) {
  Builder b;
  ASSERT_TRUE(b.AddDeb(MakeDeb("one", "1:2.0-1", "tool content")));
  Put("/app/run me", "local");
  ASSERT_TRUE(b.AddFolder(dir_ + "/app", "app", "7"));
  EXPECT_EQ(b.files(), 3U);
  const auto index = Written(b);
  const auto origins = index->Find(DigestOf("tool content"));
  ASSERT_EQ(origins.size(), 2U);  // the hard link too
  EXPECT_EQ(origins[0].package, "one");
  EXPECT_EQ(origins[0].version, "1:2.0-1");
  EXPECT_EQ(origins[0].architecture, "amd64");
  EXPECT_EQ(origins[0].path, "/bin/tool");
  EXPECT_EQ(index->FindPath("/usr/bin/tool")->package, "one");
  EXPECT_EQ(index->FindPath("/bin/tool2")->package, "one");
  EXPECT_FALSE(index->FindPath("/usr/bin/link"));
  EXPECT_FALSE(index->FindPath("/usr/bin/other"));
  EXPECT_EQ(index->FindPath(dir_ + "/app/run_me")->package, "app");  // as the list writes it
  EXPECT_TRUE(index->Contains(DigestOf("local")));
  EXPECT_FALSE(index->Contains(DigestOf("nothing")));
  EXPECT_EQ(index->size(), 2U);
}

TEST_F(ReferenceTest, PackedModulesAreKnownUnpackedToo) {
  Builder b;
  Put("/modules/m.ko", "a module");
  Put("/modules/broken.ko.xz", "not packed");
  for (const char* pack : {"xz", "gzip"})
    ASSERT_TRUE(RunProgram({pack, "-q", "-k", dir_ + "/modules/m.ko"}, "/")) << pack;
  std::filesystem::remove(dir_ + "/modules/m.ko");
  ASSERT_TRUE(b.AddFolder(dir_ + "/modules", "linux", "6"));
  const auto index = Written(b);
  EXPECT_EQ(index->Find(DigestOf("a module")).at(0).path, dir_ + "/modules/m.ko");
  EXPECT_TRUE(index->FindPath(dir_ + "/modules/m.ko.xz"));
  EXPECT_FALSE(index->FindPath(dir_ + "/modules/broken.ko"));
}

TEST_F(ReferenceTest, MarksAreStandings) {
  Builder b;
  ASSERT_TRUE(b.AddDeb(MakeDeb("ssl", "3.0.1", "old")));
  b.Mark("ssl", "3.0.1", appraise::Standing::kVulnerable, "advisory 1");
  const auto index = Written(b);
  EXPECT_EQ(index->Find(DigestOf("old"))[0].standing, appraise::Standing::kVulnerable);
  EXPECT_EQ(index->Find(DigestOf("old"))[0].note, "advisory 1");
}

TEST_F(ReferenceTest, SameContentSameFile) {
  Builder a;
  Builder b;
  const std::string one = MakeDeb("one", "1", "1");
  const std::string two = MakeDeb("two", "1", "2");
  ASSERT_TRUE(a.AddDeb(one) && a.AddDeb(two));
  ASSERT_TRUE(b.AddDeb(two) && b.AddDeb(one));
  const Digest first = Written(a)->ContentDigest();
  EXPECT_EQ(first, Written(b)->ContentDigest());
}

TEST_F(ReferenceTest, EmptyIndex) {
  const auto index = Written(Builder());
  EXPECT_FALSE(index->Contains(DigestOf("")));
  EXPECT_FALSE(index->FindPath("/x"));
}

// Each byte wrong, each length: a named error or an answer, never a crash.
TEST_F(ReferenceTest, DamagedIndex) {
  Builder b;
  ASSERT_TRUE(b.AddDeb(MakeDeb("one", "1", "tool content")));
  const auto whole = Written(b);
  const Bytes good = *ReadFile(dir_ + "/x.idx", 1 << 20);
  auto probe = [&](const Bytes& bytes) {
    ASSERT_TRUE(WriteFileAtomic(dir_ + "/y.idx", bytes, 0600));
    auto index = Index::Open(dir_ + "/y.idx");
    if (!index) return;
    (*index)->Find(DigestOf("tool content"));
    (*index)->FindPath("/usr/bin/tool");
  };
  for (std::size_t i = 0; i < good.size(); i += i < 112 ? 1 : 7) {
    Bytes bad = good;
    bad[i] ^= 0xFF;
    probe(bad);
    bad = good;
    bad.resize(i);
    probe(bad);
  }
}

TEST_F(ReferenceTest, DamagedPackages) {
  const std::string deb = MakeDeb("one", "1", std::string(5000, 'x'));
  const Bytes good = *ReadFile(deb, 1 << 20);
  for (std::size_t i = 0; i < good.size(); i += 5) {
    ASSERT_TRUE(WriteFileAtomic(dir_ + "/bad.deb", ByteView(good).first(i), 0600));
    EXPECT_FALSE(ReadDeb(dir_ + "/bad.deb")) << i;
  }
  EXPECT_FALSE(ReadDeb("/bin/sh"));
}

TEST_F(ReferenceTest, ManifestSignature) {
  Builder b;
  ASSERT_TRUE(b.AddDeb(MakeDeb("one", "1", "x")));
  Written(b);
  const PrivateKey key = *PrivateKey::GenerateP256();
  ASSERT_TRUE(SignManifest(dir_ + "/x.idx", key));
  EXPECT_TRUE(VerifyManifest(dir_ + "/x.idx", key.Public()));
  EXPECT_FALSE(VerifyManifest(dir_ + "/x.idx", PrivateKey::GenerateP256()->Public()));
  Builder other;
  Written(other);
  EXPECT_FALSE(VerifyManifest(dir_ + "/x.idx", key.Public()));
}

std::vector<std::string> Names(const std::vector<Installed>& packages) {
  std::vector<std::string> names;
  for (const Installed& p : packages) names.push_back(p.package);
  return names;
}

TEST(OwnersTest, OfRealFiles) {
  const auto owners = OwnersOf({"/usr/bin/ls", "/usr/bin/[", "/usr/lib/x86_64-linux-gnu/libc.so.6",
                                "/no/such", "/usr/local/bin/own-build", "boot_aggregate"});
  ASSERT_TRUE(owners) << owners.error().Message();
  EXPECT_EQ(Names(owners->packages), (std::vector<std::string>{"coreutils", "libc6"}));
  EXPECT_EQ(owners->unowned,
            (std::vector<std::string>{"boot_aggregate", "/no/such", "/usr/local/bin/own-build"}));
}

// /bin/sh is a link of dash's own, which diverts the file that another package may have there.
TEST(OwnersTest, LinksAndDiversions) {
  for (const char* path : {"/usr/bin/sh", "/bin/sh", "/usr/bin/sh.distrib", "/bin/dash", "/usr/bin/dash"}) {
    const auto owners = OwnersOf({path});
    ASSERT_TRUE(owners) << owners.error().Message();
    EXPECT_EQ(Names(owners->packages), std::vector<std::string>{"dash"}) << path;
    EXPECT_TRUE(owners->unowned.empty()) << path;
  }
  // A link of update-alternatives leads to a package.
  const auto owners = OwnersOf({"/usr/bin/awk"});
  ASSERT_TRUE(owners) << owners.error().Message();
  EXPECT_EQ(owners->packages.size(), 1U);
}

TEST_F(ReferenceTest, SeveralIndexesAnswerAsOne) {
  Builder a, b;
  ASSERT_TRUE(a.AddDeb(MakeDeb("one", "1", "1")));
  Put("/app/run", "local");
  ASSERT_TRUE(b.AddFolder(dir_ + "/app", "app", "7"));
  Indexes both;
  both.Add(Written(a));
  both.Add(Written(b));
  EXPECT_EQ(both.Find(DigestOf("1")).size(), 2U);
  EXPECT_EQ(both.Find(DigestOf("local")).size(), 1U);
  EXPECT_TRUE(both.Find(DigestOf("other")).empty());
  EXPECT_EQ(both.FindPath("/usr/bin/tool")->package, "one");
  EXPECT_EQ(both.FindPath(dir_ + "/app/run")->package, "app");
  EXPECT_FALSE(both.FindPath("/usr/bin/other"));
}

TEST_F(ReferenceTest, PackagesAreListed) {
  Builder b;
  ASSERT_TRUE(b.AddDeb(MakeDeb("one", "1", "1")));
  b.Mark("one", "", appraise::Standing::kRevoked, "stolen key");
  const auto index = Written(b);
  const auto packages = index->Packages();
  ASSERT_EQ(packages.size(), 1U);
  EXPECT_EQ(packages[0].package, "one");
  EXPECT_EQ(packages[0].note, "stolen key");
  EXPECT_EQ(packages[0].standing, appraise::Standing::kRevoked);
  EXPECT_EQ(index->files(), 2U);
}

// dpkg reads the first data member: a second one must not add reference values.
TEST_F(ReferenceTest, PackageWithTwoDataMembers) {
  const std::string deb = MakeDeb("one", "1", "content");
  ASSERT_TRUE(ReadDeb(deb));
  const auto o = RunProgram({"sh", "-c",
                             "ar x one.deb && ar p one.deb $(ar t one.deb | tail -1) > data.tar && ar q "
                             "one.deb data.tar"},
                            dir_);
  ASSERT_TRUE(o && o->exit_code == 0) << o->err;
  const auto read = ReadDeb(deb);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), "parse.deb");
}

}  // namespace
}  // namespace assay::reference
