// docs/errors.md has each error that a table has, with what to do about it, and no other.
#include "attest/errors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "appraise/errors.h"
#include "base/errors.h"
#include "base/fd.h"
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
    reference::kReferenceErrors,
    daemon::kEarlyErrors,
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
  const std::regex row(R"(\n\| `([a-z0-9.-]+)` \| ([^|\n]+) \| ([^|\n]+) \|)");
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it)
    if ((*it)[1] != "usage") page.emplace((*it)[1], (*it)[3]);
  EXPECT_EQ(page, code);
}

TEST(ErrorsTest, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const std::span<const ErrorRow> table : kTables)
    for (const ErrorRow& row : table) EXPECT_TRUE(names.insert(row.name).second) << row.name;
}

// A table that is missing above would be checked by nothing.
TEST(ErrorsTest, AllTablesAreChecked) {
  std::size_t tables = 0;
  const std::regex table("\ninline constexpr ErrorRow k");
  for (const auto& file : std::filesystem::recursive_directory_iterator(kTree / "src")) {
    if (file.path().filename() != "errors.h") continue;
    const std::string text = TextOf(file.path());
    tables += static_cast<std::size_t>(
        std::distance(std::sregex_iterator(text.begin(), text.end(), table), std::sregex_iterator()));
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
