// docs/findings.md has each name that the code can give a finding, and no other; and each has a test.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "base/fd.h"

namespace assay::appraise {
namespace {

const std::filesystem::path kTree = std::filesystem::path(ASSAY_TEST_DATA) / "../..";

std::set<std::string> NamesIn(const std::filesystem::path& file, const std::string& before,
                              const std::string& after) {
  const Result<Bytes> text = ReadFile(file, 1 << 20);
  EXPECT_TRUE(text) << file;
  std::set<std::string> names;
  if (!text) return names;
  const std::string content(AsText(*text));
  const std::regex name(before +
                        "((ak|ek|tpm|quote|claims|clock|list|evidence|context|entry|own|policy|internal)"
                        "\\.[a-z0-9-]+)" +
                        after);
  for (std::sregex_iterator i(content.begin(), content.end(), name), end; i != end; ++i)
    names.insert((*i)[1]);
  return names;
}

void Take(std::set<std::string>& all, const std::set<std::string>& more) {
  all.insert(more.begin(), more.end());
}

TEST(FindingsTest, EachIsDocumentedAndTested) {
  // From the AK's and the quote's own checks; the errors that can't become findings are left out.
  std::set<std::string> code = NamesIn(kTree / "src/tpm/attest_data.cc", "\"", "\"");
  code.erase("quote.pcr-missing");
  std::set<std::string> tests;
  for (const auto& file : std::filesystem::directory_iterator(kTree / "src/appraise")) {
    const std::string name = file.path().filename();
    if (name.ends_with("_test.cc"))
      Take(tests, NamesIn(file.path(), "\"", "\""));
    else if (name.ends_with(".cc") && !name.ends_with("_fuzz.cc"))
      Take(code, NamesIn(file.path(), "\"", "\""));
  }
  EXPECT_EQ(NamesIn(kTree / "docs/findings.md", "\\| `", "` \\|"), code);
  code.erase("internal.unchecked");  // a safeguard: no evidence is known that leads there
  for (const std::string& name : code) EXPECT_TRUE(tests.contains(name)) << name << " has no test";
}

}  // namespace
}  // namespace assay::appraise
