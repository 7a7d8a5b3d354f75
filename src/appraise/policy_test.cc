#include "appraise/policy.h"

#include <gtest/gtest.h>

#include "base/members_testing.h"

namespace assay::appraise {
namespace {

std::string DigestText(std::uint8_t byte) { return Digest::Filled(HashAlg::kSha256, byte).ToString(); }

Policy Full() {
  Policy p;
  p.pcr = 11;
  p.quote_banks = {HashAlg::kSha384};
  p.file_algs = {HashAlg::kSha512};
  p.allow_software_tpm = true;
  p.allow_first_use = true;
  p.pinned_ak = "000b" + std::string(64, 'a');
  p.allowed_eks = {"000b" + std::string(64, 'b')};
  p.allow_unquoted_tail = true;
  p.allow_gaps = true;
  p.allow_what_ran_before = false;
  p.require_attester_records = false;
  p.engines = {"kernel-ima"};
  p.allow_kernel_policy = true;
  p.attester_digests = {DigestText(1)};
  p.attester_policies = {DigestText(2)};
  p.measures_at_least = "tcb";
  p.max_group_ms = 100;
  p.attester_manifests = {DigestText(3)};
  p.manifest_keys = {
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li"
      "/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q=="};
  p.interpreters = {"/usr/bin/bash"};
  p.instrumented = {"/usr/bin/python3.11"};
  p.allowed = {DigestText(4)};
  p.allowed_cgroups = {"/system.slice/*"};
  p.require_secure_boot = true;
  p.allow_missing_exit = true;
  p.require_early_start = true;
  p.require_reach = Reach::kBoot;
  p.allowed_violations = {{DigestText(5), {"mprotect", "raw_device"}}};
  p.package_violations = false;
  p.vulnerable_fails = false;
  p.buffers_fail = true;
  p.configuration_fails = true;
  p.outdated_fails_after_days = 14;
  p.trusted_keys = p.manifest_keys;
  return p;
}

TEST(AppraisalPolicy, EachMemberIsWrittenAndRead) {
  ExpectEachMemberSet(Full());
  const Result<Policy> read = ParsePolicy(EncodePolicy(Full()));
  ASSERT_TRUE(read) << read.error().Message();
  EXPECT_EQ(*read, Full());
  EXPECT_EQ(ParsePolicy(EncodePolicy(Policy{})).value(), Policy{});
  EXPECT_EQ(ParsePolicy("{}").value(), Policy{});
}

}  // namespace
}  // namespace assay::appraise
