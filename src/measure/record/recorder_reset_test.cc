// A TPM that is reset, restarted or resumed while the recorder runs, on a real software TPM.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/result_testing.h"
#include "measure/record/recorder_testing.h"

namespace assay::measure {
namespace {

class RecorderResetTest : public RecorderTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(RecorderTest::SetUp());
    options_.synchronous = true;
    Open();
    Add("/a", "1");
  }
  static void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(2100)); }
  bool SaysReset() const { return recorder_->State().degraded_code == "recorder.pcr-reset"; }
  // What the quote's claims will say.
  std::string CodeWhenQuoted() {
    std::string code = "not called";
    EXPECT_THAT(recorder_->Quiesce([&](const RecorderState& s) {
      code = s.degraded_code;
      return Result<>();
    }),
                IsOk());
    return code;
  }
};

TEST_F(RecorderResetTest, IsNoticedBeforeTheNextRecord) {
  const std::uint64_t records = recorder_->State().count;
  Pause();
  tpm::TpmForTest::Reset(*tpm_, swtpm_);
  EXPECT_THAT(recorder_->Record({DigestOf("2"), "/b", {}}), FailsWith("recorder.degraded"));
  EXPECT_TRUE(SaysReset());
  EXPECT_TRUE(recorder_->State().degraded_reason.starts_with("recorder.pcr-reset"));
  EXPECT_EQ(recorder_->State().count, records);  // nothing was written into a list without a PCR
  EXPECT_THAT(recorder_->Recover(), FailsWith("recorder.degraded"));
  EXPECT_TRUE(SaysReset());
}

TEST_F(RecorderResetTest, IsNoticedAtTheNextQuote) {
  EXPECT_EQ(CodeWhenQuoted(), "");
  tpm::TpmForTest::Reset(*tpm_, swtpm_);
  EXPECT_EQ(CodeWhenQuoted(), "recorder.pcr-reset");  // the verifier sees it by itself
  EXPECT_EQ(CodeWhenQuoted(), "recorder.pcr-reset");
}

TEST_F(RecorderResetTest, IsNoticedThoughThePcrWasExtendedAnew) {
  const auto before = tpm_->ReadPcrs({{.bank = 11, .pcrs = {10}}});
  tpm::TpmForTest::Reset(*tpm_, swtpm_);
  auto list = MappedFile::Open(options_.dir + "/list");
  ASSERT_THAT(list, IsOk());
  ima::ListReader reader(list->view(), HashAlg::kSha256);
  while (true) {
    const auto record = reader.Next();
    ASSERT_THAT(record, IsOk());
    if (!*record) break;
    std::vector<Digest> values;
    for (const HashAlg bank : {HashAlg::kSha1, HashAlg::kSha256})
      values.push_back(ima::ExtendValue(bank, **record));
    ASSERT_THAT(tpm_->Extend(tpm::RawExtend::ForTest(), 10, values), IsOk());
  }
  ASSERT_EQ(*tpm_->ReadPcrs({{.bank = 11, .pcrs = {10}}}), *before);
  EXPECT_EQ(CodeWhenQuoted(), "recorder.pcr-reset");
}

TEST_F(RecorderResetTest, ATpmThatNobodyStartedIsStartedAndFoundReset) {
  tpm::TpmForTest::PowerCycle(swtpm_);
  EXPECT_THAT(recorder_->Record({DigestOf("2"), "/b", {}}), FailsWith("recorder.degraded"));
  EXPECT_EQ(recorder_->State().degraded_code, "tpm.gone");
  EXPECT_THAT(recorder_->Recover(), FailsWith("recorder.degraded"));
  EXPECT_TRUE(SaysReset());
}

TEST_F(RecorderResetTest, ASuspendWithTheStateKeptChangesNothing) {
  const RecorderState before = recorder_->State();
  tpm::TpmForTest::Suspend(*tpm_, swtpm_);
  EXPECT_EQ(CodeWhenQuoted(), "");
  Pause();
  Add("/b", "2");
  EXPECT_EQ(recorder_->State().reset_count, before.reset_count);
  EXPECT_EQ(recorder_->State().restart_count, before.restart_count + 1);
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a", "/b"}));
}

TEST_F(RecorderResetTest, ARestartEmptiesThePcr) {
  tpm::TpmForTest::Suspend(*tpm_, swtpm_, false);
  EXPECT_EQ(CodeWhenQuoted(), "recorder.pcr-reset");
}

TEST_F(RecorderResetTest, AnotherExtenderIsNoticedAfterAPause) {
  const std::vector<Digest> x{DigestOf("x")};
  ASSERT_THAT(tpm_->Extend(tpm::RawExtend::ForTest(), 10, x), IsOk());
  Pause();
  EXPECT_THAT(recorder_->Record({DigestOf("2"), "/b", {}}), FailsWith("recorder.degraded"));
  EXPECT_EQ(recorder_->State().degraded_code, "recorder.pcr-foreign");
}

}  // namespace
}  // namespace assay::measure
