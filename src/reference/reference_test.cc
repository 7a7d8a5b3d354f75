#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/fd.h"
#include "base/process.h"
#include "base/result_testing.h"
#include "reference/apt_hook.h"
#include "reference/byte_code.h"
#include "reference/file_parts.h"
#include "reference/index.h"
#include "reference/package_file.h"
#include "reference/reference_testing.h"
#include "reference/self.h"

namespace assay::reference {
namespace {

class ReferenceTest : public ReferenceFixture {
 protected:
  // With a tool that has two more names.
  std::string MakeToolDeb(const std::string& name, const std::string& version, const std::string& content) {
    Put("/" + name + "/bin/tool", content);
    std::filesystem::create_hard_link(dir_ + "/" + name + "/bin/tool", dir_ + "/" + name + "/bin/tool2");
    std::filesystem::create_symlink("tool", dir_ + "/" + name + "/bin/link");
    return MakeDeb(name, version);
  }
};

TEST_F(ReferenceTest, PackagesAreFoundByContentAndPath) {
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeToolDeb("one", "1:2.0-1", "tool content")), IsOk());
  Put("/app/run me", "local");
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "7"), IsOk());
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

// The scripts of control.tar, by dpkg's names for them.
TEST_F(ReferenceTest, MaintainerScripts) {
  const std::vector<std::string> scripts{"preinst", "postinst", "prerm", "postrm", "config"};
  for (const char* name : {"one", "several"}) {
    for (const std::string& script : scripts) {
      const std::string path = std::string("/") + name + "/DEBIAN/" + script;
      Put(path, std::string("#!/bin/sh\n# ") + name + " " + script + "\n");
      std::filesystem::permissions(dir_ + path, std::filesystem::perms(0755));
    }
  }
  Put("/several/DEBIAN/triggers", "interest-noawait /usr/share/x\n");
  const auto fields = [](const std::string& name, const std::string& more) {
    return "package:\t" + name + " \nVERSION: 1\nArchitecture: amd64\n" + more +
           "Maintainer: a <a@example.org>\nDescription: x\n";
  };
  Builder b;
  for (const auto& [name, more] : {std::pair("one", ""), std::pair("several", "multi-arch: same\n")}) {
    Put(std::string("/") + name + "/DEBIAN/control", fields(name, more));
    const std::string deb = dir_ + "/" + name + ".deb";
    const auto o = RunProgram({"dpkg-deb", "--root-owner-group", "-b", dir_ + "/" + name, deb}, "/");
    ASSERT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
    ASSERT_THAT(b.AddDeb(deb), IsOk());
  }
  EXPECT_EQ(b.files(), 10U);
  const auto index = Written(b);
  for (const std::string& script : scripts) {
    const auto one = index->Find(DigestOf("#!/bin/sh\n# one " + script + "\n"));
    ASSERT_EQ(one.size(), 1U) << script;
    EXPECT_EQ(one[0].package, "one");
    EXPECT_EQ(one[0].path, "/var/lib/dpkg/info/one." + script);
    const auto several = index->FindPath("/var/lib/dpkg/info/several:amd64." + script);
    ASSERT_TRUE(several) << script;
    EXPECT_EQ(several->package, "several");
  }
}

TEST_F(ReferenceTest, PackedModulesAreKnownUnpackedToo) {
  Builder b;
  Put("/modules/m.ko", "a module");
  Put("/modules/broken.ko.xz", "not packed");
  for (const char* pack : {"xz", "gzip"})
    ASSERT_THAT(RunProgram({pack, "-q", "-k", dir_ + "/modules/m.ko"}, "/"), IsOk()) << pack;
  std::filesystem::remove(dir_ + "/modules/m.ko");
  ASSERT_THAT(b.AddFolder(dir_ + "/modules", "linux", "6"), IsOk());
  const auto index = Written(b);
  EXPECT_EQ(index->Find(DigestOf("a module")).at(0).path, dir_ + "/modules/m.ko");
  EXPECT_TRUE(index->FindPath(dir_ + "/modules/m.ko.xz"));
  EXPECT_FALSE(index->FindPath(dir_ + "/modules/broken.ko"));
}

TEST_F(ReferenceTest, MarksAreStandings) {
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeToolDeb("ssl", "3.0.1", "old")), IsOk());
  b.Mark("ssl", "3.0.1", appraise::Standing::kVulnerable, "advisory 1");
  const auto index = Written(b);
  EXPECT_EQ(index->Find(DigestOf("old"))[0].standing, appraise::Standing::kVulnerable);
  EXPECT_EQ(index->Find(DigestOf("old"))[0].note, "advisory 1");
}

TEST_F(ReferenceTest, SameContentSameFile) {
  Builder a;
  Builder b;
  const std::string one = MakeToolDeb("one", "1", "1");
  const std::string two = MakeToolDeb("two", "1", "2");
  ASSERT_TRUE(a.AddDeb(one) && a.AddDeb(two));
  ASSERT_TRUE(b.AddDeb(two) && b.AddDeb(one));
  const Digest first = Written(a)->ContentDigest();
  EXPECT_EQ(first, Written(b)->ContentDigest());
}

constexpr std::uint64_t kDay = 86'400'000;

TEST_F(ReferenceTest, FormerVersionsStayKnown) {
  Builder old;
  ASSERT_THAT(old.AddDeb(MakeToolDeb("tool", "1", "tool of version 1")), IsOk());
  Put("/gone/file", "of a package that is gone");
  ASSERT_THAT(old.AddFolder(dir_ + "/gone", "gone", "7"), IsOk());
  const auto before = Written(old);
  std::filesystem::remove_all(dir_ + "/tool");
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeToolDeb("tool", "2", "tool of version 2")), IsOk());
  b.AddFormer(*before, Builder::Former::kSuperseded, 3 * kDay, 365);
  const auto index = Written(b);
  const appraise::Origin former = index->Find(DigestOf("tool of version 1")).at(0);
  EXPECT_EQ(former.standing, appraise::Standing::kSuperseded);
  EXPECT_EQ(former.version, "1");
  EXPECT_EQ(former.since_ms, 3 * kDay);
  EXPECT_EQ(index->FindPath("/bin/tool")->version, "2");
  EXPECT_EQ(index->Find(DigestOf("of a package that is gone")).at(0).standing,
            appraise::Standing::kSuperseded);
  EXPECT_FALSE(index->FindPath(dir_ + "/gone/file"));
  // A manifest holds what is present.
  EXPECT_FALSE(index->Contains(DigestOf("tool of version 1")));
  EXPECT_TRUE(index->Contains(DigestOf("tool of version 2")));
  EXPECT_NE(index->Fingerprint(), before->Fingerprint());
  // The day stays the first one, and what is superseded for too long goes.
  for (const auto& [keep, there] : std::vector<std::pair<std::uint64_t, bool>>{{10, true}, {3, false}}) {
    Builder again;
    ASSERT_THAT(again.AddDeb(dir_ + "/tool.deb"), IsOk());
    again.AddFormer(*index, Builder::Former::kSuperseded, 7 * kDay, keep);
    const auto found = Written(again)->Find(DigestOf("tool of version 1"));
    ASSERT_EQ(!found.empty(), there);
    for (const appraise::Origin& o : found) EXPECT_EQ(o.since_ms, 3 * kDay);
  }
}

// The same version again is other content of that version, not a former version.
TEST_F(ReferenceTest, TheSameVersionIsReplaced) {
  Put("/app/a", "first build");
  Builder old;
  ASSERT_THAT(old.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  const auto before = Written(old);
  Put("/app/a", "second build");
  Builder b;
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  b.AddFormer(*before, Builder::Former::kSuperseded, kDay, 365);
  EXPECT_TRUE(Written(b)->Find(DigestOf("first build")).empty());
}

TEST_F(ReferenceTest, WhatIsAddedSupersedesItsFormerVersionsOnly) {
  Builder old;
  ASSERT_THAT(old.AddDeb(MakeToolDeb("tool", "1", "tool of version 1")), IsOk());
  ASSERT_THAT(old.AddDeb(MakeToolDeb("other", "1", "other")), IsOk());
  old.Mark("tool", "1", appraise::Standing::kRevoked, "a reason");
  const auto before = Written(old);
  std::filesystem::remove_all(dir_ + "/tool");
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeToolDeb("tool", "2", "tool of version 2")), IsOk());
  b.AddFormer(*before, Builder::Former::kOfAdded, kDay, 365);
  const auto index = Written(b);
  EXPECT_EQ(index->Find(DigestOf("other")).at(0).standing, appraise::Standing::kGood);
  EXPECT_TRUE(index->Contains(DigestOf("other")));
  // A mark stays.
  EXPECT_EQ(index->Find(DigestOf("tool of version 1")).at(0).standing, appraise::Standing::kRevoked);
  EXPECT_EQ(index->Find(DigestOf("tool of version 1")).at(0).note, "a reason");
  EXPECT_EQ(index->FindPath("/bin/tool")->version, "2");
}

TEST_F(ReferenceTest, WhatAptTellsBeforeItUnpacks) {
  const std::string head = "VERSION 3\nAPT::Architecture=amd64\n\n";
  const auto files = ParseAptHook(head +
                                  "apt 2.6.1 amd64 none < 2.6.2 amd64 none /var/cache/apt/archives/apt.deb\n"
                                  "old 1 amd64 none > - - none **REMOVE**\n"
                                  "apt 2.6.1 amd64 none < 2.6.2 amd64 none **CONFIGURE**\n"
                                  "new - - none < 1.0 all foreign /tmp/a b.deb\n");
  ASSERT_THAT(files, IsOk());
  EXPECT_EQ(*files, (std::vector<std::string>{"/var/cache/apt/archives/apt.deb", "/tmp/a b.deb"}));
  EXPECT_TRUE(ParseAptHook(head)->empty());
  EXPECT_THAT(ParseAptHook("VERSION 2\n\n"), FailsWith("parse.apt-hook"));
  EXPECT_THAT(ParseAptHook("VERSION 3\nA=1\n"), FailsWith("parse.apt-hook"));
  EXPECT_THAT(ParseAptHook(head + "apt 2.6.1 /x.deb\n"), FailsWith("parse.apt-hook"));
}

TEST_F(ReferenceTest, AMarkThatFitsNothingIsAnError) {
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeToolDeb("tool", "2.0", "content")), IsOk());
  b.Mark("tool", "1.0", appraise::Standing::kVulnerable, "CVE-1");
  EXPECT_THAT(b.Write(dir_ + "/x.idx"), FailsWith("reference.mark"));
  EXPECT_NE(b.Encode().error().Message().find("tool 1.0 fits nothing: the index has version 2.0"),
            std::string::npos)
      << b.Encode().error().Message();
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/x.idx"));
  Builder other;
  other.Mark("tol", "", appraise::Standing::kRevoked, "");
  EXPECT_THAT(other.Encode(), FailsWith("reference.mark"));
}

TEST_F(ReferenceTest, AnOddFileOfAFolderLeavesTheOthers) {
  Put("/app/a", "hi");
  Put("/app/odd.ko.xz", "");
  std::filesystem::resize_file(dir_ + "/app/odd.ko.xz", kMaxModule + 1);
  Builder b;
  const auto failed = b.AddFolder(dir_ + "/app", "app", "1");
  ASSERT_THAT(failed, IsOk());
  ASSERT_EQ(failed->size(), 1U);
  EXPECT_EQ(failed->front().path, std::filesystem::canonical(dir_ + "/app/odd.ko.xz"));
  EXPECT_EQ(failed->front().error.code(), "io.too-large");
  EXPECT_TRUE(Written(b)->Contains(DigestOf("hi")));
}

TEST_F(ReferenceTest, OfTheProgramsBesideThisOne) {
  Builder b;
  ASSERT_THAT(AddSelf(b, "0.1.0", ""), IsOk());
  EXPECT_EQ(SelfIndex(), "");  // a build folder has no installed index
  const auto self = OpenSelf("0.1.0");
  ASSERT_THAT(self, IsOk());
  EXPECT_EQ((*self)->files(), b.files());
}

TEST_F(ReferenceTest, EmptyIndex) {
  const auto index = Written(Builder());
  EXPECT_FALSE(index->Contains(DigestOf("")));
  EXPECT_FALSE(index->FindPath("/x"));
}

// Each byte wrong, each length: a named error or an answer, never a crash.
TEST_F(ReferenceTest, DamagedIndex) {
  Builder b;
  Put("/luajit/usr/bin/luajit", "tool content");
  ASSERT_THAT(b.AddDeb(MakeToolDeb("luajit", "1", "tool content")), IsOk());
  const auto whole = Written(b);
  const Bytes good = *ReadFile(dir_ + "/x.idx", 1 << 20);
  auto probe = [&](const Bytes& bytes) {
    ASSERT_THAT(WriteFileAtomic(dir_ + "/y.idx", bytes, 0600), IsOk());
    auto index = Index::Open(dir_ + "/y.idx");
    if (!index) return;
    (*index)->Find(DigestOf("tool content"));
    (*index)->FindPath("/usr/bin/tool");
    (*index)->AllowedViolations(DigestOf("tool content"));
  };
  for (std::size_t i = 0; i < good.size(); i += i < 128 ? 1 : 7) {
    Bytes bad = good;
    bad[i] ^= 0xFF;
    probe(bad);
    bad = good;
    bad.resize(i);
    probe(bad);
  }
}

TEST_F(ReferenceTest, DamagedPackages) {
  const std::string deb = MakeToolDeb("one", "1", std::string(5000, 'x'));
  const Bytes good = *ReadFile(deb, 1 << 20);
  for (std::size_t i = 0; i < good.size(); i += 5) {
    ASSERT_THAT(WriteFileAtomic(dir_ + "/bad.deb", ByteView(good).first(i), 0600), IsOk());
    EXPECT_THAT(ReadDeb(dir_ + "/bad.deb"), ::testing::Not(IsOk())) << i;
  }
  EXPECT_THAT(ReadDeb("/bin/sh"), ::testing::Not(IsOk()));
}

TEST_F(ReferenceTest, ManifestSignature) {
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeToolDeb("one", "1", "x")), IsOk());
  Written(b);
  const PrivateKey key = *PrivateKey::GenerateP256();
  ASSERT_THAT(SignManifest(dir_ + "/x.idx", key), IsOk());
  EXPECT_THAT(VerifyManifest(dir_ + "/x.idx", key.Public()), IsOk());
  EXPECT_THAT(VerifyManifest(dir_ + "/x.idx", PrivateKey::GenerateP256()->Public()),
              FailsWith("manifest.signature"));
  Builder other;
  Written(other);
  EXPECT_THAT(VerifyManifest(dir_ + "/x.idx", key.Public()), FailsWith("manifest.signature"));
}

std::vector<std::string> Names(const std::vector<Installed>& packages) {
  std::vector<std::string> names;
  names.reserve(packages.size());
  for (const Installed& p : packages) names.push_back(p.package);
  return names;
}

TEST(OwnersTest, OfRealFiles) {
  const auto owners = OwnersOf({"/usr/bin/ls", "/usr/bin/[", "/usr/lib/x86_64-linux-gnu/libc.so.6",
                                "/no/such", "/usr/local/bin/own-build", "boot_aggregate"});
  ASSERT_THAT(owners, IsOk());
  EXPECT_EQ(Names(owners->packages), (std::vector<std::string>{"coreutils", "libc6"}));
  EXPECT_EQ(owners->unowned,
            (std::vector<std::string>{"boot_aggregate", "/no/such", "/usr/local/bin/own-build"}));
}

// /bin/sh is a link of dash's own, which diverts the file that another package may have there.
TEST(OwnersTest, LinksAndDiversions) {
  for (const char* path : {"/usr/bin/sh", "/bin/sh", "/usr/bin/sh.distrib", "/bin/dash", "/usr/bin/dash"}) {
    const auto owners = OwnersOf({path});
    ASSERT_THAT(owners, IsOk());
    EXPECT_EQ(Names(owners->packages), std::vector<std::string>{"dash"}) << path;
    EXPECT_TRUE(owners->unowned.empty()) << path;
  }
  // A link of update-alternatives leads to a package.
  const auto owners = OwnersOf({"/usr/bin/awk"});
  ASSERT_THAT(owners, IsOk());
  EXPECT_EQ(owners->packages.size(), 1U);
}

TEST(OwnersTest, OfByteCode) {
  const auto source = OwnersOf({"/usr/lib/python3.11/json/decoder.py"});
  const auto compiled = OwnersOf({"/usr/lib/python3.11/json/__pycache__/decoder.cpython-311.pyc"});
  ASSERT_TRUE(source && compiled);
  EXPECT_EQ(Names(compiled->packages), Names(source->packages));
  EXPECT_EQ(compiled->packages.size(), 1U);
}

TEST_F(ReferenceTest, SeveralIndexesAnswerAsOne) {
  Builder a, b;
  ASSERT_THAT(a.AddDeb(MakeToolDeb("one", "1", "1")), IsOk());
  Put("/app/run", "local");
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "7"), IsOk());
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
  ASSERT_THAT(b.AddDeb(MakeToolDeb("one", "1", "1")), IsOk());
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
  const std::string deb = MakeToolDeb("one", "1", "content");
  ASSERT_THAT(ReadDeb(deb), IsOk());
  const auto o = RunProgram({"sh", "-c",
                             "ar x one.deb && ar p one.deb $(ar t one.deb | tail -1) > data.tar && ar q "
                             "one.deb data.tar"},
                            dir_);
  ASSERT_TRUE(o && o->exit_code == 0) << o->err;
  const auto read = ReadDeb(deb);
  ASSERT_THAT(read, FailsWith("parse.deb"));
}

constexpr const char* kPython = "/usr/bin/python3";

// py_compile's own answer: there is a python3, and it is of a version that is the same in each process.
#define ASSAY_NEED_PYTHON() \
  if (const Python p = FindPython(kPython); !p.unavailable.empty()) GTEST_SKIP() << p.unavailable

TEST_F(ReferenceTest, ByteCodeIsWhatPyCompileWrites) {
  ASSAY_NEED_PYTHON();
  Put("/app/m.py", "import os\nx = {'a', 'b'}\ndef f(y):\n  'docs'\n  return y in {'c', 'd'}\n");
  Put("/app/sub/latin.py", "# coding: latin-1\nx = '\xe9'\n");
  Put("/app/data.txt", "x = 1\n");
  std::filesystem::create_symlink("m.py", dir_ + "/app/link.py");
  Builder b;
  b.UseByteCode(kPython);
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  EXPECT_EQ(b.ByteCode().known, 2U);
  EXPECT_TRUE(b.ByteCode().failed.empty());
  const auto index = Written(b);
  const auto o =
      RunProgram({kPython, "-m", "py_compile", dir_ + "/app/m.py", dir_ + "/app/sub/latin.py"}, dir_);
  ASSERT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
  std::size_t written = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_ + "/app")) {
    if (entry.path().extension() != ".pyc") continue;
    ++written;
    const Digest digest = Hash(HashAlg::kSha256, *ReadFile(entry.path(), 1 << 20));
    const auto origins = index->Find(digest);
    ASSERT_EQ(origins.size(), 1U) << entry.path();
    EXPECT_EQ(origins[0].path, entry.path());
    EXPECT_EQ(origins[0].package, "app");
    EXPECT_EQ(origins[0].note, "byte code, calculated from the packaged source");
  }
  EXPECT_EQ(written, 2U);
}

// An interpreter that has no byte code for "encodings" compiles it before anything else, and otherwise.
TEST_F(ReferenceTest, ByteCodeThatTheInterpreterWritesAtItsStart) {
  ASSAY_NEED_PYTHON();
  const auto named = RunProgram({kPython, "-c", "import encodings; print(encodings.__file__, end='')"}, dir_);
  const auto started = RunProgram({kPython, "-E", "-X", "pycache_prefix=" + dir_ + "/cache", "-c", ""}, dir_);
  ASSERT_TRUE(named && started && named->exit_code == 0 && started->exit_code == 0);
  const std::string source = named->out;
  const Python python = FindPython(kPython);
  ByteCompiler compiler(python);
  struct stat st{};
  ASSERT_EQ(stat(source.c_str(), &st), 0);
  const auto files = compiler.Compile(source, st.st_mtime, *ReadFile(source, kMaxSource));
  std::vector<Digest> digests;
  digests.reserve(files.size());
  for (const PackagedFile& file : files) digests.push_back(file.digest);
  for (const char* prefix : {"/cache", ""}) {
    const auto written = ReadFile(
        prefix == std::string() ? files[0].path
                                : dir_ + prefix + source.substr(0, source.size() - 2) + python.tag + ".pyc",
        1 << 20);
    ASSERT_THAT(written, IsOk()) << prefix;
    EXPECT_THAT(digests, ::testing::Contains(Hash(HashAlg::kSha256, *written))) << prefix;
  }
}

// As unpacked and compiled at installation; other names of a source are sources too.
TEST_F(ReferenceTest, ByteCodeOfPackages) {
  ASSAY_NEED_PYTHON();
  Put("/one/usr/lib/python3/dist-packages/m.py", "x = 1\n");
  Put("/one/usr/lib/python3/dist-packages/python2.py", "print 'x'\n");
  Put("/one/usr/lib/python3.2/other.py", "x = 1\n");
  Put("/one/usr/share/doc/one/example.py", "x = 1\n");
  Put("/one/usr/share/one/private.py", "x = 2\n");
  Put("/one/usr/share/one/large.py", std::string(kMaxSource, '#') + "\n");
  std::filesystem::create_symlink("private.py", dir_ + "/one/usr/share/one/before.py");
  std::filesystem::create_symlink("../elsewhere.py", dir_ + "/one/usr/share/one/outside.py");
  std::filesystem::create_hard_link(dir_ + "/one/usr/share/one/private.py",
                                    dir_ + "/one/usr/share/one/second.py");
  const std::string deb = MakeToolDeb("one", "1", "tool");
  Builder b;
  b.UseByteCode(kPython);
  ASSERT_THAT(b.AddDeb(deb), IsOk());
  b.Mark("one", "1", appraise::Standing::kVulnerable, "advisory 1");
  EXPECT_EQ(b.ByteCode().known, 4U);
  EXPECT_EQ(b.ByteCode().other_python, 1U);
  EXPECT_EQ(b.ByteCode().failed,
            (std::vector<std::string>{"one: /usr/lib/python3/dist-packages/python2.py",
                                      "one: /usr/share/one/large.py", "one: /usr/share/one/outside.py"}));
  const auto index = Written(b);
  const Digest first = index->ContentDigest();
  const std::string cached = "__pycache__/m." + FindPython(kPython).tag + ".pyc";
  const auto origin = index->FindPath("/usr/lib/python3/dist-packages/" + cached);
  ASSERT_TRUE(origin);
  EXPECT_EQ(origin->package, "one");
  EXPECT_EQ(origin->version, "1");
  EXPECT_EQ(origin->standing, appraise::Standing::kVulnerable);
  EXPECT_EQ(origin->note, "advisory 1; byte code, calculated from the packaged source");
  for (const char* name : {"private", "before", "second"})
    EXPECT_TRUE(index->FindPath("/usr/share/one/__pycache__/" + std::string(name) + "." +
                                FindPython(kPython).tag + ".pyc"))
        << name;
  EXPECT_FALSE(index->FindPath("/usr/share/doc/one/__pycache__/example." + FindPython(kPython).tag + ".pyc"));
  Builder again;
  again.UseByteCode(kPython);
  ASSERT_THAT(again.AddDeb(deb), IsOk());
  again.Mark("one", "1", appraise::Standing::kVulnerable, "advisory 1");
  EXPECT_EQ(Written(again)->ContentDigest(), first);
  Builder without;
  ASSERT_THAT(without.AddDeb(deb), IsOk());
  EXPECT_FALSE(Written(without)->FindPath("/usr/lib/python3/dist-packages/" + cached));
}

TEST_F(ReferenceTest, ByteCodeWithoutPythonIsCounted) {
  Put("/app/a.py", "x = 1\n");
  Put("/app/b.py", "x = 2\n");
  Put("/not-python", "#!/bin/sh\nexit 0\n");
  Put("/old-python", "#!/bin/sh\nprintf 'cpython-39%22s'; read x\n");
  std::filesystem::permissions(dir_, std::filesystem::perms(0755));
  for (const char* name : {"/not-python", "/old-python"})
    std::filesystem::permissions(dir_ + name, std::filesystem::perms(0755));
  for (const char* name : {"/no-python", "/not-python", "/old-python"}) {
    Builder b;
    b.UseByteCode(dir_ + name);
    ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "1"), IsOk()) << name;
    EXPECT_FALSE(b.ByteCode().unavailable.empty()) << name;
    EXPECT_EQ(b.ByteCode().unknown, 2U) << name;
    EXPECT_EQ(b.ByteCode().known, 0U) << name;
    EXPECT_TRUE(Written(b)->FindPath(dir_ + "/app/a.py")) << name;
  }
}

// compile() dies of some sources. The rest of the package has byte code, until it happens too often.
TEST_F(ReferenceTest, SourcesThatEndPythonAreLeftOut) {
  // Says what Python says, answers like it, and dies of the one that says "die".
  Put("/python", R"(#!/bin/sh
printf 'cpython-311\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
while IFS= read -r line; do
  case $line in
    *die*) kill -SEGV $$ ;;
    *spin*) while :; do :; done ;;
    *huge*) printf '\1\0\0\0\377\377\377\377' ;;
    *) printf '\1\0\0\0\4\0\0\0code' ;;
  esac
done
)");
  std::filesystem::permissions(dir_, std::filesystem::perms(0755));
  std::filesystem::permissions(dir_ + "/python", std::filesystem::perms(0755));
  Python python = FindPython(dir_ + "/python");
  ASSERT_EQ(python.unavailable, "");
  python.cpu_seconds = 1;
  ByteCompiler compiler(python);
  auto compile = [&](std::string_view source) {
    return !compiler.Compile("/p/m.py", 0x61616161, AsBytes(source)).empty();
  };
  EXPECT_TRUE(compile("good\n"));
  EXPECT_FALSE(compile("die\n"));
  EXPECT_TRUE(compile("good\n"));
  EXPECT_FALSE(compile("spin\n"));
  EXPECT_TRUE(compile("good\n"));
  EXPECT_FALSE(compile("huge\n"));  // says that it has more than is read
  EXPECT_FALSE(compile("good\n"));  // given up
  EXPECT_EQ(compiler.report().known, 3U);
  EXPECT_EQ(compiler.report().failed.size(), 4U);
}

// What is compiled is not run, and what compiles can't touch anything.
TEST_F(ReferenceTest, SourcesAreNotRun) {
  ASSAY_NEED_PYTHON();
  std::filesystem::permissions(dir_, std::filesystem::perms(0777));
  Put("/app/evil.py", "open('" + dir_ + "/ran', 'w')\n");
  Put("/app/deep.py", std::string(100'000, '(') + "\n");
  Put("/app/sum.py", "x = 0" + std::string(400'000, '-') + "1\n");
  Put("/app/zero.py", std::string("x = '\0'\n", 8));
  Put("/app/codec.py", "# coding: no-such\n");
  Put("/app/good.py", "x = 1\n");
  Builder b;
  b.UseByteCode(kPython);
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/ran"));
  EXPECT_EQ(b.ByteCode().known, 2U);
  EXPECT_EQ(b.ByteCode().failed.size(), 4U);
}

TEST_F(ReferenceTest, AnUnpackedImageIsNamedAsInItsContainer) {
  Put("/image/usr/bin/ls", "its own");
  Builder b;
  ASSERT_THAT(b.AddFolder(dir_ + "/image", "web", "1", dir_ + "/image"), IsOk());
  EXPECT_THAT(b.AddFolder(dir_ + "/image", "web", "1", dir_ + "/image/usr"), FailsWith("usage"));
  const auto index = Written(b);
  ASSERT_TRUE(index->FindPath("/usr/bin/ls"));
  EXPECT_EQ(index->FindPath("/usr/bin/ls")->path, "/usr/bin/ls");
  Indexes with, without;
  auto again = Index::Open(dir_ + "/x.idx");
  with.AddImage(evidence::ContainerPattern(), "x.idx", std::move(*again));
  EXPECT_TRUE(with.Find(DigestOf("its own")).empty()) << "an image is none of the machine's packages";
  ASSERT_EQ(with.Images().size(), 1U);
  EXPECT_EQ(with.Images().front().values->Find(DigestOf("its own")).size(), 1U);
  EXPECT_NE(with.Fingerprint(), without.Fingerprint());
}

}  // namespace
}  // namespace assay::reference
