#include "reference/deny.h"

#include <gtest/gtest.h>

#include "reference/diff.h"
#include "reference/reference_testing.h"

namespace assay::reference {
namespace {

using appraise::Standing;

std::string ListOf(const std::string& entries) { return R"({"version": 1, "denied": [)" + entries + "]}"; }

TEST(DenyListTest, ADigestOrAPackageWithWhoAndWhy) {
  const std::string digest = Hash(HashAlg::kSha256, AsBytes(std::string_view("hi"))).ToString();
  const auto list = ParseDenyList(ListOf(R"({"digest": ")" + digest + R"(", "who": "a", "why": "b"},
    {"package": "tool", "version": "1.0-1", "who": "a", "why": "c"}, {"package": "all", "who": "a", "why": "d"})"));
  ASSERT_THAT(list, IsOk());
  ASSERT_EQ(list->size(), 3U);
  EXPECT_EQ(list->at(0).digest->ToString(), digest);
  EXPECT_EQ(list->at(1).version, "1.0-1");
  EXPECT_EQ(list->at(2).version, "");
  for (const std::string& entry :
       {std::string(R"({"who": "a", "why": "b"})"), R"({"digest": ")" + digest + R"(", "who": "a"})",
        R"({"digest": ")" + digest + R"(", "package": "x", "who": "a", "why": "b"})",
        R"({"digest": ")" + digest + R"(", "version": "1", "who": "a", "why": "b"})",
        std::string(R"({"digest": "sha1:00", "who": "a", "why": "b"})"),
        std::string(R"({"package": "", "who": "a", "why": "b"})"),
        std::string(R"({"package": "x", "who": "a", "why": "b", "until": 3})")})
    EXPECT_THAT(ParseDenyList(ListOf(entry)), FailsWith("parse.deny-list")) << entry;
  EXPECT_THAT(ParseDenyList(R"({"version": 2, "denied": []})"), FailsWith("parse.deny-list"));
  EXPECT_THAT(ParseDenyList("[]"), FailsWith("parse.deny-list"));
}

class Denied : public ReferenceFixture {
 protected:
  std::unique_ptr<Index> IndexOf(const std::string& package, const std::string& version, const Index* former,
                                 const std::string& denied = "") {
    std::filesystem::remove_all(dir_ + "/" + package);
    Put("/" + package + "/usr/bin/" + package, package + " " + version);
    Builder b;
    EXPECT_THAT(b.AddDeb(MakeDeb(package, version)), IsOk());
    if (former != nullptr) b.AddFormer(*former, Builder::Former::kSuperseded, 86'400'000, 365);
    if (!denied.empty()) b.Deny(*ParseDenyList(ListOf(denied)));
    return Written(b);
  }
  static std::string Digested(std::string_view content, const std::string& why) {
    return R"({"digest": ")" + DigestOf(content).ToString() + R"(", "who": "s@example.org", "why": ")" + why +
           R"("})";
  }
};

TEST_F(Denied, ADigestIsRevokedWhereverItIsAndInNoManifest) {
  const auto index =
      IndexOf("tool", "1", nullptr, Digested("tool 1", "stolen key") + "," + Digested("bad", "back door"));
  EXPECT_FALSE(index->Contains(DigestOf("tool 1")));
  EXPECT_FALSE(index->Contains(DigestOf("bad")));
  const auto origins = index->Find(DigestOf("bad"));
  ASSERT_EQ(origins.size(), 1U);
  EXPECT_EQ(origins[0].standing, Standing::kRevoked);
  EXPECT_EQ(origins[0].package, appraise::kDenied);
  EXPECT_EQ(origins[0].version, "s@example.org");
  EXPECT_EQ(origins[0].note, "back door");
  EXPECT_EQ(index->Find(DigestOf("tool 1")).size(), 2U);
  EXPECT_FALSE(index->FindPath(""));
  // It stays denied in later indexes, for ever, until other lists are given.
  const auto later = IndexOf("tool", "2", index.get());
  EXPECT_EQ(later->Find(DigestOf("bad")).at(0).since_ms, 0U);
  EXPECT_TRUE(IndexOf("tool", "3", later.get(), Digested("other", "x"))->Find(DigestOf("bad")).empty());
}

TEST_F(Denied, APackageIsRevokedByNameAndVersion) {
  const std::string entry =
      R"({"package": "tool", "version": "1", "who": "s@example.org", "why": "stolen key"})";
  const auto index = IndexOf("tool", "1", nullptr, entry);
  EXPECT_EQ(index->Find(DigestOf("tool 1")).at(0).standing, Standing::kRevoked);
  EXPECT_EQ(index->Find(DigestOf("tool 1")).at(0).note, "s@example.org: stolen key");
  EXPECT_EQ(IndexOf("tool", "2", nullptr, entry)->Find(DigestOf("tool 2")).at(0).standing, Standing::kGood);
}

TEST_F(Denied, ADiffSaysWhatIsAddedAndRetired) {
  const auto before = IndexOf("tool", "1", nullptr);
  EXPECT_TRUE(Compare(*before, *before).empty());
  const auto now = IndexOf("tool", "2", before.get());
  const IndexDiff diff = Compare(*before, *now);
  ASSERT_EQ(diff.added.size(), 1U);
  EXPECT_EQ(diff.added[0].version, "2");
  ASSERT_EQ(diff.retired.size(), 1U);
  EXPECT_EQ(diff.retired[0].version, "1");
  EXPECT_TRUE(diff.gone.empty() && diff.changed.empty() && diff.standing.empty());
  const IndexDiff back = Compare(*now, *before);
  EXPECT_EQ(back.added.size(), 1U);
  EXPECT_EQ(back.gone.size(), 1U);
  const auto denied = IndexOf("tool", "1", nullptr, R"({"package": "tool", "who": "a", "why": "b"})");
  const IndexDiff standing = Compare(*before, *denied);
  ASSERT_EQ(standing.standing.size(), 1U);
  EXPECT_EQ(standing.standing[0].before, Standing::kGood);
  EXPECT_EQ(standing.standing[0].now.Judged(), Standing::kRevoked);
  Builder b;
  Put("/tool/usr/bin/tool", "rebuilt");
  ASSERT_THAT(b.AddDeb(MakeDeb("tool", "1")), IsOk());
  EXPECT_EQ(Compare(*before, *Written(b)).changed.size(), 1U);
}

TEST_F(Denied, TheOrderOfVersionsIsKnown) {
  const auto nine = IndexOf("tool", "1.9-1", nullptr);
  const auto index = IndexOf("tool", "1.10-1", nine.get());
  EXPECT_TRUE(index->IsOlder("tool", "1.9-1", "1.10-1"));
  EXPECT_FALSE(index->IsOlder("tool", "1.10-1", "1.9-1"));
  EXPECT_FALSE(index->IsOlder("tool", "1.9-1", "1.9-1"));
  EXPECT_FALSE(index->IsOlder("tool", "1.8-1", "1.10-1"));  // not known here
  EXPECT_FALSE(index->IsOlder("none", "1.9-1", "1.10-1"));
  EXPECT_TRUE(index->Find(DigestOf("tool 1.10-1")).at(0).has_older);
  EXPECT_FALSE(index->Find(DigestOf("tool 1.9-1")).at(0).has_older);
}

}  // namespace
}  // namespace assay::reference
