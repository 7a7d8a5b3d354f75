// Internal, for tests: a recorder with a software TPM of its own in a temporary folder.
//
//   TEST_F(RecorderTest, ExampleOfOneFile) {
//     Open();
//     EXPECT_TRUE(Add("/usr/bin/ls", "content").is_new);
//   }
//
// Contract: each test has its own TPM and folder, which end with it. The tests of a file that includes this
// need no root.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/mapped.h"
#include "list/list.h"
#include "measure/record/recorder.h"
#include "tpm/tpm_testing.h"

namespace assay::measure {

inline Digest DigestOf(std::string_view s) { return Hash(HashAlg::kSha256, AsBytes(s)); }

// The recorder opens with recorder_options_; its list is in dir_/list.
class RecordingTest : public tpm::SoftwareTpmTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(SoftwareTpmTest::SetUp());
    recorder_options_.dir = dir_ + "/list";
  }
  void TearDown() override {
    recorder_.reset();
    SoftwareTpmTest::TearDown();
  }
  Result<std::unique_ptr<Recorder>> TryOpen() { return Recorder::Open(recorder_options_, *tpm_); }
  void OpenRecorder() {
    auto opened = TryOpen();
    ASSERT_THAT(opened, IsOk());
    recorder_ = std::move(*opened);
  }
  // PCRs are zero then.
  void ResetTpm() {
    recorder_.reset();
    machine_.Reset();
  }
  RecorderOptions recorder_options_;
  std::unique_ptr<Recorder> recorder_;
};

// For tests of the recorder itself. Digests below 80... are known.
class RecorderTest : public RecordingTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(RecordingTest::SetUp());
    options_.known = [](const Digest& d) { return d.view()[0] < 0x80; };
    tpm_.reset();  // Open() connects
  }
  void Open() {
    ASSERT_NO_FATAL_FAILURE(machine_.Connect());
    OpenRecorder();
  }
  void Close() { recorder_.reset(); }
  Recorded Add(std::string_view path, std::string_view content) {
    auto r = recorder_->Record({DigestOf(content), std::string(path), {}});
    EXPECT_THAT(r, IsOk());
    return r ? *r : Recorded{};
  }
  // The list's replay is what the TPM holds, in each bank; the entries' paths, in order.
  std::vector<std::string> CheckedPaths() {
    std::vector<std::string> paths;
    auto file = MappedFile::Open(options_.dir + "/list");
    EXPECT_THAT(file, IsOk());
    auto banks = tpm_->ActiveBanks(10);
    auto replayed = ima::ReplayList(file->view(), HashAlg::kSha256, *banks);
    EXPECT_THAT(replayed, IsOk());
    EXPECT_TRUE(replayed->wrong_hints.empty());
    for (std::size_t i = 0; i < banks->size(); ++i) {
      const auto bank = static_cast<std::uint16_t>((*banks)[i]);
      auto pcr = tpm_->ReadPcrs({{.bank = bank, .pcrs = {10}}});
      EXPECT_THAT(pcr, IsOk());
      EXPECT_EQ(pcr->at(bank).at(10), replayed->values[i]);
    }
    ima::ListReader reader(file->view(), HashAlg::kSha256);
    while (true) {
      auto record = reader.Next();
      EXPECT_THAT(record, IsOk());
      if (!record || !*record) break;
      auto entry = ima::Decode(**record);
      EXPECT_THAT(entry, IsOk());
      if (entry->path != ima::kGroupName) {
        paths.push_back(entry->path);
        continue;
      }
      auto inner = ima::DecodeGroup(entry->buffer);
      EXPECT_THAT(inner, IsOk());
      for (const auto& i : *inner) {
        ima::RecordView view = **record;
        view.template_name = i.template_name;
        view.data = i.data;
        paths.push_back(ima::Decode(view)->path);
      }
    }
    return paths;
  }
  RecorderOptions& options_ = recorder_options_;
};

}  // namespace assay::measure
