// For tests: a software TPM of a test's own, in a temporary folder, with a connection to it.
//
//   #include "base/result_testing.h"
//   class ExampleInfoTest : public SoftwareTpmTest {};
//   TEST_F(ExampleInfoTest, SaysWhatItIs) { EXPECT_THAT(tpm_->Info(), IsOk()); }
//
// Contract: a TestTpm stops its TPM and a fixture removes its folder, whatever the test did with them. A step
// that fails is a fatal failure of the test. A recorder comes with measure/record/recorder_testing.h.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/folder_testing.h"
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
  // Again; connections stay the caller's to make.
  void Start() {
    auto started = SoftwareTpm::Start(options);
    ASSERT_THAT(started, IsOk());
    swtpm = *started;
  }
  void Connect() {
    tpm.reset();
    auto connected = Tpm::Connect(swtpm.tcti());
    ASSERT_THAT(connected, IsOk());
    tpm = std::move(*connected);
  }
  void Stop() {
    tpm.reset();
    if (options.run_dir.empty()) return;  // never started
    EXPECT_THAT(swtpm.Stop(), IsOk());
  }
  // Its PCRs are zero then.
  void Reset() {
    Stop();
    ASSERT_NO_FATAL_FAILURE(Start());
    Connect();
  }
  SoftwareTpmOptions options;
  SoftwareTpm swtpm;
  std::unique_ptr<Tpm> tpm;
};

class SoftwareTpmTest : public FolderTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(FolderTest::SetUp());
    ASSERT_NO_FATAL_FAILURE(machine_.Start(dir_, certified_ ? dir_ + "/ca" : ""));
    machine_.Connect();
  }
  void TearDown() override {
    machine_.Stop();
    FolderTest::TearDown();
  }
  bool certified_ = false;  // set before SetUp(): by a CA in dir_/ca
  TestTpm machine_;
  SoftwareTpm& swtpm_ = machine_.swtpm;
  std::unique_ptr<Tpm>& tpm_ = machine_.tpm;
};

}  // namespace assay::tpm
