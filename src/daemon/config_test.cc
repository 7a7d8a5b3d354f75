#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/result_testing.h"
#include "base/test_data.h"
#include "daemon/early.h"

namespace assay::daemon {
namespace {

TEST(Config, ReadsWhatIsSaid) {
  auto c = ParseConfig(
      R"({"run_dir":"/run/x","tpm":{"tcti":"device:/dev/tpmrm0","ak":"rsa","endorsement_password_file":"/etc/assay/e","owner_password_file":"/etc/assay/o"},
    "record":{"pcr":11,"synchronous":true,"group_ms":10,"max_records":500},
    "engine":{"scope":"namespace","mounts":["/","/usr"],"expiry":"refuse","deadline_ms":500},
    "serve":{"unix_level":"full","allow":{"AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":"list"}},
    "log":{"level":"debug","json":true}})");
  ASSERT_THAT(c, IsOk());
  EXPECT_EQ(c->run_dir, "/run/x");
  EXPECT_EQ(c->state_dir, "/var/lib/assay");
  EXPECT_EQ(c->tcti, "device:/dev/tpmrm0");
  EXPECT_EQ(c->ak, tpm::AkKind::kRsa2048);
  EXPECT_EQ(c->endorsement_password_file, "/etc/assay/e");
  EXPECT_EQ(c->owner_password_file, "/etc/assay/o");
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
           Case{"{}", "assayd.json:1: engine: it is missing"},
           Case{R"({"engine":{}})", "engine/scope: it is missing"},
           Case{R"({"engine":{"scope":"all"}})", "'all' is none of them; wanted: none, namespace or host"},
           Case{"{" + engine + R"(,"surprise":1})", "surprise"},
           Case{R"({"engine":{"scope":"host","engine":"none"}})",
                "wanted: best, lsm, fanotify or kernel-ima"},
           Case{R"({"engine":{"scope":"none","engine":"kernel-ima"}})", "needs the scope host"},
           Case{R"({"engine":{"scope":"host","engine":"kernel-ima","policy":"tcb"}})", "policy"},
           Case{R"({"engine":{"scope":"host","engine":"kernel-ima"},"record":{"pcr":12}})",
                "record: it has no effect"},
           Case{"{" + engine + R"(,"record":{"pcr":16}})", "16 is not within 8..15"},
           Case{"{" + engine + R"(,"record":{"pcr":"10"}})", "another type; wanted: a number from 8 to 15"},
           Case{"{" + engine + R"(,"tpm":{"ak":"dsa"}})", "wanted: ecc or rsa"},
           Case{"{" + engine + R"(,"serve":{"listen":"127.0.0.1:1"}})",
                "serve/listen: it needs serve/certificate"},
           Case{"{" + engine + R"(,"serve":{"allow":{"ab":"full"}}})", "64 hex digits, AA:BB:.. is accepted"},
           Case{"{" + engine + R"(,"serve":{"unix_level":"everything"}})", "everything"},
           Case{"{" + engine + R"(,"log":{"level":"loud"}})", "loud"},
           Case{"{" + engine + R"(,"manifest":{"index":"x"}})", "manifest/key: it is missing"},
       }) {
    auto r = ParseConfig(c.json);
    ASSERT_THAT(r, ::testing::Not(IsOk())) << c.json;
    EXPECT_THAT(r.error().Message(), testing::HasSubstr(c.says)) << c.json;
  }
}

TEST(Config, NamesFileLineAndMember) {
  struct Case {
    std::string json, code, says;
  };
  for (const Case& c : {
           Case{"{\n \"engine\": {\"scope\": \"none\"},\n \"serve\": {\n  \"alow\": {} } }",
                "config.unknown-member",
                "a.json:4: serve/alow: there is no such member; did you mean 'allow'?"},
           Case{"{\n \"engine\": {\"scope\": \"none\"},\n \"log\": {\"level\":\n \"loud\"} }", "config.value",
                "a.json:3: log/level: 'loud' is none of them; wanted: debug, info, warn or error"},
           Case{"{\n \"engine\": {\"scope\": \"none\"},\n \"log\": {\"level\": \"info\",} }", "config.syntax",
                "a.json:3: not JSON: "},
           Case{"{\n \"engine\": {\"mounts\": []} }", "config.missing",
                "a.json:2: engine/scope: it is missing"},
           Case{R"({"engine":{"scope":"none"},"serve":{"listen":"localhost:1","certificate":"a","key":"b"}})",
                "config.value", "a.json:1: serve/listen: 'localhost:1' is no address; wanted: ADDRESS:PORT"},
           Case{R"({"engine":{"scope":"namespace","engine":"lsm"}})", "config.conflict",
                "a.json:1: engine/engine: lsm needs the scope host"},
           Case{R"({"engine":{"scope":"none","scope":"host"}})", "config.unknown-member",
                "it is there twice"},
           Case{R"([])", "config.syntax", "a.json:1: the text is not one JSON object"},
       }) {
    const auto r = ParseConfig(c.json, "a.json");
    ASSERT_THAT(r, FailsWith(c.code)) << c.json;
    EXPECT_THAT(r.error().Message(), testing::HasSubstr(c.says)) << c.json;
  }
}

TEST(Config, TakesAFingerprintWithColons) {
  std::string colons;
  for (int i = 0; i < 32; ++i) colons += i == 0 ? "AB" : ":AB";
  std::string plain;
  for (int i = 0; i < 32; ++i) plain += "ab";
  const auto with = [](const std::string& allow) {
    return ParseConfig(R"({"engine":{"scope":"none"},"serve":{"allow":{)" + allow + "}}}");
  };
  const auto c = with('"' + colons + R"(":"full")");
  ASSERT_THAT(c, IsOk());
  EXPECT_EQ(c->allow.at(Fingerprint::Parse(plain).value()), evidence::Level::kFull);
  EXPECT_THAT(with('"' + colons + R"(":"full",")" + plain + R"(":"list")"), FailsWith("config.value"));
  for (const std::size_t at : {2, 4}) {
    std::string bad = colons;
    bad[at] = '.';
    EXPECT_THAT(with('"' + bad + R"(":"full")"), FailsWith("config.value"));
  }
}

TEST(Config, InterpretersWithHooks) {
  const auto with = [](const std::string& engine) { return ParseConfig(R"({"engine":{)" + engine + "}}"); };
  const auto c = with(R"("scope":"host","instrumented":{"/usr/bin/python3.11":"python"})");
  ASSERT_THAT(c, IsOk());
  EXPECT_EQ(c->engine.lsm.instrumented.at("/usr/bin/python3.11"), "python");
  EXPECT_THAT(EnginePolicy(*c), testing::HasSubstr(R"("instrumented":{"/usr/bin/python3.11":"python"})"));
  const auto none = with(R"("scope":"host")");
  ASSERT_THAT(none, IsOk());
  EXPECT_THAT(EnginePolicy(*none), testing::Not(testing::HasSubstr("instrumented")));
  EXPECT_THAT(NeedsRestart(*c, *none), testing::ElementsAre("engine/instrumented"));
  EXPECT_THAT(with(R"("scope":"host","instrumented":{"python3":"python"})"), FailsWith("config.value"));
  EXPECT_THAT(with(R"("scope":"host","instrumented":{"/usr/bin/python3":"Python"})"),
              FailsWith("config.value"));
  EXPECT_THAT(with(R"("scope":"host","engine":"fanotify","instrumented":{"/usr/bin/perl":"perl"})"),
              FailsWith("config.conflict"));
}

TEST(Config, SaysWhatNeedsARestart) {
  const auto a = ParseConfig(R"({"engine":{"scope":"host"}})");
  const auto b = ParseConfig(R"({"engine":{"scope":"namespace","policy":"exec"},"serve":{"unix":false},
    "log":{"level":"debug"},"record":{"pcr":11}})");
  ASSERT_TRUE(a && b);
  EXPECT_THAT(NeedsRestart(*a, *a), testing::IsEmpty());
  EXPECT_THAT(NeedsRestart(*a, *b), testing::ElementsAre("record/pcr", "engine/scope"));
}

std::string ReadTree(const std::string& path) {
  std::ifstream file(TestData() + "/../../" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The part of the man page about a member: from the line that names it to the next such line.
std::string Described(const std::string& page, std::string_view member) {
  const std::size_t at = page.find("*" + std::string(member) + "*");
  if (at == std::string::npos) return "";
  const std::size_t text = page.find("\n\t", at);
  return page.substr(at, page.find("\n\n*", text) - at);
}

TEST(Config, TheManPageHasEachMemberWithItsDefault) {
  const std::string page = ReadTree("man/assayd.json.5.scd");
  const std::string members = page.substr(page.find("# MEMBERS"));
  for (const ConfigMember& m : ConfigMembers()) {
    std::string described = Described(members, m.name);
    EXPECT_NE(described, "") << m.name;
    std::erase_if(described,
                  [](char c) { return std::string_view("*_\"\\").find(c) != std::string_view::npos; });
    std::string value(m.fallback);
    std::erase_if(value, [](char c) { return std::string_view("_\"").find(c) != std::string_view::npos; });
    const std::string line =
        value.empty() ? m.name == "engine/scope" ? "" : "Default: none" : "Default: " + value;
    EXPECT_THAT(described, testing::HasSubstr(line)) << m.name;
  }
}

// The file that packages install: what it shows as a default is the default.
TEST(Config, TheInstalledFileShowsEachMemberWithItsDefault) {
  const std::string installed = ReadTree("packaging/assayd.json");
  const auto c = ParseConfig(installed);
  ASSERT_THAT(c, IsOk());
  EXPECT_EQ(c->scope, Scope::kHost);
  std::string all = installed;
  for (std::size_t at = 0; (at = all.find("//,", at)) != std::string::npos;) all.replace(at, 3, ",");
  const auto shown = ParseConfig(all);
  ASSERT_THAT(shown, IsOk());
  EXPECT_THAT(NeedsRestart(*c, *shown),
              testing::ElementsAre("tpm/endorsement_password_file", "tpm/owner_password_file",
                                   "manifest/index", "manifest/key"));
  const auto json = nlohmann::json::parse(all, nullptr, true, true);
  for (const ConfigMember& m : ConfigMembers()) {
    const nlohmann::json::json_pointer where("/" + std::string(m.name));
    if (m.name == "log/file") continue;  // its absence is the default, and any example would be made
    ASSERT_TRUE(json.contains(where)) << m.name;
    if (m.fallback.empty()) continue;
    EXPECT_EQ(json[where], nlohmann::json::parse(m.fallback)) << m.name;
  }
}

TEST(Config, ADropInChangesTheFile) {
  const ConfigText file{"a.json",
                        "{ // of the machine\n \"engine\": {\"scope\": \"none\"}, /* a\n comment */\n"
                        " \"log\": {\"level\": \"debug\", \"json\": true},\n"
                        " \"serve\": {\"allow\": {\"" +
                            std::string(64, 'a') + "\": \"list\"}}}"};
  const ConfigText one{"a.d/1.json", "{\"log\": {\"level\": \"warn\"}, \"serve\": {\"allow\": {\"" +
                                         std::string(64, 'b') + "\": \"full\"}}}"};
  const ConfigText two{"a.d/2.json", "{\"log\": {\"level\": \"error\",\n \"json\": null}}"};
  const auto merged = [](const std::vector<ConfigText>& texts) { return ParseConfig(texts); };
  const auto c = merged({file, one, two});
  ASSERT_THAT(c, IsOk());
  EXPECT_EQ(c->log.level, log::Level::kError);  // the later one's
  EXPECT_FALSE(c->log.json);                    // null: the default again
  EXPECT_EQ(c->allow.size(), 2u);               // objects are merged member by member
  EXPECT_THAT(c->files, testing::ElementsAre("a.json", "a.d/1.json", "a.d/2.json"));
  EXPECT_THAT(EarlyFiles(*c), testing::IsSupersetOf({"a.json", "a.d/1.json", "a.d/2.json"}));
  struct Case {
    std::string json, says;
  };
  for (const Case& wrong : {
           Case{"{\n\"log\": {\"level\": \"loud\"}}", "a.d/3.json:2: log/level: 'loud' is none of them"},
           Case{"{\n\n\"log\": {\"levle\": null}}", "a.d/3.json:3: log/levle: there is no such member"},
           Case{"{\"log/level\": null}", "a.d/3.json:1: log~1level: there is no such member"},
           Case{"{\"log\": {},\n\"log\": {}}", "a.d/3.json:2: log: it is there twice"},
           Case{"{\"log\": 1}", "a.d/3.json:1: log: it is not an object"},
           Case{"{\"engine\":\n {\"scope\": null}}", "a.d/3.json:2: engine/scope: it is missing"},
           Case{"{\"serve\":\n {\"listen\": \"127.0.0.1:0\"}}", "a.d/3.json:2: serve/listen: it needs"},
           Case{"{\n,}", "a.d/3.json:2: not JSON"},
           Case{"[]", "a.d/3.json:1: the text is not one JSON object"},
       }) {
    const auto r = merged({file, one, {"a.d/3.json", wrong.json}});
    ASSERT_THAT(r, ::testing::Not(IsOk())) << wrong.json;
    EXPECT_THAT(r.error().Message(), testing::HasSubstr(wrong.says)) << wrong.json;
  }
  // A member of the file that a drop-in makes wrong is named where it stands.
  const auto r = merged({file, {"a.d/3.json", R"({"log": {"json": false}})"}, {"a.d/4.json", "{}"}});
  EXPECT_THAT(r, IsOk());
  EXPECT_THAT(ParseConfig("{\n\"log\": null, \"engine\": {\"scope\": \"none\"}}", "a.json"),
              FailsWith("config.value"));
}

TEST(Config, DropInsAreReadInTheOrderOfTheirNames) {
  const std::string folder = testing::TempDir() + "/config";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder + "/assayd.d");
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder + "/" + name) << text;
  };
  write("assayd.json", R"({"engine": {"scope": "none"}, "record": {"pcr": 11}})");
  EXPECT_EQ(ReadConfig(folder + "/assayd.json")->pcr, 11u);
  write("assayd.d/20-b.json", R"({"record": {"pcr": 13}})");
  write("assayd.d/10-a.json", R"({"record": {"pcr": 12}})");
  write("assayd.d/30-c.json.off", "{");
  write("assayd.d/.30.json", "{");
  const auto c = ReadConfig(folder + "/assayd.json");
  ASSERT_THAT(c, IsOk());
  EXPECT_EQ(c->pcr, 13u);
  EXPECT_EQ(c->files.size(), 3u);
  write("assayd.d/20-b.json", "{\n\"record\": {\"pcr\": 16}}");
  const auto wrong = ReadConfig(folder + "/assayd.json");
  ASSERT_THAT(wrong, FailsWith("config.value"));
  EXPECT_THAT(wrong.error().Message(),
              testing::HasSubstr("/assayd.d/20-b.json:2: record/pcr: 16 is not within"));
  std::filesystem::create_directory(folder + "/assayd.d/40.json");
  EXPECT_THAT(ReadConfig(folder + "/assayd.json"), ::testing::Not(IsOk()));
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
  EXPECT_EQ(settings(R"({"engine":{"scope":"host"},"tpm":{"tcti":"device:/dev/tpmrm0"}})"),
            "early=yes\npcr=10\non_failure=cap\n");
  EXPECT_EQ(settings(R"({"engine":{"scope":"host"},"tpm":{"tcti":"device:/dev/tpmrm0"},
                         "record":{"pcr":12},"early":{"on_failure":"halt"}})"),
            "early=yes\npcr=12\non_failure=halt\n");
  EXPECT_THAT(settings(R"({"engine":{"scope":"host"}})"),
              ::testing::StartsWith("early=no\n# --early needs the machine's own TPM"));
  EXPECT_THAT(
      settings(R"({"engine":{"scope":"host","engine":"fanotify"},"tpm":{"tcti":"device:/dev/tpmrm0"}})"),
      ::testing::StartsWith("early=no\n# --early needs engine/engine lsm"));
  EXPECT_THAT(ParseConfig(R"({"engine":{"scope":"host"},"early":{"on_failure":"reboot"}})"),
              FailsWith("config.value"));
  EXPECT_THAT(ParseConfig(R"({"engine":{"scope":"host"},"early":{"halt":true}})"),
              FailsWith("config.unknown-member"));
}

}  // namespace
}  // namespace assay::daemon
