#include "appraise/reason.h"

#include <gmock/gmock.h>

#include <map>

#include "appraise/causes.h"
#include "appraise/result.h"

namespace assay::appraise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class Packages final : public ReferenceValues {
 public:
  std::vector<Origin> Find(const Digest&) const override { return {}; }
  std::optional<Origin> FindPath(const std::string& path) const override {
    static const std::map<std::string, std::pair<std::string, std::string>> kKnown{
        {"/usr/bin/dash", {"dash", "0.5.12-2"}},
        {"/usr/sbin/update-ca-certificates", {"ca-certificates", "20230311"}}};
    const auto found = kKnown.find(path);
    if (found == kKnown.end()) return std::nullopt;
    Origin origin;
    origin.package = found->second.first;
    origin.version = found->second.second;
    return origin;
  }
  std::string Fingerprint() const override { return ""; }
};

evidence::ContextEntry Update() {
  return {.index = 7,
          .comm = "update-ca-certi",
          .hook = "open",
          .cgroup = "/user.slice",
          .program = "/usr/bin/dash",
          .script = "/usr/sbin/update-ca-certificates",
          .under = "dpkg, apt-get"};
}

TEST(Reason, NamesProgramScriptParentsAndPackages) {
  EXPECT_EQ(
      ReasonText(Update(), Packages()),
      "read by /usr/bin/dash (dash 0.5.12-2), which runs /usr/sbin/update-ca-certificates (ca-certificates "
      "20230311), under dpkg, apt-get; uid 0 in /user.slice");
  evidence::ContextEntry build{
      .uid = 1000, .comm = "sh", .hook = "exec", .program = "/home/ann/sh", .script = "./x"};
  EXPECT_EQ(ReasonText(build, Packages()), "executed by /home/ann/sh, which runs ./x; uid 1000");
  build.program = "";
  EXPECT_EQ(ReasonText(build, Packages()), "") << "an attester of before it was kept";
}

TEST(Reason, OfACauseAreTheMostFrequentFirst) {
  Appraisal a;
  for (std::uint64_t i = 0; i < 4; ++i) {
    Finding f;
    f.name = FindingName::kEntryUnknown;
    f.record = i;
    f.path = "/home/ann/p/b/" + std::to_string(i);
    f.text = f.path + " is in no reference";
    f.context = Update();
    f.reason = i == 0 ? "read by /usr/bin/make" : "read by /usr/bin/cmake\x1b";
    a.findings.push_back(f);
  }
  const std::vector<Cause> causes = CausesOf(a.entries, AllOf(a.findings));
  ASSERT_EQ(causes.size(), 1U);
  EXPECT_THAT(ReasonsOf(causes[0]),
              ElementsAre(Pair("read by /usr/bin/cmake\x1b", 3), Pair("read by /usr/bin/make", 1)));
  const std::string text = Describe(a, false, false);
  EXPECT_THAT(text, HasSubstr("       3 of 4, the attester says: read by /usr/bin/cmake\\x1b\n"));
  a.findings.resize(1);
  EXPECT_THAT(Describe(a, false, false), HasSubstr("       the attester says: read by /usr/bin/make\n"));
}

}  // namespace
}  // namespace assay::appraise
