// Internal, for tests: a folder of its own, packages made by dpkg-deb, and the index that a builder writes.
//
//   #include "base/result_testing.h"
//   struct MyTest : ReferenceFixture {};
//   TEST_F(MyTest, OnePackage) {
//     Put("/tool/usr/bin/tool", "content");
//     Builder b;
//     ASSERT_THAT(b.AddDeb(MakeDeb("tool", "1")), IsOk());
//     EXPECT_TRUE(Written(b)->Contains(DigestOf("content")));
//   }
//
// Contract: the folder is removed at the end of a test.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/process.h"
#include "base/result_testing.h"
#include "reference/index.h"

namespace assay::reference {

class ReferenceFixture : public ::testing::Test {
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
  // A package made by dpkg-deb itself, of what was put into the folder of its name.
  std::string MakeDeb(const std::string& name, const std::string& version) {
    Put("/" + name + "/DEBIAN/control",
        "Package: " + name + "\nVersion: " + version +
            "\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: x\n");
    const std::string deb = dir_ + "/" + name + ".deb";
    const auto o = RunProgram({"dpkg-deb", "--root-owner-group", "-b", dir_ + "/" + name, deb}, "/");
    EXPECT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
    return deb;
  }
  std::unique_ptr<Index> Written(const Builder& b) {
    EXPECT_THAT(b.Write(dir_ + "/x.idx"), IsOk());
    auto index = Index::Open(dir_ + "/x.idx");
    EXPECT_THAT(index, IsOk());
    return index ? std::move(*index) : nullptr;
  }
  static Digest DigestOf(std::string_view s) { return Hash(HashAlg::kSha256, AsBytes(s)); }

  std::string dir_;
};

}  // namespace assay::reference
