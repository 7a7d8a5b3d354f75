#include "evidence/container.h"

#include <gtest/gtest.h>

#include "base/result_testing.h"
#include "evidence/evidence.h"

namespace assay::evidence {
namespace {

const std::string kA(64, 'a'), kB(64, 'b');

std::string IdIn(const std::string& cgroup) {
  const std::optional<Container> c = ContainerIn(cgroup);
  return c ? c->id : "";
}
std::string_view EngineIn(const std::string& cgroup) {
  const std::optional<Container> c = ContainerIn(cgroup);
  return c ? c->engine : "none";
}

TEST(ContainerTest, EachEngineHasItsNames) {
  const std::vector<std::pair<std::string, std::string_view>> kPaths = {
      {"/machine.slice/libpod-" + kA + ".scope", "podman"},
      {"/machine.slice/libpod-" + kA + ".scope/container", "podman"},
      {"/system.slice/web.service/libpod-payload-" + kA, "podman"},
      {"/libpod_parent/libpod-" + kA, "podman"},
      {"/system.slice/docker-" + kA + ".scope", "docker"},
      {"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + kA + ".scope", "containerd"},
      {"/kubepods.slice/kubepods-pod1.slice/crio-" + kA + ".scope", "cri-o"},
      {"/docker/" + kA + "/init", ""},
      {"/kubepods/burstable/pod1/" + kA, ""},
  };
  for (const auto& [path, engine] : kPaths) {
    EXPECT_EQ(IdIn(path), kA) << path;
    EXPECT_EQ(EngineIn(path), engine) << path;
  }
  EXPECT_EQ(IdIn("/system.slice/runc-web.scope"), "web");
  EXPECT_EQ(EngineIn("/system.slice/crun-web.scope"), "crun");
  EXPECT_EQ(IdIn("/machine.slice/systemd-nspawn@web.service/payload"), "web");
  EXPECT_EQ(IdIn("/machine.slice/machine-db.scope"), "db");
  EXPECT_EQ(IdIn("/lxc.payload.old.one/x"), "old.one");
}

TEST(ContainerTest, ItsIdAlone) {
  EXPECT_EQ(ContainerOf("/docker/" + kA + "/init"), kA);
  EXPECT_EQ(ContainerOf("/system.slice/ssh.service"), "");
}

TEST(ContainerTest, WhatIsNone) {
  for (const std::string& path :
       {std::string(), std::string("/"), std::string("/system.slice/ssh.service"),
        "/system.slice/" + kA + "0", "/machine.slice/libpod-conmon-" + kA + ".scope",
        std::string("/machine.slice/machine-qemu\\x2d1\\x2dweb.scope"), "/system.slice/docker-" + kA,
        std::string("/system.slice/runc-.scope"), std::string("/system.slice/runc-a b.scope"),
        "/system.slice/runc-" + std::string(129, 'n') + ".scope"})
    EXPECT_FALSE(ContainerIn(path)) << path;
}

TEST(ContainerTest, AContainerCantNameItselfAnother) {
  EXPECT_EQ(IdIn("/machine.slice/libpod-" + kA + ".scope/libpod-" + kB + ".scope"), kA);
}

TEST(ContainerTest, AUsersContainerIsThatUsers) {
  const std::string below =
      "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kA + ".scope";
  const std::optional<Container> c = ContainerIn(below);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->user, 1000U);
  EXPECT_EQ(c->Text(), "container aaaaaaaaaaaa of user 1000");
  EXPECT_FALSE(ContainerIn("/machine.slice/libpod-" + kA + ".scope")->user);
  const auto plain = ContainerPattern::Parse(kA), theirs = ContainerPattern::Parse("1000:" + kA);
  ASSERT_TRUE(plain && theirs);
  EXPECT_FALSE(plain->Fits(*c)) << "a user chooses the names of its groups";
  EXPECT_TRUE(theirs->Fits(*c));
  EXPECT_TRUE(plain->FitsId(*c));
}

// A service of an ordinary user that delegates its group names the groups below as it likes.
TEST(ContainerTest, AServicesContainerIsThatServices) {
  for (const std::string& name :
       {"libpod-payload-" + kA, "libpod-" + kA + ".scope", "docker-" + kA + ".scope"}) {
    const std::optional<Container> c = ContainerIn("/system.slice/web@1.service/x.service/" + name);
    ASSERT_TRUE(c) << name;
    EXPECT_EQ(c->service, "web@1.service");
    EXPECT_EQ(c->Text(), "container aaaaaaaaaaaa of web@1.service");
    const auto fits = [&](const std::string& pattern) { return ContainerPattern::Parse(pattern)->Fits(*c); };
    EXPECT_TRUE(fits("web@1.service:" + kA) && fits("web@1.service:*"));
    EXPECT_FALSE(fits(kA) || fits("*") || fits("1000:" + kA) || fits("other.service:" + kA)) << name;
    EXPECT_EQ(ContainerPattern::Parse("web@1.service:" + kA)->Text(), "web@1.service:" + kA);
  }
  // The service of nspawn is the container itself; a user's own services are that user's.
  EXPECT_EQ(ContainerIn("/machine.slice/systemd-nspawn@web.service/x")->service, "");
  EXPECT_EQ(ContainerIn("/user.slice/user-1000.slice/user@1000.service/libpod-" + kA + ".scope")->service,
            "");
  EXPECT_EQ(ContainerIn("/machine.slice/libpod-" + kA + ".scope/x.service/libpod-" + kB)->service, "");
}

TEST(ContainerTest, Patterns) {
  const Container a{.id = kA, .engine = "podman", .user = std::nullopt};
  const Container web{.id = "web-1", .engine = "runc", .user = std::nullopt};
  const auto fits = [](std::string_view pattern, const Container& c) {
    const auto p = ContainerPattern::Parse(pattern);
    return p && p->Fits(c);
  };
  EXPECT_TRUE(fits(kA, a) && fits("aaaaaaaaaaaa", a) && fits("*", a) && fits("*", web) && fits("web-*", web));
  EXPECT_FALSE(fits("aaaaaaaaaaa", a)) << "11 digits are too few";
  EXPECT_FALSE(fits(kB, a) || fits("web", web) || fits("0:*", a));
  for (const char* bad : {"", "x:web", "1000:", "a/b", "a b", "-1:a", "x.service:", "a b.service:x"})
    EXPECT_THAT(ContainerPattern::Parse(bad), FailsWith("usage")) << bad;
}

}  // namespace
}  // namespace assay::evidence
