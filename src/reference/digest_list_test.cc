#include "reference/digest_list.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "reference/reference_testing.h"

namespace assay::reference {
namespace {

class DigestLists : public ReferenceFixture {
 protected:
  // The index of what a list says.
  std::unique_ptr<Index> Read(const std::string& text) {
    const auto list = ParseDigestList(text);
    EXPECT_THAT(list, IsOk());
    Builder b;
    if (list) b.AddList(*list, "listed", "1");
    return Written(b);
  }
};

TEST_F(DigestLists, Sha256sumReadsOurs) {
  for (const char* name : {"a", "b c", "back\\slash", "line\nbreak"}) Put(std::string("/app/") + name, name);
  Builder b;
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  const auto index = Written(b);
  const std::string sums = Sha256SumsOf(*index);
  ASSERT_THAT(WriteFileAtomic(dir_ + "/sums", AsBytes(sums), 0600), IsOk());
  const auto o = RunProgram({"sha256sum", "--strict", "-c", dir_ + "/sums"}, "/");
  ASSERT_THAT(o, IsOk());
  EXPECT_EQ(o->exit_code, 0) << o->out << o->err;
  // sha256sum's own list is the same, and what is read from it is the same index.
  EXPECT_EQ(Sha256SumsOf(*Read(sums)), sums);
  EXPECT_EQ(Read(sums)->FindPath(dir_ + "/app/b_c")->package, "listed");
}

TEST_F(DigestLists, KeylimesPolicyGoesRound) {
  Put("/app/a", "hi");
  Builder b;
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  const std::string policy = KeylimePolicyOf(*Written(b));
  EXPECT_EQ(KeylimePolicyOf(*Read(policy)), policy);
  const auto json = nlohmann::json::parse(policy);
  EXPECT_EQ(json["digests"][dir_ + "/app/a"][0], DigestOf("hi").hex());
  for (const char* member :
       {"meta", "release", "excludes", "keyrings", "ima", "ima-buf", "verification-keys"})
    EXPECT_TRUE(json.contains(member)) << member;
}

TEST_F(DigestLists, WhatIsSupersededOrRevokedIsNotWritten) {
  Put("/app/a", "old");
  Builder old;
  ASSERT_THAT(old.AddFolder(dir_ + "/app", "app", "1"), IsOk());
  const auto before = Written(old);
  Put("/app/a", "new");
  Put("/app/b", "bad");
  Builder b;
  ASSERT_THAT(b.AddFolder(dir_ + "/app", "app", "2"), IsOk());
  b.AddFormer(*before, Builder::Former::kSuperseded, 86'400'000, 365);
  b.Deny({{.digest = DigestOf("bad"), .package = "", .version = "", .who = "a", .why = "b"}});
  EXPECT_EQ(Sha256SumsOf(*Written(b)), DigestOf("new").hex() + "  " + dir_ + "/app/a\n");
}

TEST_F(DigestLists, OtherAlgorithmsAreCountedAndOddLinesNamed) {
  const std::string hex = DigestOf("hi").hex();
  const auto list =
      ParseDigestList("# a comment\n\n" + hex + " */usr/bin/a\n" + std::string(40, 'a') + "  /usr/bin/b\n");
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(list->left_out, 1U);
  ASSERT_EQ(list->files.size(), 1U);
  EXPECT_EQ(list->files[0].path, "/usr/bin/a");
  for (const std::string& text :
       {hex, hex + " x", hex + "  ", "\\" + hex + "  a\\x", "zz" + hex.substr(2) + "  /a",
        std::string("{\"digests\": {\"/a\": \"x\"}}"), std::string("{}")})
    EXPECT_THAT(ParseDigestList(text), FailsWith("parse.digest-list")) << text;
}

TEST_F(DigestLists, ListsOfParts) {
  const std::string one = DigestOf("one").hex(), two = DigestOf("two").hex(), sha1(40, 'a');
  const std::vector<std::string> texts{
      R"({"bomFormat":"CycloneDX","specVersion":"1.6","components":[
          {"type":"library","name":"libx","version":"1","hashes":[{"alg":"SHA-256","content":")" +
          two + R"("}],
           "components":[{"type":"file","name":"/usr/bin/one","hashes":[{"alg":"SHA-1","content":")" +
          sha1 + R"("},{"alg":"SHA-256","content":")" + one +
          R"("}]}]}, {"type":"file","name":"/no/hash"}]})",
      R"({"spdxVersion":"SPDX-2.3","files":[{"fileName":"./usr/bin/one","checksums":[
          {"algorithm":"SHA1","checksumValue":")" +
          sha1 + R"("},{"algorithm":"SHA256","checksumValue":")" + one + R"("}]}]})",
      R"({"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":["x",{"type":"software_Package"},
          {"type":"software_File","name":"usr/bin/one","verifiedUsing":[
          {"type":"Hash","algorithm":"sha1","hashValue":")" +
          sha1 + R"("},
          {"type":"Hash","algorithm":"sha256","hashValue":")" +
          one + R"("}]}]})"};
  for (const std::string& text : texts) {
    const auto list = ParseDigestList(text);
    ASSERT_THAT(list, IsOk()) << text;
    ASSERT_EQ(list->files.size(), 1U) << text;
    EXPECT_EQ(list->files[0].path, "/usr/bin/one");
    EXPECT_EQ(list->files[0].digest, DigestOf("one"));
    EXPECT_EQ(list->left_out, 1U);
    EXPECT_EQ(Read(text)->FindPath("/usr/bin/one")->package, "listed");
  }
  for (
      const char* text :
      {R"({"bomFormat":"CycloneDX","components":[{"name":"x"}]})",
       R"({"bomFormat":"CycloneDX","components":[{"type":"file","name":"x","hashes":[{"alg":"SHA-256","content":"aa"}]}]})",
       R"({"spdxVersion":"SPDX-2.3","files":[{"fileName":"x"}]})", R"({"@graph":{}})"})
    EXPECT_THAT(ParseDigestList(text), FailsWith("parse.digest-list")) << text;
}

}  // namespace
}  // namespace assay::reference
