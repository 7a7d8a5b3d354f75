#include "appraise/causes.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "appraise/finding_names.h"
#include "appraise/rules_fixture.h"

namespace assay::appraise {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Finding Unknown(std::uint64_t record, const std::string& path, const std::string& comm) {
  Finding f;
  f.name = FindingName::kEntryUnknown;
  f.text = path + " is in no reference";
  f.record = record;
  f.path = path;
  f.context = evidence::ContextEntry{.index = record, .comm = comm, .hook = "open"};
  return f;
}

std::vector<std::string> Causes(const Appraisal& a) {
  std::vector<std::string> texts;
  for (const Cause& c : CausesOf(a.entries, AllOf(a.findings)))
    texts.push_back(fmt::format("{} x{}", CauseText(c), c.findings.size()));
  return texts;
}

TEST(CausesTest, OneFolderIsOneBlock) {
  Appraisal a;
  for (std::uint64_t i = 0; i < 500; ++i)
    a.findings.push_back(Unknown(i, fmt::format("/srv/app/s{}", i), "sh"));
  a.findings.push_back(Unknown(500, "/tmp/x", "sh"));
  for (Finding& f : a.findings) f.context.reset();
  EXPECT_THAT(Causes(a), ElementsAre("folder /tmp x1", "folder /srv/app x500"));
  const std::string text = Describe(a, false, false);
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 15) << text;
  EXPECT_THAT(text, HasSubstr("folder /srv/app: 500 findings"));
  EXPECT_THAT(text, HasSubstr("... and 495 more findings (--long prints all)"));
  EXPECT_THAT(text, HasSubstr("next: Find out what it is"));
  const std::string all = Describe(a, false, false, {.all = true});
  EXPECT_THAT(all, HasSubstr("/srv/app/s0 "));
  EXPECT_THAT(all, Not(HasSubstr("more findings")));
}

// The advisories of a package are with its cause, once.
TEST(CausesTest, APackageHasItsAdvisories) {
  Appraisal a;
  for (std::uint64_t i = 0; i < 2; ++i) {
    a.findings.push_back(Unknown(i, fmt::format("/usr/lib/{}.so", i), "sh"));
    a.findings.back().name = FindingName::kEntryVulnerable;
    JudgedEntry e;
    e.record = i;
    e.origin = Origin{.standing = Standing::kVulnerable,
                      .package = "libssl3",
                      .version = "3.0.11",
                      .architecture = "",
                      .path = "",
                      .note = ""};
    e.origin->advisories = {{"CVE-2024-6119", "DSA-5764-1", "high", "3.0.14"}};
    e.origin->advisory_count = 1;
    a.entries.push_back(std::move(e));
  }
  const json causes = ToJson(a, true)["causes"];
  ASSERT_EQ(causes.size(), 1U);
  EXPECT_EQ(causes[0]["text"], "package libssl3 3.0.11");
  EXPECT_EQ(causes[0]["advisories"], json::parse(R"([{"id": "CVE-2024-6119", "record": "DSA-5764-1",
      "severity": "high", "fixed": "3.0.14"}])"));
  EXPECT_EQ(ToJson(a, true)["entries"][0]["origin"]["advisory_count"], 1);
}

TEST(CausesTest, AProgramInManyFoldersIsOneBlock) {
  Appraisal a;
  for (std::uint64_t i = 0; i < 20; ++i)
    a.findings.push_back(Unknown(i, fmt::format("/srv/{}/a.py", i), "python3"));
  a.findings.push_back(Unknown(20, "/opt/y", "bash"));
  EXPECT_THAT(Causes(a), ElementsAre("folder /opt x1", "program python3 x20"));
}

// What a build reads of its own project is one block, and one command settles it.
TEST(CausesTest, ATreeIsOneBlock) {
  Appraisal a;
  std::uint64_t record = 0;
  for (const char* path :
       {"/home/ann/p/CMakeLists.txt", "/home/ann/p/b/Makefile", "/home/ann/p/b/t.dir/build.make"})
    for (const char* program : {"cmake", "gmake"}) a.findings.push_back(Unknown(record++, path, program));
  a.findings.push_back(Unknown(record++, "/home/ann/pp/x", "sh"));
  a.findings.push_back(Unknown(record++, "/home/bob/p/x", "sh"));
  a.findings.push_back(Unknown(record++, "/home/x", "sh"));  // takes nothing of the folders in it
  EXPECT_THAT(Causes(a), ElementsAre("program sh x3", "folder /home/ann/p x6"));
  const std::string text = Describe(a, false, false);
  EXPECT_THAT(text, HasSubstr("assay trust --from-findings - --match '/home/ann/p/**' "));
  EXPECT_EQ(text.find("--match"), text.rfind("--match"));
}

TEST(CausesTest, ThePackageComesBeforeTheFolder) {
  Appraisal a;
  for (std::uint64_t i = 0; i < 3; ++i) {
    const std::string path = fmt::format("/usr/bin/{}", i);
    a.findings.push_back(Unknown(i, path, "sh"));
    a.findings.back().name = FindingName::kEntryChanged;
    JudgedEntry e;
    e.record = i;
    e.path = path;
    e.origin.emplace();
    e.origin->package = "coreutils";
    e.origin->version = i < 2 ? "9.1-1" : "9.0-1";
    a.entries.push_back(e);
  }
  EXPECT_THAT(Causes(a), ElementsAre("package coreutils 9.0-1 x1", "package coreutils 9.1-1 x2"));
}

TEST(CausesTest, AKernelUpdateIsOneCauseWithItsParts) {
  Appraisal a;
  for (const FindingName name : {FindingName::kBootLoader, FindingName::kBootCmdline,
                                 FindingName::kBootKernel, FindingName::kBootInitrd}) {
    Finding f;
    f.name = name;
    f.text = "differs";
    a.findings.push_back(f);
  }
  EXPECT_THAT(Causes(a), ElementsAre("the boot: another kernel x4"));
  const std::string text = Describe(a, false, false);
  EXPECT_THAT(text, HasSubstr("boot.cmdline: differs"));
  // One step: that of the part that made the others change.
  EXPECT_THAT(text, HasSubstr(fmt::format("next: {}\n", RemedyOf(FindingName::kBootKernel))));
  EXPECT_EQ(text.find("next:"), text.rfind("next:"));
}

TEST(CausesTest, TheWorstComesFirstAndNotesApart) {
  Appraisal a;
  a.findings.push_back(Unknown(1, "/tmp/a", "sh"));
  a.findings.push_back(Unknown(2, "/tmp/b", "sh"));
  a.findings.back().weight = Verdict::kTrusted;
  Finding f;
  f.name = FindingName::kListFull;
  f.weight = Verdict::kUnknown;
  a.findings.push_back(f);
  EXPECT_THAT(Causes(a), ElementsAre("folder /tmp x1", "the measurement list x1", "folder /tmp x1"));
  const std::string text = Describe(a, false, true);
  EXPECT_THAT(text, HasSubstr("\x1b[31m!   \x1b[0m entry.unknown"));
  EXPECT_THAT(text, HasSubstr("\x1b[33m?   \x1b[0m list.full"));
  EXPECT_THAT(text, HasSubstr("\x1b[2mnote\x1b[0m entry.unknown"));
}

class ChangesTest : public RulesTest {};

TEST_F(ChangesTest, ARoundSaysWhatIsNewWhatStandsAndWhatWent) {
  host_.File("first", "/tmp/first");
  const Appraisal first = Judge();
  EXPECT_FALSE(ChangesSince(state_, first));  // there is nothing to compare with
  EXPECT_THAT(Describe(first, false, false, {.before = &state_}), Not(HasSubstr("round")));
  state_ = first.host;
  host_.File("second", "/tmp/second");
  const Appraisal next = Next();
  const std::string text = Describe(next, false, false, {.before = &state_});
  EXPECT_THAT(text, HasSubstr("round 2: of the findings 1 are new, 1 stand, 0 went\n"));
  EXPECT_THAT(text, HasSubstr("/tmp/second is in no reference  (new)"));
  EXPECT_THAT(text, Not(HasSubstr("/tmp/first is in no reference  (new)")));
  const json j = ToJson(next, false, {.before = &state_});
  EXPECT_EQ(j["changes"]["new"], 1);
  EXPECT_EQ(j["changes"]["standing"], 1);
  state_ = next.host;
  // The whole list is judged by better reference values.
  host_.Know("first", "/tmp/first");
  const Appraisal better = Judge();
  const std::string gone = Describe(better, false, false, {.before = &state_});
  EXPECT_THAT(gone, HasSubstr("round 3: of the findings 0 are new, 1 stand, 1 went\n"));
  EXPECT_THAT(gone, HasSubstr("went entry.unknown: /tmp/first is in no reference\n"));
}

TEST_F(ChangesTest, TheFilterOfNamesDoesNotMakeAFindingGo) {
  host_.File("first", "/tmp/first");
  state_ = Judge().host;
  const Shown boot{.before = &state_, .findings = "boot."};
  EXPECT_THAT(Describe(Judge(), false, false, boot), HasSubstr("0 are new, 1 stand, 0 went"));
  EXPECT_THAT(Describe(Judge(), false, false, boot), Not(HasSubstr("/tmp/first")));
}

TEST_F(ChangesTest, CausesAreInTheJsonDocument) {
  host_.File("a", "/tmp/x/a");
  host_.File("b", "/tmp/x/b");
  const json j = ToJson(Judge(), false);
  const auto cause = std::find_if(j["causes"].begin(), j["causes"].end(),
                                  [](const json& c) { return c["kind"] == "folder"; });
  ASSERT_NE(cause, j["causes"].end()) << j;
  EXPECT_EQ((*cause)["name"], "/tmp/x");
  ASSERT_EQ((*cause)["findings"].size(), 2U);
  for (const json& i : (*cause)["findings"])
    EXPECT_EQ(j["findings"][i.get<std::size_t>()]["name"], "entry.unknown");
  EXPECT_EQ((*cause)["next"].size(), 1U);
}

}  // namespace
}  // namespace assay::appraise
