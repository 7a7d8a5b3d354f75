// docs/findings.md has each finding of the table, with its weight and remedy, and no other; and each has a
// test.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "appraise/finding_names.h"
#include "base/fd.h"
#include "base/markdown_testing.h"
#include "base/test_data.h"

namespace assay::appraise {
namespace {

const std::filesystem::path kTree = std::filesystem::path(TestData()) / "../..";
constexpr std::size_t kMaxText = 1 << 20;

std::string TextOf(const std::filesystem::path& file) {
  const Result<Bytes> text = ReadFile(file, kMaxText);
  EXPECT_TRUE(text) << file;
  return text ? std::string(AsText(*text)) : "";
}

// As the page says it: the usual one first.
std::string_view WeightText(Verdict weight) {
  return weight == Verdict::kTrusted      ? "note"
         : weight == Verdict::kNotTrusted ? "not trusted"
                                          : "could not tell";
}

TEST(FindingsTest, EachIsDocumentedWithWeightAndRemedy) {
  struct Row {
    std::string weight, remedy;
  };
  std::map<std::string, Row> page;
  const std::string text = TextOf(kTree / "docs/findings.md");
  for (const std::vector<std::string>& cells : MarkdownRows(text)) {
    ASSERT_EQ(cells.size(), 4U) << cells[0];
    EXPECT_TRUE(page.emplace(cells[0], Row{cells[1], cells[3]}).second) << cells[0];
  }
  for (const FindingRow& finding : kFindings) {
    const auto found = page.find(std::string(finding.name));
    ASSERT_NE(found, page.end()) << finding.name;
    EXPECT_TRUE(found->second.weight.starts_with(WeightText(finding.weight))) << finding.name;
    EXPECT_EQ(found->second.remedy, finding.remedy) << finding.name;
    page.erase(found);
  }
  for (const auto& [name, rest] : page) ADD_FAILURE() << "docs/findings.md: no finding is called " << name;
}

// "own.no-start" is kOwnNoStart.
std::string Enumerator(std::string_view name) {
  std::string out = "k";
  bool begins = true;
  for (const char c : name) {
    if (c != '.' && c != '-') out += begins ? static_cast<char>(c - 'a' + 'A') : c;
    begins = c == '.' || c == '-';
  }
  return out;
}

TEST(FindingsTest, EachHasATest) {
  std::string tests;
  for (const auto& file : std::filesystem::directory_iterator(kTree / "src/appraise"))
    if (file.path().filename().string().ends_with("_test.cc") && file.path().filename() != "findings_test.cc")
      tests += TextOf(file.path());
  for (const FindingRow& finding : kFindings) {
    if (finding.finding == FindingName::kInternalUnchecked)
      continue;  // a safeguard: no evidence is known that leads there
    EXPECT_TRUE(tests.find('"' + std::string(finding.name) + '"') != std::string::npos ||
                tests.find("FindingName::" + Enumerator(finding.name)) != std::string::npos)
        << finding.name << " has no test";
  }
}

TEST(FindingsTest, IsFoundByNameAndByError) {
  for (const FindingRow& finding : kFindings) EXPECT_EQ(FindingFromName(finding.name), finding.finding);
  EXPECT_EQ(FindingFromName("own.no-such"), std::nullopt);
  EXPECT_EQ(FindingOf(StateError(tpm::AkError::kWeak, "")), FindingName::kAkWeak);
  EXPECT_EQ(FindingOf(StateError(tpm::QuoteError::kPcrMissing, "")), std::nullopt);
  EXPECT_EQ(FindingOf(OsError("open", "", 2)), std::nullopt);
}

}  // namespace
}  // namespace assay::appraise
