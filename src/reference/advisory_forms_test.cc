// CSAF and OVAL, and the XML that OVAL is in.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/fd.h"
#include "base/process.h"
#include "base/result_testing.h"
#include "reference/affected.h"
#include "reference/xml.h"

namespace assay::reference {
namespace {

using appraise::Advisory;

AdvisoryFeed Feed(std::string_view text, const std::string& release = "bookworm", bool unfixed = false) {
  AdvisoryFeed feed;
  EXPECT_THAT(ParseAdvisories(text, {.release = *ReleaseOf(release), .unfixed = unfixed}, feed), IsOk());
  return feed;
}

// As Debian's security team generates it (oval-definitions-bookworm.xml).
constexpr std::string_view kOval = R"(<?xml version="1.0" ?>
<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"
    xmlns:linux-def="http://oval.mitre.org/XMLSchema/oval-definitions-5#linux">
  <generator><oval:schema_version xmlns:oval="x">5.11.2</oval:schema_version></generator>
  <definitions>
    <definition class="vulnerability" id="oval:org.debian:def:1" version="1">
      <metadata>
        <title>CVE-2026-0001 tool</title>
        <affected family="unix"><platform>Debian GNU/Linux 12</platform><product>tool</product></affected>
        <reference ref_id="CVE-2026-0001" ref_url="https://example.org" source="CVE"/>
        <description>A &lt;b&gt; in it.</description>
      </metadata>
      <criteria comment="Release section" operator="AND">
        <criterion comment="Debian 12 is installed" test_ref="oval:org.debian.oval:tst:1"/>
        <criteria comment="Architecture section" operator="OR">
          <criteria comment="Architecture independent section" operator="AND">
            <criterion comment="all architecture" test_ref="oval:org.debian.oval:tst:2"/>
            <criterion comment="tool DPKG is earlier than 1.0-2" test_ref="oval:org.debian.oval:tst:3"/>
          </criteria>
        </criteria>
      </criteria>
    </definition>
    <definition class="patch" id="oval:org.debian:def:2" version="1">
      <metadata>
        <title>DSA-1-1 other</title>
        <affected family="unix"><platform>Debian GNU/Linux 12</platform></affected>
        <reference ref_id="CVE-2026-0002" source="CVE"/><reference ref_id="CVE-2026-0003" source="CVE"/>
      </metadata>
      <criteria><criterion test_ref="oval:org.debian.oval:tst:4"/></criteria>
    </definition>
    <definition class="vulnerability" id="oval:org.debian:def:3" version="1">
      <metadata>
        <title>CVE-2026-0004 tool</title>
        <affected family="unix"><platform>Debian GNU/Linux 12</platform></affected>
        <reference ref_id="CVE-2026-0004" source="CVE"/>
      </metadata>
      <criteria><criterion test_ref="oval:org.debian.oval:tst:5"/></criteria>
    </definition>
    <definition class="vulnerability" id="oval:org.debian:def:4" version="1">
      <metadata>
        <title>CVE-2026-0005 tool</title>
        <affected family="unix"><platform>Debian GNU/Linux 11</platform></affected>
        <reference ref_id="CVE-2026-0005" source="CVE"/>
      </metadata>
      <criteria><criterion test_ref="oval:org.debian.oval:tst:3"/></criteria>
    </definition>
    <definition class="vulnerability" id="oval:org.debian:def:5" version="1">
      <metadata>
        <title>CVE-2026-0006 tool</title>
        <affected family="unix"><platform>Debian GNU/Linux 12</platform></affected>
        <reference ref_id="CVE-2026-0006" source="CVE"/>
      </metadata>
      <criteria negate="true"><criterion test_ref="oval:org.debian.oval:tst:3"/></criteria>
    </definition>
  </definitions>
  <tests>
    <textfilecontent54_test id="oval:org.debian.oval:tst:1"><object object_ref="oval:org.debian.oval:obj:1"/></textfilecontent54_test>
    <linux-def:dpkginfo_test id="oval:org.debian.oval:tst:3">
      <linux-def:object object_ref="oval:org.debian.oval:obj:3"/><linux-def:state state_ref="oval:org.debian.oval:ste:3"/>
    </linux-def:dpkginfo_test>
    <linux-def:dpkginfo_test id="oval:org.debian.oval:tst:4">
      <linux-def:object object_ref="oval:org.debian.oval:obj:4"/><linux-def:state state_ref="oval:org.debian.oval:ste:4"/>
    </linux-def:dpkginfo_test>
    <linux-def:dpkginfo_test id="oval:org.debian.oval:tst:5">
      <linux-def:object object_ref="oval:org.debian.oval:obj:3"/><linux-def:state state_ref="oval:org.debian.oval:ste:5"/>
    </linux-def:dpkginfo_test>
  </tests>
  <objects>
    <linux-def:dpkginfo_object id="oval:org.debian.oval:obj:3"><linux-def:name>tool</linux-def:name></linux-def:dpkginfo_object>
    <linux-def:dpkginfo_object id="oval:org.debian.oval:obj:4"><linux-def:name>other</linux-def:name></linux-def:dpkginfo_object>
  </objects>
  <states>
    <linux-def:dpkginfo_state id="oval:org.debian.oval:ste:3">
      <linux-def:evr datatype="debian_evr_string" operation="less than">0:1.0-2</linux-def:evr></linux-def:dpkginfo_state>
    <linux-def:dpkginfo_state id="oval:org.debian.oval:ste:4">
      <linux-def:evr datatype="debian_evr_string" operation="less than">1:2.0-1</linux-def:evr></linux-def:dpkginfo_state>
    <linux-def:dpkginfo_state id="oval:org.debian.oval:ste:5">
      <linux-def:evr datatype="debian_evr_string" operation="less than">0:0</linux-def:evr></linux-def:dpkginfo_state>
  </states>
</oval_definitions>
)";

TEST(OvalTest, DebiansDefinitions) {
  const AdvisoryFeed feed = Feed(kOval);
  ASSERT_EQ(feed.entries.size(), 3U);
  EXPECT_EQ(feed.unfixed, 1U);
  EXPECT_EQ(feed.not_understood, 1U);
  EXPECT_EQ(feed.entries[0].source, "tool");
  EXPECT_EQ(feed.entries[0].advisory, (Advisory{"CVE-2026-0001", "", "", "1.0-2"}));
  EXPECT_EQ(feed.entries[1].source, "other");
  EXPECT_EQ(feed.entries[1].advisory, (Advisory{"CVE-2026-0002", "DSA-1-1", "", "1:2.0-1"}));
  EXPECT_TRUE(feed.entries[0].Affects("1.0-1"));
  EXPECT_FALSE(feed.entries[0].Affects("1.0-2"));
  const AdvisoryFeed bullseye = Feed(kOval, "bullseye");
  ASSERT_EQ(bullseye.entries.size(), 1U);
  EXPECT_EQ(bullseye.entries[0].advisory.id, "CVE-2026-0005");
  EXPECT_TRUE(Feed(kOval, "Ubuntu:24.04").entries.empty());
}

TEST(OvalTest, PackedAsDebianHasIt) {
  char name[] = "/tmp/assay-oval.XXXXXX";
  const std::string dir = mkdtemp(name);
  ASSERT_THAT(WriteFileAtomic(dir + "/oval.xml", AsBytes(kOval), 0600), IsOk());
  const auto packed = RunProgram({"bzip2", dir + "/oval.xml"}, "/");
  ASSERT_TRUE(packed && packed->exit_code == 0);
  const auto feed = ReadAdvisories({dir}, {.release = *ReleaseOf("bookworm")});
  ASSERT_THAT(feed, IsOk());
  EXPECT_EQ(feed->files, 1U);
  EXPECT_EQ(feed->entries.size(), 3U);
  std::filesystem::remove_all(dir);
}

TEST(XmlTest, WhatIsHostileIsRefused) {
  const FeedOptions options{.release = *ReleaseOf("bookworm")};
  AdvisoryFeed feed;
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<oval_definitions>";
  const std::string bomb =
      R"(<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><oval_definitions>&b;</oval_definitions>)";
  const std::string outside =
      R"(<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><oval_definitions>&a;</oval_definitions>)";
  for (const std::string& text :
       {std::string("<"), std::string("<a/>"), std::string("<oval_definitions>"),
        std::string("<oval_definitions>&nbsp;</oval_definitions>"), deep, bomb, outside})
    EXPECT_THAT(ParseAdvisories(text, options, feed), FailsWith("parse.advisories")) << text;
  EXPECT_TRUE(feed.entries.empty());
  EXPECT_EQ(feed.files, 0U);
}

// A product of a release: by the distro of its purl, or by the CPE of the platform that it is a part of.
constexpr std::string_view kCsaf = R"({
  "document": {"category": "csaf_vex", "csaf_version": "2.0", "title": "x", "tracking": {"id": "VENDOR-7"},
               "aggregate_severity": {"text": "Important"}},
  "product_tree": {
    "branches": [{"category": "vendor", "name": "v", "branches": [
      {"category": "product_version", "name": "1", "product": {"product_id": "fixed12", "name": "x",
        "product_identification_helper": {"purl": "pkg:deb/debian/tool@1%3A1.0-2%2Bdeb12u1?arch=source&distro=bookworm"}}},
      {"category": "product_version", "name": "1", "product": {"product_id": "fixed11", "name": "x",
        "product_identification_helper": {"purl": "pkg:deb/debian/tool@0.9-9?arch=source&distro=debian-11.2"}}},
      {"category": "product_version", "name": "1", "product": {"product_id": "binary", "name": "x",
        "product_identification_helper": {"purl": "pkg:deb/debian/libtool3@2.0-1?arch=amd64&upstream=tool2%402.0-1"}}},
      {"category": "product_version", "name": "1", "product": {"product_id": "rpm", "name": "x",
        "product_identification_helper": {"purl": "pkg:rpm/x/tool@1?distro=bookworm"}}}]}],
    "full_product_names": [
      {"product_id": "platform", "name": "x", "product_identification_helper": {"cpe": "cpe:/o:debian:debian_linux:12"}},
      {"product_id": "any", "name": "x", "product_identification_helper": {"purl": "pkg:deb/debian/open?distro=debian-12"}}],
    "relationships": [{"category": "default_component_of", "product_reference": "binary",
      "relates_to_product_reference": "platform", "full_product_name": {"product_id": "platform:binary", "name": "x"}}]},
  "vulnerabilities": [
    {"cve": "CVE-2026-0001", "product_status": {"fixed": ["fixed12", "fixed11", "rpm"]},
     "scores": [{"products": ["fixed12"], "cvss_v3": {"baseSeverity": "CRITICAL"}}]},
    {"cve": "CVE-2026-0002", "product_status": {"known_affected": ["platform:binary"]},
     "threats": [{"category": "impact", "details": "Moderate"}]},
    {"cve": "CVE-2026-0003", "product_status": {"known_affected": ["any"], "known_not_affected": ["fixed12"]}},
    {"cve": "CVE-2026-0004", "product_status": {"known_affected": ["binary", "nothing"], "fixed": ["any"]}}]})";

TEST(CsafTest, ProductsOfTheRelease) {
  const AdvisoryFeed feed = Feed(kCsaf);
  EXPECT_EQ(feed.unfixed, 2U);
  EXPECT_EQ(feed.not_understood, 1U);
  ASSERT_EQ(feed.entries.size(), 1U);
  EXPECT_EQ(feed.entries[0].source, "tool");
  EXPECT_EQ(feed.entries[0].advisory, (Advisory{"CVE-2026-0001", "VENDOR-7", "critical", "1:1.0-2+deb12u1"}));
  EXPECT_TRUE(feed.entries[0].Affects("1:1.0-2"));
  EXPECT_FALSE(feed.entries[0].Affects("1:1.0-2+deb12u1"));
  const AdvisoryFeed all = Feed(kCsaf, "bookworm", true);
  ASSERT_EQ(all.entries.size(), 3U);
  EXPECT_EQ(all.entries[1].source, "tool2");
  EXPECT_EQ(all.entries[1].advisory, (Advisory{"CVE-2026-0002", "VENDOR-7", "medium", ""}));
  EXPECT_TRUE(all.entries[1].Affects("2.0-1"));
  EXPECT_FALSE(all.entries[1].Affects("2.0-2"));
  EXPECT_EQ(all.entries[2].source, "open");
  EXPECT_EQ(all.entries[2].advisory.severity, "high");
  EXPECT_TRUE(all.entries[2].Affects("99"));
  EXPECT_EQ(Feed(kCsaf, "bullseye").entries.at(0).advisory.fixed, "0.9-9");
}

TEST(CsafTest, WhatIsNoCsafIsNamed) {
  const FeedOptions options{.release = *ReleaseOf("bookworm")};
  AdvisoryFeed feed;
  for (
      const char* text :
      {R"({"document": {"csaf_version": "2.0"}})",
       R"({"document": {"csaf_version": "2.0", "tracking": {"id": 3}}})",
       R"({"document": {"csaf_version": "2.0", "tracking": {"id": "x"}}, "product_tree": {"branches": {}}})",
       R"({"document": {"csaf_version": "2.0", "tracking": {"id": "x"}}, "vulnerabilities": [{"product_status": 1}]})"})
    EXPECT_THAT(ParseAdvisories(text, options, feed), FailsWith("parse.advisories")) << text;
  // A product that is a component of itself is no package.
  EXPECT_TRUE(
      Feed(R"({"document": {"csaf_version": "2.0", "tracking": {"id": "x"}}, "product_tree": {"relationships":
    [{"product_reference": "a", "relates_to_product_reference": "a", "full_product_name": {"product_id": "a"}}]},
    "vulnerabilities": [{"product_status": {"known_affected": ["a"]}}]})",
           "bookworm", true)
          .entries.empty());
}

}  // namespace
}  // namespace assay::reference
