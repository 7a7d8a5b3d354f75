// Configuration by which programs act: the package's default, what the owner has accepted, and what was
// changed.
#include "measure/policy/configuration.h"

#include <gtest/gtest.h>

#include "appraise/rules_fixture.h"
#include "appraise/trusted.h"

namespace assay::appraise {
namespace {

class ConfigurationTest : public RulesTest {
 protected:
  ConfigurationTest() { host_.Know("default", "/etc/sudoers"); }
  Appraisal JudgeOf(const SyntheticHost& host) const {
    return Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host, policy_, {}, trusted_);
  }
  // What a program read as configuration.
  Appraisal With(std::string_view content, const char* path) const {
    SyntheticHost host = host_;
    host.File(content, measure::ConfigurationName(path));
    return JudgeOf(host);
  }
  void Accept(std::string_view content, const char* path) {
    trusted_.entries.push_back({.digest = DigestOf(content).ToString(),
                                .path = path,
                                .who = "anna",
                                .why = "our rules",
                                .when_ms = 1'796'000'000'000});
  }
  static std::string TextIn(const Appraisal& a) { return TextOf(a, FindingName::kEntryConfiguration); }
  void ExpectNoted(const Appraisal& a, const char* part) const {
    ExpectInfo(a, "entry.configuration");
    EXPECT_NE(TextIn(a).find(part), std::string::npos) << TextIn(a);
  }
  void ExpectTold(const Appraisal& a, const char* part) const {
    ExpectOnly(a, {"entry.configuration"});
    EXPECT_NE(TextIn(a).find(part), std::string::npos) << TextIn(a);
  }
  TrustedList trusted_;
};

TEST_F(ConfigurationTest, ThePackagesDefaultIsGood) {
  const Appraisal a = With("default", "/etc/sudoers");
  ExpectOnly(a, {});
  EXPECT_EQ(TextIn(a), "");
}

TEST_F(ConfigurationTest, WhatIsNotTheDefaultIsToldUntilTheOwnerAcceptsIt) {
  const Appraisal a = With("changed", "/etc/sudoers");
  ExpectTold(a, "the configuration /etc/sudoers is not the default of");
  ExpectTold(a, "has accepted no content");
  Accept("changed", "/etc/sudoers");
  ExpectOnly(With("changed", "/etc/sudoers"), {});
  ExpectTold(With("changed again", "/etc/sudoers"), "changed since the owner accepted it (anna, 2026-");
  ExpectOnly(With("default", "/etc/sudoers"), {});
}

// A machine that nobody has looked at yet has such files; an owner who accepts them sees each change.
TEST_F(ConfigurationTest, WhatNothingIsKnownOfIsNoted) {
  ExpectNoted(With("a key", "/home/anna/.ssh/authorized_keys"), "is of no package");
  policy_.configuration_fails = true;
  ExpectTold(With("a key", "/home/anna/.ssh/authorized_keys"), "has accepted no content");
  Accept("a key", "/home/anna/.ssh/authorized_keys");
  ExpectOnly(With("a key", "/home/anna/.ssh/authorized_keys"), {});
  ExpectTold(With("a key", "/root/.ssh/authorized_keys"), "is of no package");
  policy_.configuration_fails = false;
  ExpectNoted(With("a key", "/root/.ssh/authorized_keys"), "is of no package");
  ExpectTold(With("another key", "/home/anna/.ssh/authorized_keys"), "changed since the owner accepted it");
}

// As ucf copies it, and as a unit that is copied to be altered.
TEST_F(ConfigurationTest, ADefaultMayLieElsewhere) {
  host_.Know("sshd", "/usr/share/openssh/sshd_config");
  ExpectOnly(With("sshd", "/etc/ssh/sshd_config"), {});
  ExpectTold(With("ours", "/etc/ssh/sshd_config"), "is not the default of");
  ExpectTold(With("content 1", "/etc/ssh/sshd_config"), "is /usr/bin/p1 of");
  ExpectTold(With("sshd", "/etc/sudoers"), "is /usr/share/openssh/sshd_config of");
  // Known content of another name says nothing of what it does there.
  ExpectNoted(With("content 1", "/etc/sudoers.d/x"), "is /usr/bin/p1 of");
  Accept("content 1", "/etc/sudoers.d/x");
  ExpectOnly(With("content 1", "/etc/sudoers.d/x"), {});
}

// Only the record says that a file was read as configuration: the same file as code is judged as code.
TEST_F(ConfigurationTest, CodeAtSuchAPathIsCode) {
  SyntheticHost host = host_;
  host.File("script", "/etc/cron.d/x");
  ExpectOnly(JudgeOf(host), {"entry.unknown"});
  host.File("changed", "/etc/sudoers");
  ExpectOnly(JudgeOf(host), {"entry.changed", "entry.unknown"});
}

TEST_F(ConfigurationTest, WhatIsRevokedStaysSo) {
  host_.Know("revoked", "/etc/sudoers.d/x", Standing::kRevoked);
  ExpectOnly(With("revoked", "/etc/sudoers.d/x"), {"entry.revoked"});
  host_.File("changed", measure::ConfigurationName("/etc/sudoers"));
  ExpectStays({"entry.configuration"});
}

}  // namespace
}  // namespace assay::appraise
