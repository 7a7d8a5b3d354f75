// A PCR that was capped before the recorder started, as assay-cap does it.
#include <gmock/gmock.h>

#include "base/result_testing.h"
#include "list/cap.h"
#include "measure/record/recorder_testing.h"

namespace assay::measure {
namespace {

using ::testing::ElementsAre;

class RecorderCapTest : public RecorderTest {
 protected:
  void Extend(const std::function<Digest(HashAlg)>& value) {
    recorder_.reset();
    ASSERT_NO_FATAL_FAILURE(machine_.Connect());
    const auto banks = tpm_->ActiveBanks(10);
    ASSERT_THAT(banks, IsOk());
    std::vector<Digest> extends;
    for (const HashAlg bank : *banks) extends.push_back(value(bank));
    ASSERT_THAT(tpm_->Extend(tpm::RawExtend::ForTest(), 10, extends), IsOk());
  }
  void Cap() { Extend(ima::CapExtend); }
  void KernelBegins() {
    const Bytes data = ima::EncodeNg(DigestOf("firmware"), "boot_aggregate");
    options_.kernel_list = dir_ + "/kernel";
    ASSERT_THAT(WriteFileAtomic(options_.kernel_list,
                                ima::EncodeRecord(10, ima::TemplateDigest(HashAlg::kSha1, "ima-ng", data),
                                                  "ima-ng", data)),
                IsOk());
    Extend([&](HashAlg bank) { return ima::TemplateDigest(bank, "ima-ng", data); });
  }
};

TEST_F(RecorderCapTest, FollowsTheKernelsBootAggregate) {
  ASSERT_NO_FATAL_FAILURE(KernelBegins());
  Cap();
  Open();
  Add("/bin/ls", "ls");
  Close();
  Open();  // reconciles
  EXPECT_THAT(CheckedPaths(), ElementsAre("boot_aggregate", "assay-cap", "/bin/ls"));
}

TEST_F(RecorderCapTest, MayBeTheFirstThingOfAll) {
  options_.kernel_list = dir_ + "/none";
  Cap();
  Cap();
  Open();
  Add("/bin/ls", "ls");
  EXPECT_THAT(CheckedPaths(), ElementsAre("assay-cap", "assay-cap", "/bin/ls"));
}

// A start that failed later than its first records.
TEST_F(RecorderCapTest, FollowsAList) {
  Open();
  Add("/bin/ls", "ls");
  Cap();
  Open();
  EXPECT_THAT(CheckedPaths(), ElementsAre("boot_aggregate", "/bin/ls", "assay-cap"));
  EXPECT_EQ(recorder_->State().count, 3U);
}

TEST_F(RecorderCapTest, IsNoLicenceForOtherExtends) {
  Open();
  Add("/bin/ls", "ls");
  Cap();
  Extend([](HashAlg bank) { return Digest::Filled(bank, 7); });
  const auto opened = TryOpen();
  ASSERT_THAT(opened, FailsWith("recorder.pcr-unexplained"));
}

}  // namespace
}  // namespace assay::measure
