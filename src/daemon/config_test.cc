#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/result_testing.h"
#include "daemon/early.h"

namespace assay::daemon {
namespace {

TEST(Config, ReadsWhatIsSaid) {
  auto c = ParseConfig(R"({"run_dir":"/run/x","tpm":{"tcti":"device:/dev/tpmrm0","ak":"rsa"},
    "record":{"pcr":11,"synchronous":true,"group_ms":10,"max_records":500},
    "engine":{"scope":"namespace","mounts":["/","/usr"],"expiry":"refuse","deadline_ms":500},
    "serve":{"unix_level":"full","allow":{"AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":"list"}},
    "log":{"level":"debug","json":true}})");
  ASSERT_THAT(c, IsOk());
  EXPECT_EQ(c->run_dir, "/run/x");
  EXPECT_EQ(c->state_dir, "/var/lib/assay");
  EXPECT_EQ(c->tcti, "device:/dev/tpmrm0");
  EXPECT_EQ(c->ak, tpm::AkKind::kRsa2048);
  EXPECT_EQ(c->pcr, 11u);
  EXPECT_TRUE(c->synchronous);
  EXPECT_EQ(c->scope, Scope::kNamespace);
  EXPECT_THAT(c->engine.fanotify.mounts, testing::ElementsAre("/", "/usr"));
  EXPECT_EQ(c->engine.limits.expiry, measure::Expiry::kRefuse);
  EXPECT_EQ(c->engine.limits.deadline.count(), 500);
  EXPECT_EQ(c->unix_level, evidence::Level::kFull);
  EXPECT_EQ(c->allow.at(Fingerprint::Parse(std::string(64, 'a')).value()), evidence::Level::kList);
  EXPECT_EQ(c->log.level, log::Level::kDebug);
}

TEST(Config, NamesWhatIsWrong) {
  struct Case {
    std::string json, says;
  };
  const std::string engine = R"("engine":{"scope":"none"})";
  for (const Case& c : {
           Case{"{}", "engine: missing"},
           Case{R"({"engine":{}})", "scope: missing"},
           Case{R"({"engine":{"scope":"all"}})", "not none, namespace or host"},
           Case{"{" + engine + R"(,"surprise":1})", "surprise"},
           Case{R"({"engine":{"scope":"host","engine":"none"}})", "not best, lsm, fanotify or kernel-ima"},
           Case{R"({"engine":{"scope":"none","engine":"kernel-ima"}})", "needs the scope host"},
           Case{R"({"engine":{"scope":"host","engine":"kernel-ima","policy":"tcb"}})", "policy"},
           Case{R"({"engine":{"scope":"host","engine":"kernel-ima"},"record":{"pcr":12}})", "have no effect"},
           Case{"{" + engine + R"(,"record":{"pcr":16}})", "16 is not within 8..15"},
           Case{"{" + engine + R"(,"record":{"pcr":"10"}})", "not an unsigned integer"},
           Case{"{" + engine + R"(,"tpm":{"ak":"dsa"}})", "not ecc or rsa"},
           Case{"{" + engine + R"(,"serve":{"listen":"127.0.0.1:1"}})", "needs serve/certificate"},
           Case{"{" + engine + R"(,"serve":{"allow":{"ab":"full"}}})", "not a SHA-256 fingerprint"},
           Case{"{" + engine + R"(,"serve":{"unix_level":"everything"}})", "everything"},
           Case{"{" + engine + R"(,"log":{"level":"loud"}})", "loud"},
           Case{"{" + engine + R"(,"manifest":{"index":"x"}})", "key: missing"},
       }) {
    auto r = ParseConfig(c.json);
    ASSERT_THAT(r, ::testing::Not(IsOk())) << c.json;
    EXPECT_THAT(r.error().Message(), testing::HasSubstr(c.says)) << c.json;
  }
}

TEST(Config, PolicyIsTheSameForTheSameConfiguration) {
  auto a = ParseConfig(R"({"engine":{"scope":"host","workers":3},"run_dir":"/a"})");
  auto b = ParseConfig(R"({"run_dir":"/b","engine":{"workers":4,"scope":"host"}})");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(EnginePolicy(*a),
            EnginePolicy(*b));  // neither places nor the number of workers decide what is measured
  auto c = ParseConfig(R"({"engine":{"scope":"host","policy":"all_files"}})");
  ASSERT_THAT(c, IsOk());
  EXPECT_NE(EnginePolicy(*a), EnginePolicy(*c));
}

TEST(Config, WhatAFailedEarlyStartMeans) {
  const auto settings = [](const char* json) {
    const auto c = ParseConfig(json);
    return c ? EarlySettings(*c) : c.error().Message();
  };
  EXPECT_EQ(settings(R"({"engine":{"scope":"host"}})"), "pcr=10\non_failure=cap\n");
  EXPECT_EQ(settings(R"({"engine":{"scope":"host"},"record":{"pcr":12},"early":{"on_failure":"halt"}})"),
            "pcr=12\non_failure=halt\n");
  EXPECT_THAT(ParseConfig(R"({"engine":{"scope":"host"},"early":{"on_failure":"reboot"}})"),
              FailsWith("usage"));
  EXPECT_THAT(ParseConfig(R"({"engine":{"scope":"host"},"early":{"halt":true}})"),
              FailsWith("parse.assayd-config"));
}

}  // namespace
}  // namespace assay::daemon
