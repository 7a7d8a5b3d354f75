#include "evidence/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/members_testing.h"

namespace assay::evidence {
namespace {

using testing::HasSubstr;

Claims Full() {
  Claims c;
  c.version = "0.1.0";
  c.hostname = HostName::OfSystem("host");
  c.boot_id = "1b0a";
  c.started_ms = 1;
  c.pcr = 11;
  c.list_bank = HashAlg::kSha1;
  c.first_record = 2;
  c.list_count = 3;
  c.overflow = 4;
  c.violations = 5;
  c.gaps = 6;
  c.engine = "lsm";
  c.engine_state = "ok";
  c.recorder = "recorder.pcr-reset";
  c.tpm_reset = true;
  c.kernel_policy = "ima_policy=tcb";
  c.nonce = Nonce::Filled(7);
  c.binding = {"tls-exporter", Bytes(32, 8)};
  c.tpm_manufacturer = "IBM";
  c.tpm_vendor = "SW";
  c.tpm_firmware = "1.2";
  c.tpm_software = true;
  c.level = Level::kList;
  c.pcrs = {{0x0004, {{10, Digest::Filled(HashAlg::kSha1, 9)}}},
            {0x000B, {{0, Digest::Filled(HashAlg::kSha256, 1)}, {10, Digest::Filled(HashAlg::kSha256, 2)}}}};
  c.checkpoints = {{3, Digest::Filled(HashAlg::kSha1, 4)}};
  return c;
}

// What reading says of the sample's text with `from` exchanged for `to`.
std::string After(std::string_view from, std::string_view to) {
  std::string text(AsText(EncodeClaims(Full())));
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  const Result<Claims> claims = ParseClaims(AsBytes(text));
  return claims ? "read" : claims.error().Message();
}

TEST(Claims, EachMemberIsWrittenAndRead) {
  ExpectEachMemberSet(Full());
  const Result<Claims> read = ParseClaims(EncodeClaims(Full()));
  ASSERT_TRUE(read) << read.error().Message();
  EXPECT_EQ(*read, Full());
  EXPECT_EQ(ParseClaims(EncodeClaims(Claims{})).value(), Claims{});
}

TEST(Claims, WhatIsNoNonceNameOrPcrIsRefused) {
  EXPECT_THAT(After(R"("nonce":"07)", R"("nonce":")"), HasSubstr("/challenge/nonce"));
  EXPECT_THAT(After(R"("hostname":"host")", R"("hostname":"a\u0007")"), HasSubstr("/hostname"));
  EXPECT_THAT(After("\"host\"", "\"" + std::string(65, 'a') + "\""), HasSubstr("/hostname"));
  EXPECT_THAT(After(R"("list_bank":"sha1")", R"("list_bank":"sm3_256")"), HasSubstr("/list_bank"));
  EXPECT_THAT(After(R"("bank":4)", R"("bank":11)"), HasSubstr("/pcrs/0/values/0/value"));
  EXPECT_THAT(After(R"("bank":4)", R"("bank":5)"), HasSubstr("/pcrs/0/values"));
  EXPECT_THAT(After(R"({"pcr":0,)", R"({"pcr":10,)"), HasSubstr("named twice"));
  EXPECT_THAT(After(R"("records":3,"value":"04)", R"("records":3,"value":")"),
              HasSubstr("/checkpoints/0/value"));
}

TEST(Claims, ABankIsNamedOnce) {
  std::string text(AsText(EncodeClaims(Full())));
  const std::string bank = R"({"bank":11,"values":[]},)";
  text.insert(text.find(R"("pcrs":[)") + 8, bank);
  EXPECT_FALSE(ParseClaims(AsBytes(text)));
}

TEST(Context, EachMemberIsWrittenAndRead) {
  const ContextEntry entry{.index = 1,
                           .sub = 2,
                           .time_ms = ~std::uint64_t{0},
                           .pid = 3,
                           .uid = 0xFFFFFFFF,
                           .comm = "bash",
                           .hook = "exec",
                           .cgroup = "/user.slice",
                           .program = "/usr/bin/dash",
                           .script = "./x",
                           .under = "bash, sshd"};
  ExpectEachMemberSet(entry);
  Bytes lines = EncodeContextLine(entry);
  const Bytes none = EncodeContextLine(ContextEntry{});
  lines.insert(lines.end(), none.begin(), none.end());
  EXPECT_EQ(ParseContext(lines).value(), (std::vector<ContextEntry>{entry, ContextEntry{}}));
}

TEST(Nonce, IsOf32Bytes) {
  EXPECT_EQ(Nonce::Parse(Nonce::Filled(0xAB).ToString()).value(), Nonce::Filled(0xAB));
  EXPECT_NE(Nonce::Random().value(), Nonce::Random().value());
  for (const std::size_t size : {0, 31, 33}) EXPECT_FALSE(Nonce::Of(Bytes(size, 1))) << size;
  for (const char* text : {"", "ab", "not hex"}) EXPECT_FALSE(Nonce::Parse(text)) << text;
}

TEST(HostName, OfTheSystemIsMadePrintable) {
  EXPECT_EQ(HostName::OfSystem("caf\xC3\xA9\n").ToString(), "caf???");
  EXPECT_EQ(HostName::OfSystem(std::string(100, 'a')).ToString().size(), 64U);
  EXPECT_TRUE(HostName::Parse("").value().empty());
  EXPECT_FALSE(HostName::Parse("caf\xC3\xA9"));
}

}  // namespace
}  // namespace assay::evidence
