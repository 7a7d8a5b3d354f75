// Internal, for tests: good evidence, in which a test breaks one rule of the verifier at a time.
//
//   TEST_F(RulesTest, ExampleOfAnUnknownFile) {
//     host_.File("unknown", "/x");
//     ExpectStays({"entry.unknown"});
//   }
//
// Contract: the AK (a key of the test) signs the changed evidence too, so that the verifier judges the rule
// and not the signature.
#pragma once

#include <gtest/gtest.h>

#include "appraise/result.h"
#include "appraise/synthetic.h"

namespace assay::appraise {

using Names = std::set<std::string>;

class RulesTest : public ::testing::Test {
 protected:
  RulesTest() {
    policy_.allow_first_use = true;
    for (int i = 0; i < 5; ++i) {
      host_.Know(fmt::format("content {}", i), fmt::format("/usr/bin/p{}", i));
      host_.File(fmt::format("content {}", i), fmt::format("/usr/bin/p{}", i));
    }
  }
  Appraisal Judge(const evidence::Evidence& e, std::uint64_t first = 0) const {
    return Appraise(host_.Ask(e, nonce_, first), state_, host_, policy_);
  }
  Appraisal Judge(const std::function<void(evidence::Claims&)>& edit = {}) const {
    return Judge(host_.Quote(nonce_, 0, edit));
  }
  // The next round, which begins where the last one ended.
  Appraisal Next() const { return Judge(host_.Quote(nonce_, state_.records), state_.records); }
  void Reboot() {
    ++host_.clock.reset_count;
    host_.clock.clock += 60'000;
    host_.boot_id += "+";
  }
  static Names Of(const Appraisal& a, bool weighing) {
    Names names;
    for (const Finding& f : a.findings)
      if ((f.weight != Verdict::kTrusted) == weighing) names.emplace(NameText(f.name));
    return names;
  }
  // Of the first finding with this name, or "".
  static std::string TextOf(const Appraisal& a, FindingName name) {
    for (const Finding& f : a.findings)
      if (f.name == name) return f.text;
    return "";
  }
  static void ExpectOnly(const Appraisal& a, const Names& names) {
    EXPECT_EQ(Of(a, true), names) << Describe(a, false, false);
    EXPECT_EQ(a.verdict == Verdict::kTrusted, names.empty());
  }
  static void ExpectInfo(const Appraisal& a, const std::string& name) {
    ExpectOnly(a, {});
    EXPECT_TRUE(Of(a, false).contains(name)) << Describe(a, false, false);
  }
  // A weighing finding stays through rounds that bring nothing new.
  void ExpectStays(const Names& names) {
    const Appraisal a = Judge();
    ExpectOnly(a, names);
    state_ = a.host;
    for (int i = 0; i < 2; ++i) {
      const Appraisal next = Next();
      ExpectOnly(next, names);
      state_ = next.host;
    }
  }

  SyntheticHost host_;
  HostState state_;
  Policy policy_;
  evidence::Nonce nonce_ = evidence::Nonce::Filled(7);
};

}  // namespace assay::appraise
