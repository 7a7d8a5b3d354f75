#include "appraise/result.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "appraise/finding_names.h"
#include "appraise/synthetic.h"

namespace assay::appraise {
namespace {

using nlohmann::json;

TEST(ResultTest, EarIsSignedAndRead) {
  Appraisal a;
  a.verdict = Verdict::kNotTrusted;
  Finding f;
  f.name = FindingName::kEntryUnknown;
  f.path = "/tmp/\x1b[31m";
  f.text = "the file /tmp/\x1b[31m";
  a.findings.push_back(f);
  const PrivateKey key = *PrivateKey::GenerateP256();
  const EarContext context{.host = "h",
                           .verifier_build = "assay",
                           .nonce = evidence::Nonce::Filled(1),
                           .now_ms = 1000,
                           .valid_s = 300};
  const std::string jwt = *SignEar(a, context, key);
  const auto claims = VerifyEar(jwt, key.Public());
  ASSERT_TRUE(claims) << claims.error().Message();
  const json j = json::parse(*claims);
  EXPECT_EQ(j["submods"]["h"]["ear.status"], 96);
  EXPECT_EQ(j["exp"], 301);
  EXPECT_FALSE(VerifyEar(jwt, PrivateKey::GenerateP256()->Public()));
  EXPECT_FALSE(VerifyEar(jwt + "x", key.Public()));
  EXPECT_FALSE(VerifyEar(jwt.substr(0, jwt.rfind('.')), key.Public()));
  EXPECT_EQ(Describe(a, false, false).find('\x1b'), std::string::npos);
}

// Well signed, and still no result: another algorithm in the header, a header that changes the meaning,
// another profile.
TEST(ResultTest, SignedOtherwise) {
  const PrivateKey key = *PrivateKey::GenerateP256();
  auto jwt = [&](const std::string& head, const std::string& claims) {
    const std::string part = Base64Url(AsBytes(head)) + "." + Base64Url(AsBytes(claims));
    return part + "." + Base64Url(*key.SignEs256(AsBytes(part)));
  };
  const std::string good = R"({"eat_profile":"tag:github.com,2023:veraison/ear"})";
  EXPECT_TRUE(VerifyEar(jwt(R"({"alg":"ES256"})", good), key.Public()));
  EXPECT_FALSE(VerifyEar(jwt(R"({"alg":"none"})", good), key.Public()));
  EXPECT_FALSE(VerifyEar(jwt(R"({"alg":"ES256","crit":["b64"]})", good), key.Public()));
  EXPECT_FALSE(VerifyEar(jwt(R"({"alg":"ES256"})", R"({"eat_profile":"other"})"), key.Public()));
  EXPECT_FALSE(VerifyEar(jwt(R"({"alg":"ES256"})", "[]"), key.Public()));
}

TEST(ResultTest, NoControlCharacterReachesATerminal) {
  Appraisal a;
  Finding f;
  f.name = FindingName::kEntryUnknown;
  f.text =
      "\x1b[2J \x07 \x7f \xc2\x9b"
      "1m \xc3\xa4 \n";
  evidence::ContextEntry context;
  context.time_ms = ~std::uint64_t{0};
  context.comm = "\r";
  f.context = context;
  a.findings.push_back(f);
  const std::string text = Describe(a, true, false);
  EXPECT_EQ(text.find_first_of("\x1b\x07\x7f\r"), std::string::npos);
  EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
  EXPECT_NE(text.find("\xc3\xa4"), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
}

// A right-to-left override, and a byte that is no UTF-8.
TEST(ResultTest, NothingMakesALineReadAsAnother) {
  Appraisal a;
  Finding f;
  f.name = FindingName::kEntryUnknown;
  f.text = "the file /tmp/\xE2\x80\xAEtxt.sh\xFF";
  a.findings.push_back(f);
  EXPECT_NE(Describe(a, false, false).find(R"(/tmp/\xe2\x80\xaetxt.sh\xff)"), std::string::npos);
}

TEST(PolicyTest, RoundTripAndRefusals) {
  Policy p;
  p.interpreters = {"/usr/bin/bash"};
  p.allowed_eks = {"000b" + std::string(64, 'a')};
  const auto again = ParsePolicy(EncodePolicy(p));
  ASSERT_TRUE(again) << again.error().Message();
  EXPECT_EQ(EncodePolicy(*again), EncodePolicy(p));
  EXPECT_FALSE(ParsePolicy(R"({"allowed_eks": ["000b"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"quote_banks": ["sha1"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"file_algs": ["sha1"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"pcr": 16})"));
  EXPECT_FALSE(ParsePolicy(R"({"no_such": 1})"));
  EXPECT_FALSE(ParsePolicy(R"({"pcr": 10, "pcr": 11})"));
  EXPECT_FALSE(ParsePolicy(R"({"quote_banks": []})"));
  EXPECT_FALSE(ParsePolicy(R"({"pinned_ak": "000b"})"));
  EXPECT_FALSE(ParsePolicy(R"({"allowed": ["sha256:00"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"allowed": ["00"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"attester_policies": ["sha256:)" + std::string(64, 'A') + R"("]})"));
  EXPECT_TRUE(ParsePolicy(R"({"allowed": ["sha256:)" + std::string(64, 'a') + R"("]})"));
}

TEST(PolicyTest, WhatIsAcceptedOfTheAttester) {
  Policy p;
  const std::string digest = DigestOf("x").ToString(), quoted = '"' + digest + '"';
  p.measures_at_least = "exec";
  p.max_group_ms = 7;
  p.attester_manifests = {digest};
  p.manifest_keys = {Base64(PrivateKey::GenerateP256()->Public().Der())};
  p.allowed_cgroups = {"/system.slice/x.service"};
  p.require_reach = Reach::kBoot;
  p.allowed_violations[digest] = {"anonymous_code", "mprotect"};
  const auto again = ParsePolicy(EncodePolicy(p));
  ASSERT_TRUE(again) << again.error().Message();
  EXPECT_EQ(EncodePolicy(*again), EncodePolicy(p));
  EXPECT_EQ(again->require_reach, Reach::kBoot);
  EXPECT_FALSE(ParsePolicy(R"({"measures_at_least": "nothing"})"));
  EXPECT_FALSE(ParsePolicy(R"({"manifest_keys": ["AAAA"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"allowed_cgroups": ["*"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"require_reach": "moon"})"));
  for (const char* kind :
       {"open_writers", "ToMToU", "unmeasurable", "unanswered", "kexec_load", "guarded", "typo"})
    EXPECT_FALSE(ParsePolicy(R"({"allowed_violations": [{"program": )" + quoted + R"(, "kinds": [")" + kind +
                             R"("]}]})"))
        << kind;
  EXPECT_FALSE(
      ParsePolicy(R"({"allowed_violations": [{"program": "/usr/bin/java", "kinds": ["mprotect"]}]})"));
}

// What there was once is refused by a sentence that says what came in its place.
TEST(PolicyTest, FormerMembers) {
  const auto paths = ParsePolicy(R"({"allowed_paths": ["*"]})");
  ASSERT_FALSE(paths);
  EXPECT_NE(paths.error().Message().find("allowed_cgroups"), std::string::npos);
  const auto violations = ParsePolicy(R"({"violations_fail": false})");
  ASSERT_FALSE(violations);
  EXPECT_NE(violations.error().Message().find("allowed_violations"), std::string::npos);
}

// What an earlier verifier was content with is judged anew: the keys are kept, the list is asked for again.

}  // namespace
}  // namespace assay::appraise
