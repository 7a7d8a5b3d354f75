// docs/errors.md has each error that a table has, with what to do about it, and no other.
#include "attest/errors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

#include "appraise/errors.h"
#include "base/errors.h"
#include "base/fd.h"
#include "base/markdown_testing.h"
#include "boot/errors.h"
#include "channel/errors.h"
#include "cli/errors.h"
#include "daemon/errors.h"
#include "evidence/errors.h"
#include "measure/engine/errors.h"
#include "measure/fanotify/errors.h"
#include "measure/lists/errors.h"
#include "measure/lsm/errors.h"
#include "measure/node/errors.h"
#include "measure/record/errors.h"
#include "measure/system/errors.h"
#include "reference/errors.h"
#include "tpm/errors.h"

namespace assay {
namespace {

const std::filesystem::path kTree = ASSAY_TREE;
constexpr std::size_t kMaxText = 1 << 20;

const std::vector<std::span<const ErrorRow>> kTables{
    kIoErrors,
    kCryptoErrors,
    tpm::kTpmFailures,
    tpm::kTpmFaults,
    tpm::kAkErrors,
    tpm::kEkErrors,
    tpm::kDeviceErrors,
    tpm::kQuoteErrors,
    tpm::kRunKeyErrors,
    boot::kBootErrors,
    evidence::kEnrolErrors,
    evidence::kRefusalCodes,
    channel::kChannelErrors,
    attest::kAttestErrors,
    attest::kNetErrors,
    measure::kFileErrors,
    measure::kStorageErrors,
    measure::kKernelImaErrors,
    measure::kRecorderErrors,
    measure::kEngineErrors,
    measure::kFanotifyErrors,
    measure::kLsmErrors,
    measure::kNodeErrors,
    appraise::kTrustedErrors,
    appraise::kRedactErrors,
    reference::kReferenceErrors,
    daemon::kEarlyErrors,
    daemon::kHandoverErrors,
    daemon::kDaemonErrors,
    daemon::kConfigErrors,
    cli::kCommandErrors,
    cli::kDoctorErrors,
    cli::kStatusErrors,
};

std::string TextOf(const std::filesystem::path& file) {
  const Result<Bytes> text = ReadFile(file, kMaxText);
  EXPECT_TRUE(text) << file;
  return text ? std::string(AsText(*text)) : "";
}

TEST(ErrorsTest, EachIsDocumentedWithItsRemedy) {
  std::map<std::string, std::string> code, page;
  for (const std::span<const ErrorRow> table : kTables)
    for (const ErrorRow& row : table) code.emplace(row.name, row.remedy);
  const std::string text = TextOf(kTree / "docs/errors.md");
  for (const std::vector<std::string>& cells : MarkdownRows(text)) {
    ASSERT_EQ(cells.size(), 3U) << cells[0];
    const bool is_pattern = std::any_of(cells[0].begin(), cells[0].end(), ::isupper);  // parse.FORMAT
    if (cells[0] != "usage" && !is_pattern) page.emplace(cells[0], cells[2]);
  }
  for (const auto& [name, remedy] : code) EXPECT_EQ(page[name], remedy) << name;
  for (const auto& [name, remedy] : page) EXPECT_TRUE(code.contains(name)) << name;
}

TEST(ErrorsTest, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const std::span<const ErrorRow> table : kTables)
    for (const ErrorRow& row : table) EXPECT_TRUE(names.insert(row.name).second) << row.name;
}

// A table that is missing above would be checked by nothing.
TEST(ErrorsTest, AllTablesAreChecked) {
  std::size_t tables = 0;
  constexpr std::string_view kTable = "\ninline constexpr ErrorRow k";
  for (const auto& file : std::filesystem::recursive_directory_iterator(kTree / "src")) {
    if (file.path().filename() != "errors.h") continue;
    const std::string text = TextOf(file.path());
    for (std::size_t at = text.find(kTable); at != std::string::npos; at = text.find(kTable, at + 1))
      ++tables;
  }
  EXPECT_EQ(tables, kTables.size());
}

TEST(ErrorsTest, IsAskedForByItsEnumerator) {
  const Error error = StateError(tpm::RunKeyError::kLost, "gone");
  EXPECT_TRUE(error.Is(tpm::RunKeyError::kLost));
  EXPECT_FALSE(error.Is(tpm::RunKeyError::kTemplate));
  EXPECT_FALSE(error.Is(tpm::TpmFailure::kGone)) << "of the same value, in another table";
  EXPECT_EQ(error.Code<tpm::RunKeyError>(), tpm::RunKeyError::kLost);
  EXPECT_EQ(error.Code<tpm::TpmFailure>(), std::nullopt);
  EXPECT_EQ(error.code(), "run-key.lost");
  EXPECT_EQ(error.In("doing this").remedy(), ErrorCode(tpm::RunKeyError::kLost).remedy());
  const Error other = OsError("open", "/x", 2);
  EXPECT_FALSE(other.Is(tpm::RunKeyError::kLost));
  EXPECT_EQ(other.remedy(), "");
  EXPECT_EQ(FromName<evidence::RefusalCode>("busy"), evidence::RefusalCode::kBusy);
  EXPECT_EQ(FromName<evidence::RefusalCode>("sorry"), std::nullopt);
}

}  // namespace
}  // namespace assay
