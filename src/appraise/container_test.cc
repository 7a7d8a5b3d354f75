// What a container loaded is judged by its image, and never by the paths of the machine's packages.
#include "appraise/rules_fixture.h"

namespace assay::appraise {
namespace {

const std::string kId(64, 'a'), kOther(64, 'b');
const std::string kIn = "/machine.slice/libpod-" + kId + ".scope/container";
const std::string kInOther = "/machine.slice/libpod-" + kOther + ".scope";
const std::string kUsers =
    "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope";

class ContainerRules : public RulesTest {
 protected:
  // The image is reference values of its own.
  void UseImage(const std::string& who) {
    const auto pattern = evidence::ContainerPattern::Parse(who);
    ASSERT_TRUE(pattern) << who;
    host_.images.push_back({.who = *pattern, .name = "web.idx", .values = &image_});
  }
  SyntheticHost image_;
};

TEST_F(ContainerRules, WithoutAnImageTheMachinesPathsSayNothing) {
  host_.File("content 1", "/usr/bin/p0", kIn);  // known, at the path of another file of the machine
  host_.File("another", "/usr/bin/p0", kIn);
  const Appraisal a = Judge();
  ExpectOnly(a, {"entry.unknown"});
  EXPECT_EQ(TextOf(a, FindingName::kEntryUnknown),
            "/usr/bin/p0 is in no reference, in container aaaaaaaaaaaa");
  for (const auto& finding : ToJson(a, false)["findings"]) {
    const bool has = finding.contains("container") && finding["container"] == kId;
    EXPECT_EQ(has, finding["name"] == "entry.unknown");
  }
}

TEST_F(ContainerRules, OutsideOfAContainerTheyDo) {
  host_.File("content 1", "/usr/bin/p0", "/machine.slice/libpod-conmon-" + kId + ".scope");
  host_.File("another", "/usr/bin/p0", "/system.slice/ssh.service");
  ExpectStays({"entry.swapped", "entry.changed"});
}

TEST_F(ContainerRules, AnImageJudgesItsContainers) {
  image_.Know("its own ls", "/usr/bin/p0");
  UseImage(kId);
  host_.File("its own ls", "/usr/bin/p0", kIn);
  host_.File("content 1", "/usr/local/bin/p1", kIn);  // of a package, installed later
  const Appraisal a = Judge();
  ExpectInfo(a, "policy.images");
  EXPECT_EQ(TextOf(a, FindingName::kPolicyImages),
            "the image web.idx judged 1 entries of containers '" + kId + "'");
}

TEST_F(ContainerRules, AFileThatIsNotTheImagesIsNamed) {
  image_.Know("its own ls", "/usr/bin/p0");
  image_.Know("its own sh", "/usr/bin/p1");
  UseImage("*");
  host_.File("its own sh", "/usr/bin/p0", kIn);  // swapped within the image
  host_.File("content 1", "/usr/bin/p1", kIn);   // known to the machine, and not the image's
  host_.File("its own ls", "/usr/bin/p0", kInOther);
  const Appraisal a = Judge();
  ExpectOnly(a, {"entry.swapped", "entry.image-changed"});
  EXPECT_EQ(TextOf(a, FindingName::kEntryImageChanged),
            "/usr/bin/p1 is not the file that the image package 1.0 has there, in container aaaaaaaaaaaa");
  state_ = a.host;
  ExpectOnly(Next(), {"entry.swapped", "entry.image-changed"});
}

TEST_F(ContainerRules, WhatIsRevokedIsSoInAnImage) {
  image_.Know("its own ls", "/usr/bin/p0");
  host_.Know("its own ls", "/usr/bin/old-ls", Standing::kRevoked);
  UseImage("*");
  host_.File("its own ls", "/usr/bin/p0", kIn);
  ExpectOnly(Judge(), {"entry.revoked"});
}

TEST_F(ContainerRules, AnImageSaysNothingOfOthers) {
  image_.Know("its own ls", "/usr/bin/p0");
  UseImage(kId);
  host_.File("its own ls", "/usr/bin/p0", kInOther);
  host_.File("its own ls", "/usr/bin/p0", kUsers);  // a user can name a group like any container
  host_.File("its own ls", "/usr/bin/p0");
  ExpectOnly(Judge(), {"entry.unknown", "entry.changed"});
}

TEST_F(ContainerRules, AUsersContainerIsNamedWithItsUser) {
  image_.Know("its own ls", "/usr/bin/p0");
  UseImage("1000:*");
  host_.File("its own ls", "/usr/bin/p0", kUsers);
  const Appraisal a = Judge();
  ExpectOnly(a, {});
}

TEST_F(ContainerRules, TheAttestersWordTellsAContainerWhereTheRecordDoesNot) {
  image_.Know("its own ls", "/usr/bin/p0");
  UseImage(kId);
  host_.context = evidence::EncodeContextLine({.index = host_.records.size(),
                                               .sub = 0,
                                               .time_ms = 1,
                                               .pid = 2,
                                               .uid = 0,
                                               .comm = "runc",
                                               .hook = "exec",
                                               .cgroup = kIn});
  host_.File("its own ls", "/usr/bin/p0");
  ExpectOnly(Judge(), {});
}

TEST_F(ContainerRules, AnotherImageIsAnotherJudgement) {
  state_ = Judge().host;
  UseImage("*");
  host_.fingerprint = "with an image";
  ExpectOnly(Next(), {"list.judged-otherwise"});
}

}  // namespace
}  // namespace assay::appraise
