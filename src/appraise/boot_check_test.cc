#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "appraise/finding_names.h"
#include "appraise/synthetic.h"
#include "appraise/synthetic_boot.h"

namespace assay::appraise {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class BootCheckTest : public ::testing::Test {
 protected:
  BootCheckTest() {
    policy_.allow_first_use = true;
    policy_.require_secure_boot = true;
  }
  // The names of what weighs about a boot that was to be as the expected ones.
  std::vector<std::string> Judge(const MeasuredBoot& now, const std::vector<boot::ExpectedBoot>& expected,
                                 const std::function<void(SyntheticHost&, evidence::Evidence&)>& edit = {}) {
    SyntheticHost host(now.pcrs, initramfs_);
    evidence::Evidence e = host.Quote(nonce_);
    e.event_log = now.log;
    if (edit) edit(host, e);
    appraisal_ = Appraise(host.Ask(e, nonce_), HostState{}, host, policy_, expected);
    std::vector<std::string> names;
    for (const Finding& f : appraisal_.findings)
      if (f.weight != Verdict::kTrusted) names.emplace_back(NameText(f.name));
    return names;
  }
  std::vector<std::string> Altered(const UkiBoot& boot) {
    return Judge(MeasureBoot(boot), {MeasureBoot().expected});
  }

  evidence::Nonce nonce_ = evidence::Nonce::Filled(7);
  Policy policy_;
  bool initramfs_ = false;
  Appraisal appraisal_;
};

TEST_F(BootCheckTest, TheExpectedBootIsTrusted) {
  const MeasuredBoot boot = MeasureBoot();
  EXPECT_THAT(Judge(boot, {boot.expected}), IsEmpty());
  EXPECT_EQ(appraisal_.verdict, Verdict::kTrusted);
  EXPECT_THAT(Judge(boot, {MeasureBoot({.kernel = "older"}).expected, boot.expected}), IsEmpty());
}

TEST_F(BootCheckTest, EachAlterationHasItsName) {
  EXPECT_THAT(Altered({.secure_boot = false}), ElementsAre("boot.secure-boot"));
  EXPECT_THAT(Altered({.keys = "other"}), ElementsAre("boot.secure-boot-keys"));
  EXPECT_THAT(Altered({.firmware = "v2"}), ElementsAre("boot.firmware"));
  EXPECT_THAT(Altered({.order = "0002"}), ElementsAre("boot.settings"));
  EXPECT_THAT(Altered({.command_line = "init=/bin/sh"}),
              UnorderedElementsAre("boot.cmdline", "boot.program"));
  EXPECT_THAT(Altered({.kernel = "other"}), UnorderedElementsAre("boot.kernel", "boot.program"));
  EXPECT_THAT(Altered({.initrd = "other"}), UnorderedElementsAre("boot.initrd", "boot.program"));
  EXPECT_THAT(Altered({.system = "other"}), UnorderedElementsAre("boot.disk", "boot.program"));
  EXPECT_THAT(Altered({.shim = "other"}), ElementsAre("boot.changed"));
  EXPECT_THAT(Altered({.loader = "set root=other"}), ElementsAre("boot.loader"));
  EXPECT_THAT(Altered({.addon = "addon"}), ElementsAre("boot.addon"));
}

// GRUB's event has the text of the command line.
TEST_F(BootCheckTest, ACommandLineIsPrintedAsItWasAndIs) {
  const auto boot = [](const std::string& line) {
    UkiBoot b;
    b.cmdline_label = "kernel_cmdline: " + line;
    return MeasureBoot(b);
  };
  EXPECT_THAT(Judge(boot("/vmlinuz init=/bin/sh"), {boot("/vmlinuz quiet").expected}),
              ElementsAre("boot.cmdline"));
  EXPECT_EQ(appraisal_.findings.back().text,
            "the command line is '/vmlinuz init=/bin/sh', expected was '/vmlinuz quiet'");
}

TEST_F(BootCheckTest, SecureBootIsDemandedWithoutAnExpectedBootToo) {
  EXPECT_THAT(Judge(MeasureBoot({.secure_boot = false}), {}), ElementsAre("boot.secure-boot"));
  EXPECT_THAT(Judge(MeasureBoot(), {}), IsEmpty());
}

TEST_F(BootCheckTest, NothingIsDemandedNothingIsJudged) {
  policy_.require_secure_boot = false;
  EXPECT_THAT(Judge(MeasureBoot({.secure_boot = false}), {}), IsEmpty());
  EXPECT_THAT(appraisal_.findings, Contains(::testing::Field(&Finding::name, FindingName::kBootNotJudged)));
}

TEST_F(BootCheckTest, ALogMustReplayToTheQuote) {
  const MeasuredBoot good = MeasureBoot(), bad = MeasureBoot({.secure_boot = false, .initrd = "other"});
  EXPECT_THAT(
      Judge(bad, {good.expected}, [&](SyntheticHost&, evidence::Evidence& e) { e.event_log = good.log; }),
      ElementsAre("boot.log-mismatch"));
  EXPECT_THAT(
      Judge(good, {good.expected}, [](SyntheticHost&, evidence::Evidence& e) { e.event_log.clear(); }),
      ElementsAre("boot.no-log"));
  EXPECT_THAT(
      Judge(good, {good.expected}, [](SyntheticHost&, evidence::Evidence& e) { e.event_log.resize(40); }),
      ElementsAre("boot.log-malformed"));
}

TEST_F(BootCheckTest, EachPcrOfTheBootMustBeQuoted) {
  MeasuredBoot boot = MeasureBoot();
  boot.pcrs.erase(12);
  EXPECT_THAT(Judge(boot, {boot.expected}), ElementsAre("boot.not-quoted"));
}

TEST_F(BootCheckTest, PhasesOfARunningSystemdAreKnown) {
  MeasuredBoot boot = MeasureBoot();
  for (const char* phase : {"sysinit", "ready"}) boot.pcrs[11] = ExtendPcr(boot.pcrs[11], DigestOf(phase));
  EXPECT_THAT(Judge(boot, {boot.expected}), IsEmpty());
  boot.pcrs[11] = ExtendPcr(boot.pcrs[11], DigestOf("sysinit"));
  EXPECT_THAT(Judge(boot, {boot.expected}), ElementsAre("boot.log-mismatch"));
}

TEST_F(BootCheckTest, ALogWithoutExitBootServicesIsNamedAndMayBeAllowed) {
  MeasuredBoot boot = MeasureBoot({.exit_logged = false});
  for (const std::string_view text : {boot::kExitInvocation, boot::kExitSuccess})
    boot.pcrs[5] = ExtendPcr(boot.pcrs[5], Hash(HashAlg::kSha256, AsBytes(text)));
  EXPECT_THAT(Judge(boot, {boot.expected}), ElementsAre("boot.log-mismatch"));
  EXPECT_THAT(appraisal_.findings, Contains(::testing::Field(&Finding::name, FindingName::kBootExitMissing)));
  policy_.allow_missing_exit = true;
  EXPECT_THAT(Judge(boot, {boot.expected}), IsEmpty());
  // Exactly these two.
  boot.pcrs[5] = ExtendPcr(boot.pcrs[5], boot.pcrs[5]);
  EXPECT_THAT(Judge(boot, {boot.expected}), ElementsAre("boot.log-mismatch"));
}

TEST_F(BootCheckTest, WhatAPredictionLeavesOpenIsNotTrusted) {
  const MeasuredBoot boot = MeasureBoot();
  boot::ExpectedBoot predicted = boot.expected;
  std::erase_if(predicted.events, [](const boot::ExpectedEvent& e) { return e.index == 12; });
  predicted.open.push_back({.index = 12, .reason = "another stub"});
  EXPECT_THAT(Judge(boot, {predicted}), ElementsAre("boot.open"));
  EXPECT_EQ(appraisal_.verdict, Verdict::kUnknown);
  EXPECT_THAT(Judge(boot, {predicted, boot.expected}), IsEmpty());
}

TEST_F(BootCheckTest, OtherBanksCanNotBeCompared) {
  const MeasuredBoot boot = MeasureBoot();
  boot::ExpectedBoot other = boot.expected;
  other.bank = HashAlg::kSha384;
  EXPECT_THAT(Judge(boot, {other}), ElementsAre("boot.not-comparable"));
  boot::LogBuilder old({HashAlg::kSha1});
  old.Firmware();
  EXPECT_THAT(
      Judge(boot, {boot.expected}, [&](SyntheticHost&, evidence::Evidence& e) { e.event_log = old.bytes(); }),
      ElementsAre("boot.no-bank"));
}

TEST_F(BootCheckTest, AnEarlyStartCanBeDemanded) {
  policy_.require_early_start = true;
  const MeasuredBoot boot = MeasureBoot();
  EXPECT_THAT(Judge(boot, {boot.expected}), ElementsAre("own.late-engine"));
  initramfs_ = true;
  EXPECT_THAT(Judge(boot, {boot.expected}), IsEmpty());
}

}  // namespace
}  // namespace assay::appraise
