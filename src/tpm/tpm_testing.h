// For tests: a software TPM of a test's own, in a temporary folder, with a connection to it.
//
//   class QuoteTest : public SoftwareTpmTest {};
//   TEST_F(QuoteTest, SaysWhatItIs) { EXPECT_THAT(tpm_->Info(), IsOk()); }
//
// Contract: a TestTpm stops its TPM and a fixture removes its folder, whatever the test did with them. A step that
// fails is a fatal failure of the test. A recorder comes with measure/record/recorder_testing.h.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/result_testing.h"
#include "tpm/software_tpm.h"
#include "tpm/tpm.h"

namespace assay::tpm {

// For a test with several of them; with one, SoftwareTpmTest is shorter.
struct TestTpm {
  TestTpm() = default;
  TestTpm(const TestTpm&) = delete;
  TestTpm& operator=(const TestTpm&) = delete;
  ~TestTpm() { Stop(); }
  // Its state is kept in dir/state; with a CA's folder, it has an EK certificate by that CA.
  void Start(const std::string& dir, const std::string& ca_dir = "") {
    options = {.state_dir = dir + "/state", .run_dir = dir + "/run", .preload = "", .ca_dir = ca_dir};
    Start();
  }
  // Again, after Stop(): its PCRs are zero then.
  void Start() {
    auto started = SoftwareTpm::Start(options);
    ASSERT_THAT(started, IsOk());
    swtpm = *started;
    Connect();
  }
  void Connect() {
    tpm.reset();
    auto connected = Tpm::Connect(swtpm.tcti());
    ASSERT_THAT(connected, IsOk());
    tpm = std::move(*connected);
  }
  void Stop() {
    tpm.reset();
    EXPECT_THAT(swtpm.Stop(), IsOk());
  }
  SoftwareTpmOptions options;
  SoftwareTpm swtpm;
  std::unique_ptr<Tpm> tpm;
};

// A test's folder, removed with what is in it.
class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/assay-test.XXXXXX";  // short: sockets lie in it
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override {
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }
  std::string dir_;
};

class SoftwareTpmTest : public FolderTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(FolderTest::SetUp());
    machine_.Start(dir_);
  }
  void TearDown() override {
    machine_.Stop();
    FolderTest::TearDown();
  }
  TestTpm machine_;
  SoftwareTpm& swtpm_ = machine_.swtpm;
  std::unique_ptr<Tpm>& tpm_ = machine_.tpm;
};

}  // namespace assay::tpm
