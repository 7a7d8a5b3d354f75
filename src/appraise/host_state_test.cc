#include "appraise/host_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "appraise/finding_names.h"
#include "base/members_testing.h"

namespace assay::appraise {
namespace {

using testing::HasSubstr;

HostState Full() {
  Finding f;
  f.name = FindingName::kEntryUnknown;
  f.weight = Verdict::kUnknown;
  f.text = "nobody knows it";
  f.record = 0;
  f.sub = 3;
  f.path = "/tmp/x";
  f.digest = Digest::Filled(HashAlg::kSha256, 1).ToString();
  f.code = "sha256:01";
  f.cgroup = "/user.slice";
  f.context = evidence::ContextEntry{.index = 1,
                                     .sub = 2,
                                     .time_ms = 3,
                                     .pid = 4,
                                     .uid = 0xFFFFFFFF,
                                     .comm = "bash",
                                     .hook = "exec",
                                     .cgroup = "/user.slice/a",
                                     .program = "/usr/bin/dash",
                                     .script = "./x",
                                     .under = "bash, sshd"};
  f.reason = "executed by /usr/bin/dash";
  HostState s;
  s.ak_name = "000b01";
  s.ek_name = "000b02";
  s.identity = "certificate";
  s.tpm_software = true;
  s.clock = ~std::uint64_t{0};
  s.reset_count = 5;
  s.restart_count = 0xFFFFFFFF;
  s.records = 6;
  s.prefix = {{HashAlg::kSha1, Digest::Filled(HashAlg::kSha1, 7)},
              {HashAlg::kSha256, Digest::Filled(HashAlg::kSha256, 8)}};
  s.device = {.subject = "CN=a", .model = "a", .serial = "7"};
  s.boot_id = "1b0a";
  s.reset_in = "2c0b";
  s.standing = {f};
  s.rounds = 9;
  s.judged_with = "00ff";
  s.own = {{"engine", "lsm"}, {"component:/usr/sbin/assayd", ""}};
  s.newest = {{"/usr/bin/a", {"a", "1.0-2"}}, {"/usr/bin/b", {"b", "3"}}};
  s.newest_before = {{"/usr/bin/a", {"a", "1.0-1"}}};
  return s;
}

// The sample's text, with `from` exchanged for `to`.
std::string Edited(std::string_view from, std::string_view to) {
  std::string text = EncodeHostState(Full());
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(HostState, EachMemberIsWrittenAndRead) {
  ExpectEachMemberSet(Full());
  EXPECT_EQ(ParseHostState(EncodeHostState(Full())).value(), Full());
  EXPECT_EQ(ParseHostState(EncodeHostState(HostState{})).value(), HostState{});
}

TEST(HostState, WhatAnEarlierOneDidNotKeepMayBeMissing) {
  const std::string without =
      R"({"name":"entry.unknown","weight":"not-trusted","text":"","sub":0,"path":"/x","digest":"",)"
      R"("context":{"index":1,"sub":0,"time_ms":2,"pid":3,"uid":4,"comm":"a","hook":"exec"}})";
  std::string text = EncodeHostState(HostState{});
  text.replace(text.find("[]", text.find("standing")), 2, "[" + without + "]");
  const Result<HostState> state = ParseHostState(text);
  ASSERT_TRUE(state) << state.error().Message();
  EXPECT_EQ(state->standing.at(0).cgroup, "");
  EXPECT_EQ(state->standing.at(0).record, std::nullopt);
  EXPECT_EQ(state->standing.at(0).context->cgroup, "");
  EXPECT_EQ(state->standing.at(0).context->program + state->standing.at(0).reason, "");
}

TEST(HostState, FormerVersionsSayLess) {
  EXPECT_TRUE(ParseHostState(Edited(R"("version": 8)", R"("version": 7)")));
  std::string text = Edited(R"("version": 8)", R"("version": 6)");
  EXPECT_FALSE(ParseHostState(text));
  for (const std::string_view list : {R"( "newest": [)", R"( "newest_before": [)"}) {
    const std::size_t at = text.find(list);
    ASSERT_NE(at, std::string::npos) << list;
    text.erase(at, text.find("],", at) + 2 - at);
  }
  const Result<HostState> sixth = ParseHostState(text);
  ASSERT_TRUE(sixth) << sixth.error().Message();
  EXPECT_TRUE(sixth->newest.empty());
  EXPECT_EQ(sixth->device.serial, "7");
  text.replace(text.find(R"("version": 6)"), 12, R"("version": 5)");
  EXPECT_FALSE(ParseHostState(text));
  const auto without = [&text](std::string_view line) {
    const std::size_t at = text.find(line);
    EXPECT_NE(at, std::string::npos) << line;
    if (at != std::string::npos) text.erase(at, line.size());
  };
  const std::size_t device = text.find(R"( "device": {)");
  text.erase(device, text.find("},", device) + 2 - device);
  const Result<HostState> fifth = ParseHostState(text);
  ASSERT_TRUE(fifth) << fifth.error().Message();
  EXPECT_EQ(fifth->device, DeviceName{});
  EXPECT_EQ(fifth->reset_in, "2c0b");
  text.replace(text.find(R"("version": 5)"), 12, R"("version": 4)");
  EXPECT_FALSE(ParseHostState(text));
  without(R"( "reset_in": "2c0b",)");
  const Result<HostState> fourth = ParseHostState(text);
  ASSERT_TRUE(fourth) << fourth.error().Message();
  EXPECT_EQ(fourth->reset_in, "");
  EXPECT_EQ(fourth->judged_with, "00ff");
  text.replace(text.find(R"("version": 4)"), 12, R"("version": 3)");
  without(R"( "judged_with": "00ff",)");
  const Result<HostState> state = ParseHostState(text);
  ASSERT_TRUE(state) << state.error().Message();
  EXPECT_EQ(state->judged_with, "");
  EXPECT_EQ(state->records, 6U);
  EXPECT_EQ(state->standing.size(), 1U);
}

// As verifiers before run keys wrote it: the keys and the clock are kept, the list is judged from its start.
TEST(HostState, TheFirstVersionsKeepTheIdentity) {
  const std::string rest =
      R"("ak_name":"000b12","ek_name":"000b34","clock":1000,"reset_count":1,"restart_count":0,"records":7,)"
      R"("prefix":{"sha1":"0707070707070707070707070707070707070707"},"boot_id":"b","standing":[],"rounds":2,)"
      R"("own":{"runs":"1"}})";
  for (const auto& [head, identity] : std::vector<std::pair<std::string, std::string>>{
           {R"({"version":1,)", "first-use"},
           {R"({"version":2,"identity":"certificate","tpm_software":true,)", "certificate"}}) {
    const Result<HostState> state = ParseHostState(head + rest);
    ASSERT_TRUE(state) << state.error().Message();
    EXPECT_EQ(state->identity, identity);
    EXPECT_EQ(state->ak_name, "000b12");
    EXPECT_EQ(state->clock, 1000U);
    EXPECT_EQ(state->reset_count, 1U);
    EXPECT_EQ(state->rounds, 2U);
    EXPECT_EQ(state->records, 0U);
    EXPECT_TRUE(state->prefix.empty());
    EXPECT_TRUE(state->own.empty());
  }
}

TEST(HostState, WhatIsWrongIsRefused) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {R"("version": 8)", R"("version": 9)"},
           {R"("path": "/usr/bin/b")", R"("path": "/usr/bin/a")"},
           {R"("reset_count": 5)", R"("reset_count": 4294967296)"},
           {R"("could-not-tell")", R"("good")"},
           {R"("sha1": "07)", R"("sha1": ")"},
           {R"("sha1")", R"("md5")"},
           {R"("boot_id")", R"("boot")"},
           {R"("hook")", R"("hooks")"}})
    EXPECT_FALSE(ParseHostState(Edited(from, to))) << to;
  EXPECT_THAT(ParseHostState(Edited("\"comm\"", "\"com\"")).error().Message(),
              HasSubstr("/standing/0/context/comm: missing"));
}

TEST(HostState, FindingsAreBounded) {
  HostState s;
  s.standing.resize(kMaxStanding + 1);
  EXPECT_TRUE(ParseHostState(EncodeHostState(s)));
  s.standing.resize(kMaxStanding + 2);
  EXPECT_FALSE(ParseHostState(EncodeHostState(s)));
}

}  // namespace
}  // namespace assay::appraise
