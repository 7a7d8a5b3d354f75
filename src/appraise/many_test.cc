// A list with more findings than anybody reads: their number may not cost the verifier its memory.
#include "appraise/checks.h"
#include "appraise/rules_fixture.h"

namespace assay::appraise {
namespace {

class ManyTest : public RulesTest {
 protected:
  ManyTest() {
    host_.checkpoint_stride = 4096;
    for (std::uint64_t i = 0; i < kMaxAlike + kMore; ++i) host_.File(fmt::format("{}", i), "/tmp/x");
  }
  static std::size_t Count(const Appraisal& a, FindingName name) {
    return static_cast<std::size_t>(std::count_if(a.findings.begin(), a.findings.end(),
                                                  [name](const Finding& f) { return f.name == name; }));
  }
  static const Finding* Find(const std::vector<Finding>& findings, FindingName name) {
    const auto found =
        std::find_if(findings.begin(), findings.end(), [name](const Finding& f) { return f.name == name; });
    return found == findings.end() ? nullptr : &*found;
  }
  static constexpr std::uint64_t kMore = 7;
};

TEST_F(ManyTest, FindingsOfOneNameAreCounted) {
  host_.Know("worse", "/usr/bin/worse", Standing::kRevoked);
  host_.File("worse", "/usr/bin/worse");  // another name, so it is told
  const Appraisal a = Judge();
  EXPECT_EQ(Count(a, FindingName::kEntryUnknown), kMaxAlike);
  EXPECT_EQ(Count(a, FindingName::kEntryRevoked), 1U);
  EXPECT_EQ(a.counts.at(EntryState::kUnknown), kMaxAlike + kMore);
  ASSERT_EQ(Count(a, FindingName::kListMoreAlike), 1U);
  const Finding* more = Find(a.findings, FindingName::kListMoreAlike);
  EXPECT_EQ(more->weight, Verdict::kNotTrusted);
  EXPECT_NE(more->text.find("7 more have the finding entry.unknown"), std::string::npos) << more->text;
  EXPECT_EQ(more->record, host_.records.size() - 1 - kMore);
  // The next round brings nothing new, and knows that there were others.
  state_ = a.host;
  EXPECT_NE(Find(Next().findings, FindingName::kListMoreFindings), nullptr);
}

TEST_F(ManyTest, NotesOfOneNameCountAsNotes) {
  SyntheticHost host;
  host.checkpoint_stride = 4096;
  host.Know("old", "/usr/bin/old", Standing::kSuperseded);
  for (std::uint64_t i = 0; i < kMaxAlike + kMore; ++i) host.File("old", "/usr/bin/old");
  const Appraisal a = Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host, policy_);
  ASSERT_NE(Find(a.findings, FindingName::kListMoreAlike), nullptr);
  EXPECT_EQ(a.verdict, Verdict::kTrusted) << Describe(a, false, false);
}

TEST_F(ManyTest, EntriesAreKeptWhereTheyAreAskedFor) {
  host_.File("trojan", "/usr/bin/p1");  // of a known package: findings are grouped by it
  const evidence::Evidence e = host_.Quote(nonce_);
  Request request = host_.Ask(e, nonce_);
  EXPECT_EQ(Appraise(request, state_, host_, policy_).entries.size(), host_.records.size());
  request.entries = false;
  const Appraisal a = Appraise(request, state_, host_, policy_);
  ASSERT_EQ(a.entries.size(), 1U);
  EXPECT_EQ(a.entries.front().path, "/usr/bin/p1");
  EXPECT_EQ(a.counts.at(EntryState::kUnknown), kMaxAlike + kMore);
}

}  // namespace
}  // namespace assay::appraise
