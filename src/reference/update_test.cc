// Hosts and their verifier through updates: what is vulnerable is told, what is legitimate is not, and what
// goes back or was altered is found.
#include <gtest/gtest.h>

#include "appraise/synthetic.h"
#include "reference/reference_testing.h"
#include "reference/update_year_testing.h"

namespace assay::reference {
namespace {

using appraise::Appraisal;
using appraise::FindingName;

// The changelog and the advisory of openssl in Debian 12, and packages that stand for its files.
class OldOpenssl : public ReferenceFixture {
 protected:
  std::string Deb(const std::string& version) {
    std::filesystem::remove_all(dir_ + "/libssl3");
    Put("/libssl3/usr/lib/x86_64-linux-gnu/libssl.so.3", "libssl of " + version);
    Put("/libssl3/DEBIAN/control",
        "Package: libssl3\nSource: openssl\nVersion: " + version +
            "\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: x\n");
    const std::string deb = dir_ + "/libssl3_" + version + ".deb";
    const auto o = RunProgram({"dpkg-deb", "--root-owner-group", "-b", dir_ + "/libssl3", deb}, "/");
    EXPECT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
    return deb;
  }
};

TEST_F(OldOpenssl, AnAppraisalNamesTheAdvisoryAndTheFixedVersion) {
  AdvisoryFeed feed;
  ASSERT_THAT(ParseAdvisories(R"({"openssl": {"CVE-2024-6119": {"scope": "remote", "releases": {"bookworm":
      {"status": "resolved", "fixed_version": "3.0.14-1~deb12u2", "urgency": "high"}}}}})",
                              {.release = *ReleaseOf("bookworm")}, feed),
              IsOk());
  Builder builder;
  ASSERT_THAT(builder.AddDeb(Deb("3.0.14-1~deb12u1")), IsOk());
  ASSERT_THAT(builder.AddDeb(Deb("3.0.14-1~deb12u2")), IsOk());
  builder.UseAdvisories(feed.entries);
  const auto index = Written(builder);
  for (const bool fixed : {false, true}) {
    const std::string version = fixed ? "3.0.14-1~deb12u2" : "3.0.14-1~deb12u1";
    appraise::SyntheticHost host;
    host.File("libssl of " + version, "/usr/lib/x86_64-linux-gnu/libssl.so.3");
    appraise::Policy policy;
    policy.allow_first_use = true;
    policy.attester_digests.insert(DigestOf("assayd").ToString());
    policy.allowed.insert(DigestOf("assayd").ToString());
    const evidence::Nonce nonce = evidence::Nonce::Filled(1);
    const evidence::Evidence evidence = host.Quote(nonce);
    const Appraisal a = Appraise(host.Ask(evidence, nonce), {}, *index, policy);
    EXPECT_EQ(a.verdict == appraise::Verdict::kTrusted, fixed);
    std::string text;
    for (const appraise::Finding& f : a.findings)
      if (f.name == FindingName::kEntryVulnerable) text = f.text;
    EXPECT_EQ(text, fixed
                        ? ""
                        : "/usr/lib/x86_64-linux-gnu/libssl.so.3 is /usr/lib/x86_64-linux-gnu/libssl.so.3 of "
                          "libssl3 3.0.14-1~deb12u1, which is vulnerable: CVE-2024-6119 (high), fixed in "
                          "3.0.14-1~deb12u2");
  }
}

// A short one; the test `update-year` has a year, and `bench/run update-year` a hundred hosts too.
TEST_F(ReferenceFixture, AYearOfUpdatesHasNoFalseAlarm) {
  for (const unsigned seed : {1U, 2U}) {
    UpdateYear year({.seed = seed, .days = 60, .hosts = 4, .packages = 8, .folder = dir_});
    const auto outcome = year.Run();
    ASSERT_THAT(outcome, IsOk());
    EXPECT_EQ(outcome->false_alarms, 0U) << seed << ": " << outcome->first_false_alarm;
    EXPECT_GT(outcome->planted, 0U);
    EXPECT_EQ(outcome->found, outcome->planted) << seed << ": " << outcome->first_missed;
    EXPECT_GT(outcome->upgrades, 20U);
    EXPECT_GT(outcome->hosts_first, 0U);
  }
}

}  // namespace
}  // namespace assay::reference
