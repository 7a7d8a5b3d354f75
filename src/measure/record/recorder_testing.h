// Internal, for tests: a recorder with a software TPM of its own in a temporary folder.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped.h"
#include "base/result_testing.h"
#include "list/list.h"
#include "measure/record/recorder.h"
#include "tpm/software_tpm.h"

namespace assay::measure {

inline Digest DigestOf(std::string_view s) { return Hash(HashAlg::kSha256, AsBytes(s)); }

class RecorderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-rec.XXXXXX";
    dir_ = mkdtemp(name);
    StartTpm();
    options_.dir = dir_ + "/list";
    options_.known = [](const Digest& d) { return d.view()[0] < 0x80; };
  }
  void TearDown() override {
    recorder_.reset();
    tpm_.reset();
    EXPECT_THAT(swtpm_.Stop(), IsOk());
    std::filesystem::remove_all(dir_);
  }
  void StartTpm() {
    auto started =
        tpm::SoftwareTpm::Start({.state_dir = dir_ + "/state", .run_dir = dir_ + "/run", .preload = ""});
    ASSERT_THAT(started, IsOk());
    swtpm_ = *started;
  }
  void Open() {
    tpm_.reset();
    auto tpm = tpm::Tpm::Connect(swtpm_.tcti());
    ASSERT_THAT(tpm, IsOk());
    tpm_ = std::move(*tpm);
    auto opened = Recorder::Open(options_, *tpm_);
    ASSERT_THAT(opened, IsOk());
    recorder_ = std::move(*opened);
  }
  Result<std::unique_ptr<Recorder>> TryOpen() { return Recorder::Open(options_, *tpm_); }
  void Close() { recorder_.reset(); }
  // Stops the TPM and starts it again: its PCRs are zero then.
  void ResetTpm() {
    recorder_.reset();
    tpm_.reset();
    ASSERT_THAT(swtpm_.Stop(), IsOk());
    StartTpm();
  }
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
  std::string dir_;
  tpm::SoftwareTpm swtpm_;
  std::unique_ptr<tpm::Tpm> tpm_;
  RecorderOptions options_;
  std::unique_ptr<Recorder> recorder_;
};

}  // namespace assay::measure
