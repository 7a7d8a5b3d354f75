#include "boot/boot_json.h"

#include <gtest/gtest.h>

#include "base/members_testing.h"

namespace assay::boot {
namespace {

ExpectedBoot Full() {
  ExpectedBoot b;
  b.bank = HashAlg::kSha384;
  b.registers = Registers::kCc;
  b.startup_locality = 4;
  b.events = {{.index = 1, .type = "EV_IPL", .digest = "ab", .label = "grub"},
              {.index = 0xFFFFFFFF, .type = "EV_POST_CODE", .digest = "cd", .label = "caf\xC3\xA9"}};
  b.open = {{.index = 8, .reason = "the loader's command line"}};
  return b;
}

TEST(ExpectedBootJson, EachMemberIsWrittenAndRead) {
  ExpectEachMemberSet(Full());
  const Result<ExpectedBoot> read = ExpectedFromJson(ExpectedJson(Full()));
  ASSERT_TRUE(read) << read.error().Message();
  EXPECT_EQ(*read, Full());
  EXPECT_EQ(ExpectedFromJson(ExpectedJson(ExpectedBoot{})).value(), ExpectedBoot{});
}

TEST(ExpectedBootJson, WhatIsWrongIsRefused) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"assay_boot\": 2", "\"assay_boot\": 1"},
           {"\"sha384\"", "\"md5\""},
           {"\"cc\"", "\"rtmr\""},
           {"\"startup_locality\": 4", "\"startup_locality\": 5"},
           {"\"index\": 8", "\"index\": 4294967296"},
           {"\"reason\"", "\"why\""}}) {
    std::string text = ExpectedJson(Full());
    ASSERT_NE(text.find(from), std::string::npos) << from;
    text.replace(text.find(from), from.size(), to);
    EXPECT_FALSE(ExpectedFromJson(text)) << to;
  }
}

}  // namespace
}  // namespace assay::boot
