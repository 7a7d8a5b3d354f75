#include "appraise/result.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace assay::appraise {
namespace {

using nlohmann::json;

TEST(ResultTest, EarIsSignedAndRead) {
  Appraisal a;
  a.verdict = Verdict::kNotTrusted;
  Finding f;
  f.name = "entry.unknown";
  f.path = "/tmp/\x1b[31m";
  f.text = "the file /tmp/\x1b[31m";
  a.findings.push_back(f);
  const PrivateKey key = *PrivateKey::GenerateP256();
  const EarContext context{
      .host = "h", .verifier_build = "assay", .nonce = Bytes(32, 1), .now_ms = 1000, .valid_s = 300};
  const std::string jwt = *SignEar(a, context, key);
  const auto claims = VerifyEar(jwt, key.Public());
  ASSERT_TRUE(claims) << claims.error().Message();
  const json j = json::parse(*claims);
  EXPECT_EQ(j["submods"]["h"]["ear.status"], 96);
  EXPECT_EQ(j["exp"], 301);
  EXPECT_FALSE(VerifyEar(jwt, PrivateKey::GenerateP256()->Public()));
  EXPECT_FALSE(VerifyEar(jwt + "x", key.Public()));
  EXPECT_EQ(Describe(a, false, false).find('\x1b'), std::string::npos);
}

TEST(PolicyTest, RoundTripAndRefusals) {
  Policy p;
  p.interpreters = {"/usr/bin/bash"};
  const auto again = ParsePolicy(EncodePolicy(p));
  ASSERT_TRUE(again) << again.error().Message();
  EXPECT_EQ(EncodePolicy(*again), EncodePolicy(p));
  EXPECT_FALSE(ParsePolicy(R"({"quote_banks": ["sha1"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"file_algs": ["sha1"]})"));
  EXPECT_FALSE(ParsePolicy(R"({"pcr": 16})"));
  EXPECT_FALSE(ParsePolicy(R"({"no_such": 1})"));
}

}  // namespace
}  // namespace assay::appraise
