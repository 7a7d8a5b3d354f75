#include "cli/hosts.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/result_testing.h"

namespace assay::cli {
namespace {

const std::string kPin(64, 'a');

Result<std::vector<Host>> Parse(const std::string& hosts, const std::string& defaults = "{}") {
  return ParseHosts(fmt::format(R"({{"version": 1, "defaults": {}, "hosts": [{}]}})", defaults, hosts),
                    "/etc/assay");
}

TEST(HostsTest, AHostsOwnMembersComeBeforeTheDefaults) {
  const auto hosts =
      Parse(fmt::format(R"({{"name": "a", "unix": "/run/a", "state": "a.state"}},
                      {{"name": "b", "tls": "b:1", "pin": "{}", "state": "/s/b", "policy": "b.json", "key": "/k",
                        "boot": ["b.boot"]}})",
                        kPin),
            R"({"cert": "v.crt", "key": "v.key", "policy": "p.json", "reference": ["d.idx", "/x.idx"]})");
  ASSERT_THAT(hosts, IsOk());
  ASSERT_EQ(hosts->size(), 2U);
  const Target &a = (*hosts)[0].target, &b = (*hosts)[1].target;
  EXPECT_EQ(a.address.unix_path, "/run/a");
  EXPECT_EQ(a.policy, "/etc/assay/p.json");
  EXPECT_EQ(a.state, "/etc/assay/a.state");
  EXPECT_THAT(a.references, ::testing::ElementsAre("/etc/assay/d.idx", "/x.idx"));
  EXPECT_EQ(b.policy, "/etc/assay/b.json");
  EXPECT_EQ(b.address.key, "/k");
  EXPECT_EQ(b.address.cert, "/etc/assay/v.crt");
  EXPECT_THAT(b.boots, ::testing::ElementsAre("/etc/assay/b.boot"));
}

TEST(HostsTest, WhatIsWrongIsNamedWithItsPlace) {
  const std::string a = R"({"name": "a", "unix": "/run/a", "state": "a.state"})";
  const auto says = [](const std::string& hosts, const std::string& what) {
    const auto parsed = Parse(hosts);
    ASSERT_FALSE(parsed) << hosts;
    EXPECT_NE(parsed.error().Message().find(what), std::string::npos) << parsed.error().Message();
  };
  says("", "/hosts: there is no host");
  says(R"({"name": "", "unix": "/run/a", "state": "s"})", "/hosts/0/name");
  says(R"({"name": "a", "unix": "/run/a", "state": ""})", "/hosts/0/state");
  says(R"({"name": "a", "state": "s"})", "the address is wanted");
  says(R"({"name": "a", "unix": "run", "state": "s"})", "/hosts/0/unix");
  says(R"({"name": "a", "tls": "a:1", "pin": "00", "state": "s"})", "/hosts/0/pin");
  says(fmt::format(R"({{"name": "a", "tls": "a:1", "pin": "{}", "state": "s"}})", kPin),
       "\"cert\" and \"key\"");
  says(R"({"name": "a", "unix": "/run/a", "state": "s", "polcy": "x"})", "polcy");
  says(a + "," + a, "/hosts/1/name");
  says(a + R"(, {"name": "b", "unix": "/run/b", "state": "a.state"})", "/hosts/1/state");
  EXPECT_FALSE(ParseHosts(R"({"version": 2, "hosts": [)" + a + "]}", "/"));
}

}  // namespace
}  // namespace assay::cli
