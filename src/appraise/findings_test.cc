// docs/findings.md has each name that the code can give a finding, and no other; and each has a test.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/fd.h"
#include "base/result_testing.h"

namespace assay::appraise {
namespace {

const std::filesystem::path kTree = std::filesystem::path(ASSAY_TEST_DATA) / "../..";

bool IsName(std::string_view s) {
  const std::size_t dot = s.find('.');
  static const std::set<std::string_view> kinds{"ak",    "ek",     "tpm",      "quote",   "claims",
                                                "clock", "list",   "evidence", "context", "entry",
                                                "own",   "policy", "internal", "boot",    "run"};
  return dot != std::string_view::npos && dot + 1 < s.size() && kinds.contains(s.substr(0, dot)) &&
         s.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", dot + 1) == std::string_view::npos;
}

// What stands between these two in a file and is a finding's name.
std::set<std::string> NamesIn(const std::filesystem::path& file, std::string_view before,
                              std::string_view after) {
  const Result<Bytes> text = ReadFile(file, 1 << 20);
  EXPECT_THAT(text, IsOk()) << file;
  std::set<std::string> names;
  if (!text) return names;
  const std::string_view content = AsText(*text);
  for (std::size_t at = content.find(before); at != std::string_view::npos;
       at = content.find(before, at + 1)) {
    const std::size_t from = at + before.size();
    const std::size_t to = content.find(after, from);
    if (to != std::string_view::npos && IsName(content.substr(from, to - from)))
      names.insert(std::string(content.substr(from, to - from)));
  }
  return names;
}

void Take(std::set<std::string>& all, const std::set<std::string>& more) {
  all.insert(more.begin(), more.end());
}

TEST(FindingsTest, EachIsDocumentedAndTested) {
  // From the AK's and the quote's own checks; the errors that can't become findings are left out.
  std::set<std::string> code = NamesIn(kTree / "src/tpm/attest_data.cc", "\"", "\"");
  code.erase("quote.pcr-missing");
  Take(code, NamesIn(kTree / "src/tpm/ek_certificate.cc", "\"", "\""));
  std::set<std::string> tests;
  for (const auto& file : std::filesystem::directory_iterator(kTree / "src/appraise")) {
    const std::string name = file.path().filename();
    if (name.ends_with("_test.cc"))
      Take(tests, NamesIn(file.path(), "\"", "\""));
    else if (name.ends_with(".cc") && !name.ends_with("_fuzz.cc") && name != "saved_round.cc")  // file names
      Take(code, NamesIn(file.path(), "\"", "\""));
  }
  EXPECT_EQ(NamesIn(kTree / "docs/findings.md", "| `", "` |"), code);
  code.erase("internal.unchecked");  // a safeguard: no evidence is known that leads there
  for (const std::string& name : code) EXPECT_TRUE(tests.contains(name)) << name << " has no test";
}

}  // namespace
}  // namespace assay::appraise
