#include "reference/advisories.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/real_data.h"
#include "reference/affected.h"
#include "reference/changelog.h"
#include "reference/cvss.h"
#include "reference/reference_testing.h"
#include "reference/version_order.h"

namespace assay::reference {
namespace {

using appraise::Advisory;
using appraise::Standing;

TEST(VersionOrderTest, IsThatOfDpkg) {
  const std::vector<std::string> ascending{"1.0~rc1-1",      "1.0-1",  "1.0-1+b1",   "1.0-1+deb12u1",
                                           "1.0-1.1",        "1.0-2",  "1.0+dfsg-1", "1.9-1",
                                           "1.10-1~bpo12+1", "1.10-1", "1:0.1-1"};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      const int order = CompareVersions(ascending[i], ascending[j]);
      EXPECT_EQ(order < 0, i < j) << ascending[i] << " " << ascending[j];
      EXPECT_EQ(order == 0, i == j) << ascending[i] << " " << ascending[j];
    }
  }
  EXPECT_EQ(CompareVersions("0:1.0-1", "1.0-1"), 0);
  EXPECT_LT(CompareVersions("3.0.11-1~deb12u2", "3.0.11-1"), 0);
}

// Vectors with the scores that FIRST's calculator gives: 9.8, 7.5, 6.1, 3.3, 0, 10.
TEST(CvssTest, RatingsOfBaseMetrics) {
  EXPECT_EQ(CvssRating("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"), "critical");
  EXPECT_EQ(CvssRating("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"), "high");
  EXPECT_EQ(CvssRating("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"), "medium");
  EXPECT_EQ(CvssRating("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:N/A:N"), "low");
  EXPECT_EQ(CvssRating("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"), "none");
  EXPECT_EQ(CvssRating("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:P"), "critical");
  for (const char* text :
       {"", "CVSS:3.1/", "CVSS:4.0/AV:N", "AV:N/AC:L/Au:N/C:P/I:P/A:P",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", "CVSS:3.1/AV:XX/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"})
    EXPECT_EQ(CvssRating(text), "") << text;
}

TEST(ReleaseTest, ByItsNames) {
  for (const char* name : {"bookworm", "Debian:12"}) {
    const auto release = ReleaseOf(name);
    ASSERT_THAT(release, IsOk());
    EXPECT_EQ(release->ecosystem, "Debian:12");
    EXPECT_EQ(release->codename, "bookworm");
  }
  EXPECT_EQ(ReleaseOf("Ubuntu:24.04")->ecosystem, "Ubuntu:24.04");
  for (const char* name : {"potato", "Debian:", "Ubuntu:", "12"})
    EXPECT_THAT(ReleaseOf(name), FailsWith("reference.release")) << name;
}

AdvisoryFeed Feed(std::string_view text, const std::string& release = "bookworm", bool unfixed = false) {
  AdvisoryFeed feed;
  EXPECT_THAT(ParseAdvisories(text, {.release = *ReleaseOf(release), .unfixed = unfixed}, feed), IsOk());
  return feed;
}

constexpr std::string_view kDsa = R"({"id": "DSA-1-1", "modified": "2026-01-01T00:00:00Z",
  "upstream": ["CVE-2026-0001", "CVE-2026-0002"],
  "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
  "affected": [
   {"package": {"ecosystem": "Debian:12", "name": "tool"}, "ranges": [{"type": "ECOSYSTEM", "events":
     [{"introduced": "0"}, {"fixed": "1.0-2"}, {"introduced": "1.1-1"}, {"last_affected": "1.1-3"}]}]},
   {"package": {"ecosystem": "Debian:11", "name": "tool"}, "ranges": [{"type": "ECOSYSTEM", "events":
     [{"introduced": "0"}, {"fixed": "0.9-9"}]}]},
   {"package": {"ecosystem": "Debian:12", "name": "open"}, "ranges": [{"type": "ECOSYSTEM", "events":
     [{"introduced": "0"}]}]},
   {"package": {"ecosystem": "Debian:12", "name": "minor"}, "ecosystem_specific": {"urgency": "unimportant"},
    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9"}]}]}]})";

TEST(AdvisoriesTest, OsvRangesOfTheRelease) {
  const AdvisoryFeed feed = Feed(kDsa);
  EXPECT_EQ(feed.unfixed, 2U);  // two CVEs of one package
  EXPECT_EQ(feed.minor, 1U);
  Affected affected;
  affected.AddFeed(feed.entries);
  const std::vector<Advisory> old = affected.Of("tool", "1.0-1");
  ASSERT_EQ(old.size(), 2U);
  EXPECT_EQ(old[0], (Advisory{"CVE-2026-0002", "DSA-1-1", "high", "1.0-2"}));
  EXPECT_TRUE(affected.Of("tool", "1.0-2").empty());
  EXPECT_EQ(affected.Of("tool", "1.1-3").size(), 2U);
  EXPECT_EQ(affected.Of("tool", "1.1-3").front().fixed, "");
  EXPECT_TRUE(affected.Of("tool", "1.1-4").empty());
  EXPECT_TRUE(affected.Of("open", "1").empty());
  EXPECT_TRUE(affected.Of("minor", "1").empty());
  EXPECT_EQ(Feed(kDsa, "bookworm", true).unfixed, 0U);
  const AdvisoryFeed bullseye = Feed(kDsa, "bullseye");
  ASSERT_EQ(bullseye.entries.size(), 2U);
  EXPECT_EQ(bullseye.entries[0].advisory.fixed, "0.9-9");
}

TEST(AdvisoriesTest, TrackerOfTheRelease) {
  const AdvisoryFeed feed = Feed(R"({"tool": {
    "CVE-2026-0001": {"description": "x", "releases": {
      "bookworm": {"status": "resolved", "fixed_version": "1.0-2", "urgency": "high**"},
      "trixie": {"status": "resolved", "fixed_version": "2.0-1", "urgency": "low"}}},
    "CVE-2026-0002": {"releases": {"bookworm": {"status": "open", "urgency": "not yet assigned"}}},
    "CVE-2026-0003": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "0", "urgency": "low"}}},
    "CVE-2026-0004": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "3", "urgency": "unimportant"}}},
    "CVE-2026-0005": {"releases": {"trixie": {"status": "open", "urgency": "low"}}},
    "CVE-2026-0006": {"releases": {"bookworm": {"status": "undetermined", "urgency": "low"}}}}})");
  EXPECT_EQ(feed.unfixed, 1U);
  EXPECT_EQ(feed.minor, 1U);
  ASSERT_EQ(feed.entries.size(), 1U);
  EXPECT_EQ(feed.entries[0].advisory, (Advisory{"CVE-2026-0001", "", "high", "1.0-2"}));
  EXPECT_TRUE(feed.entries[0].Affects("1.0-1"));
  EXPECT_FALSE(feed.entries[0].Affects("1.0-2"));
}

TEST(AdvisoriesTest, WhatIsNoFeedIsNamed) {
  const FeedOptions options{.release = *ReleaseOf("bookworm")};
  AdvisoryFeed feed;
  for (const char* text : {"", "[]", "x", R"({"id": 3, "modified": ""})", R"({"tool": {"CVE-1": {}}})",
                           R"({"tool": {"CVE-1": {"releases": {"bookworm": {"status": "resolved"}}}}})",
                           R"({"id": "X", "modified": "", "affected": [{"package": {"name": "x"}}]})"})
    EXPECT_THAT(ParseAdvisories(text, options, feed), FailsWith("parse.advisories")) << text;
  EXPECT_TRUE(feed.entries.empty());
}

TEST(AdvisoriesTest, OneFileThatCantBeReadLeavesTheOthers) {
  char name[] = "/tmp/assay-adv.XXXXXX";
  const std::string dir = mkdtemp(name);
  ASSERT_THAT(WriteFileAtomic(dir + "/a.json", AsBytes(std::string_view("no JSON")), 0600), IsOk());
  ASSERT_THAT(WriteFileAtomic(dir + "/b.json", AsBytes(kDsa), 0600), IsOk());
  ASSERT_THAT(WriteFileAtomic(dir + "/README", AsBytes(std::string_view("of the folder")), 0600), IsOk());
  const FeedOptions options{.release = *ReleaseOf("bookworm")};
  const auto feed = ReadAdvisories({dir}, options);
  ASSERT_THAT(feed, IsOk());
  EXPECT_EQ(feed->files, 1U);
  ASSERT_EQ(feed->failed.size(), 1U);
  EXPECT_EQ(feed->failed[0].path, dir + "/a.json");
  EXPECT_EQ(feed->entries.size(), 4U);
  EXPECT_THAT(ReadAdvisories({dir + "/a.json"}, options), FailsWith("parse.advisories"));
  EXPECT_THAT(ReadAdvisories({dir + "/none"}, options), ::testing::Not(IsOk()));
  std::filesystem::remove_all(dir);
}

// Records of Debian and Ubuntu as OSV has them.
TEST(AdvisoriesTest, RealRecords) {
  const std::string folder = RealDataFolder() + "/advisories";
  if (access(folder.c_str(), R_OK) != 0) GTEST_SKIP() << NoRealData();
  const auto wheezy = ReadAdvisories({folder}, {.release = {.ecosystem = "Debian:7", .codename = ""}});
  ASSERT_THAT(wheezy, IsOk());
  EXPECT_EQ(wheezy->files, 3U);
  ASSERT_EQ(wheezy->entries.size(), 1U);
  EXPECT_EQ(wheezy->entries[0].source, "nginx");
  EXPECT_EQ(wheezy->entries[0].advisory, (Advisory{"CVE-2014-3616", "DSA-3029-1", "", "1.2.1-2.2+wheezy3"}));
  EXPECT_TRUE(wheezy->entries[0].Affects("1.2.1-2.2+wheezy2"));
  EXPECT_FALSE(wheezy->entries[0].Affects("1.2.1-2.2+wheezy3"));
  const auto ubuntu = ReadAdvisories(
      {folder}, {.release = {.ecosystem = "Ubuntu:Pro:14.04", .codename = ""}, .unfixed = true});
  ASSERT_THAT(ubuntu, IsOk());
  ASSERT_FALSE(ubuntu->entries.empty());
  EXPECT_EQ(ubuntu->entries[0].advisory, (Advisory{"CVE-2025-38094", "", "medium", ""}));
}

constexpr std::string_view kChangelog = R"(tool (1.0-3) bookworm-security; urgency=high

  * CVE-2026-0003 and once more CVE-2026-0001: the first fix was not whole

 -- A <a@example.org>  Tue, 03 Nov 2026 00:00:00 +0000

tool (1.0-2) bookworm-security; urgency=high

  * CVE-2026-0001, CVE-2026-0002 (Closes: #1); CVE-20 is none, and neither is CVE-2026-12

 -- A <a@example.org>  Mon, 02 Nov 2026 00:00:00 +0000

tool (1.0-1) unstable; urgency=medium

  * First.

 -- A <a@example.org>  Sun, 01 Nov 2026 00:00:00 +0000
)";

TEST(ChangelogTest, OlderVersionsLackWhatNewerOnesFixed) {
  const std::vector<ChangelogEntry> log = ParseChangelog(kChangelog);
  ASSERT_EQ(log.size(), 3U);
  EXPECT_EQ(log[1].version, "1.0-2");
  EXPECT_EQ(log[1].cves, (std::vector<std::string>{"CVE-2026-0001", "CVE-2026-0002"}));
  Affected affected;
  affected.AddChangelog("tool", log);
  EXPECT_TRUE(affected.Of("tool", "1.0-3").empty());
  EXPECT_EQ(affected.Of("tool", "1.0-2"), (std::vector<Advisory>{{"CVE-2026-0003", "", "", "1.0-3"}}));
  EXPECT_EQ(affected.Of("tool", "1.0-1"), (std::vector<Advisory>{{"CVE-2026-0003", "", "", "1.0-3"},
                                                                 {"CVE-2026-0002", "", "", "1.0-2"},
                                                                 {"CVE-2026-0001", "", "", "1.0-2"}}));
  EXPECT_TRUE(affected.Of("tool", "0.9-1~deb11u1").empty());  // of another history
  EXPECT_TRUE(affected.Of("other", "1.0-1").empty());
  EXPECT_TRUE(ParseChangelog("Version 3.0\n\n * CVE-2026-0001\n").empty());  // an upstream changelog
}

class AdvisedIndex : public ReferenceFixture {
 protected:
  // A package of another source, with a program and its changelog.
  std::string Deb(const std::string& name, const std::string& version, const std::string& source,
                  std::string_view changelog = "") {
    std::filesystem::remove_all(dir_ + "/" + name);
    Put("/" + name + "/usr/bin/" + name, name + " of version " + version);
    Put("/" + name + "/DEBIAN/control", "Package: " + name + "\nVersion: " + version + "\nSource: " + source +
                                            "\nArchitecture: amd64\nMaintainer: a <a@example.org>\n"
                                            "Description: x\n");
    if (!changelog.empty()) {
      Put("/" + name + "/usr/share/doc/" + name + "/changelog.Debian", std::string(changelog));
      EXPECT_THAT(
          RunProgram({"gzip", "-9n", dir_ + "/" + name + "/usr/share/doc/" + name + "/changelog.Debian"},
                     "/"),
          IsOk());
    }
    const std::string deb = dir_ + "/" + name + "_" + version + ".deb";
    const auto o = RunProgram({"dpkg-deb", "--root-owner-group", "-b", dir_ + "/" + name, deb}, "/");
    EXPECT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
    return deb;
  }
  static appraise::Origin Of(const Index& index, const std::string& content) {
    const auto origins = index.Find(DigestOf(content));
    EXPECT_EQ(origins.size(), 1U) << content;
    return origins.empty() ? appraise::Origin() : origins[0];
  }
};

TEST_F(AdvisedIndex, AFeedMarksTheVersionsOfASource) {
  Builder b;
  ASSERT_THAT(b.AddDeb(Deb("libtool3", "1.0-1+b1", "tool (1.0-1)")), IsOk());
  ASSERT_THAT(b.AddDeb(Deb("tool-bin", "1.0-2", "tool")), IsOk());
  ASSERT_THAT(b.AddDeb(Deb("tool", "1.0-1", "another")), IsOk());
  b.UseAdvisories(Feed(kDsa).entries);
  const auto index = Written(b);
  const appraise::Origin old = Of(*index, "libtool3 of version 1.0-1+b1");
  EXPECT_EQ(old.standing, Standing::kVulnerable);
  EXPECT_EQ(old.advisory_count, 2U);
  EXPECT_EQ(
      appraise::AdvisoriesText(old.advisories, old.advisory_count),
      "CVE-2026-0002 of DSA-1-1 (high), fixed in 1.0-2; CVE-2026-0001 of DSA-1-1 (high), fixed in 1.0-2");
  EXPECT_EQ(Of(*index, "tool-bin of version 1.0-2").standing, Standing::kGood);
  EXPECT_EQ(Of(*index, "tool of version 1.0-1").standing, Standing::kGood);
  // What was known stays when the index is built again without a feed; a new feed says all anew.
  for (const bool advised : {false, true}) {
    Builder again;
    ASSERT_THAT(again.AddDeb(Deb("tool-bin", "1.0-2", "tool")), IsOk());
    again.AddFormer(*index, Builder::Former::kOfAdded, 0, 365);
    if (advised) again.UseAdvisories({});
    EXPECT_EQ(Of(*Written(again), "libtool3 of version 1.0-1+b1").standing,
              advised ? Standing::kGood : Standing::kVulnerable);
  }
}

TEST_F(AdvisedIndex, AKernelThatTheArchiveSignedIsOfLinux) {
  Builder b;
  ASSERT_THAT(b.AddDeb(Deb("linux-image-6", "6.1.76-1", "linux-signed-amd64 (6.1.76+1)")), IsOk());
  const auto index = Written(b);
  EXPECT_EQ(index->Packages()[0].source, "linux");
  EXPECT_EQ(index->Packages()[0].source_version, "6.1.76-1");
}

TEST_F(AdvisedIndex, AChangelogMarksTheVersionsBefore) {
  Builder old;
  ASSERT_THAT(old.AddDeb(Deb("tool", "1.0-1", "tool")), IsOk());
  const auto before = Written(old);
  EXPECT_EQ(Of(*before, "tool of version 1.0-1").standing, Standing::kGood);
  const std::string deb = Deb("tool", "1.0-2", "tool", kChangelog.substr(kChangelog.find("tool (1.0-2)")));
  for (const bool asked : {false, true}) {
    Builder b;
    ASSERT_THAT(b.AddDeb(deb), IsOk());
    b.AddFormer(*before, Builder::Former::kSuperseded, 86'400'000, 365);
    if (asked) b.UseChangelogs();
    const auto index = Written(b);
    const appraise::Origin of = Of(*index, "tool of version 1.0-1");
    EXPECT_EQ(of.standing, asked ? Standing::kVulnerable : Standing::kSuperseded);
    EXPECT_EQ(of.since_ms, 86'400'000U);
    EXPECT_EQ(of.advisory_count, asked ? 2U : 0U);
    EXPECT_EQ(Of(*index, "tool of version 1.0-2").standing, Standing::kGood);
  }
}

// The builder notes when a version was first known, and later indexes keep that.
TEST_F(AdvisedIndex, KnownSinceTheFirstIndex) {
  constexpr std::uint64_t kFirst = 1'000'000'000'000, kSecond = 1'100'000'000'000;
  const std::string deb = Deb("tool", "1.0-1", "tool");
  Builder b;
  ASSERT_THAT(b.AddDeb(deb), IsOk());
  b.KnownSince(kFirst);
  const auto index = Written(b);
  Builder again;
  ASSERT_THAT(again.AddDeb(deb), IsOk());
  ASSERT_THAT(again.AddDeb(Deb("new", "1", "new")), IsOk());
  again.AddFormer(*index, Builder::Former::kSuperseded, kSecond, 365);
  again.KnownSince(kSecond);
  const auto later = Written(again);
  for (const IndexedPackage& p : later->Packages())
    EXPECT_EQ(p.known_ms, p.package == "new" ? kSecond : kFirst) << p.package;
}

TEST_F(AdvisedIndex, TheLatestVersionOfAPathIsByDpkgsOrder) {
  Builder b;
  ASSERT_THAT(b.AddDeb(Deb("tool", "1.10-1", "tool")), IsOk());
  ASSERT_THAT(b.AddDeb(Deb("tool", "1.9-1", "tool")), IsOk());
  EXPECT_EQ(Written(b)->FindPath("/usr/bin/tool")->version, "1.10-1");
}

}  // namespace
}  // namespace assay::reference
