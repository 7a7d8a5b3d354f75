// Internal, for tests: evidence from a real recorder and a software TPM, and functions that edit it.
//
//   TEST_F(AttacksTest, ExampleOfGoodEvidence) { ExpectOnly(Judge(Collect()), {}); }
//
// Contract: each test has a TPM of its own; the recorder holds 30 files that the references know.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "appraise/appraise.h"
#include "appraise/result.h"
#include "appraise/synthetic.h"
#include "attest/collector.h"
#include "base/result_testing.h"
#include "list/list.h"
#include "measure/record/recorder_testing.h"
#include "tpm/run_key.h"

namespace assay::appraise {

class References : public ReferenceValues {
 public:
  void Put(std::string_view content, const std::string& path, Standing standing = Standing::kGood) {
    const Origin o{standing, "package", "1.0", "amd64", path, ""};
    by_digest_[DigestOf(content)].push_back(o);
    by_path_[path] = o;
  }
  std::vector<Origin> Find(const Digest& digest) const override {
    const auto found = by_digest_.find(digest);
    return found == by_digest_.end() ? std::vector<Origin>{} : found->second;
  }
  std::optional<Origin> FindPath(const std::string& path) const override {
    const auto found = by_path_.find(path);
    return found == by_path_.end() ? std::nullopt : std::optional(found->second);
  }
  std::string Fingerprint() const override { return ""; }

 private:
  std::map<Digest, std::vector<Origin>> by_digest_;
  std::map<std::string, Origin> by_path_;
};

class AttacksTest : public measure::RecordingTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(RecordingTest::SetUp());
    recorder_options_.allow_retire = true;
    recorder_options_.known = [](const Digest& d) { return d.view()[0] < 0x40; };
    Start();
    if (HasFatalFailure()) return;
    policy_.allow_software_tpm = true;
    policy_.allow_first_use = true;
    references_.Put("assayd", "/usr/sbin/assayd");
    for (int i = 0; i < 30; ++i) {
      references_.Put(Content(i), Path(i));
      Record(Content(i), Path(i));
    }
  }
  void TearDown() override {
    collector_.reset();
    recorder_.reset();
    run_key_.reset();
    RecordingTest::TearDown();
  }
  static std::string Content(int i) { return "content " + std::to_string(i); }
  static std::string Path(int i) { return "/usr/bin/p" + std::to_string(i); }

  // The attester's start, with its own records as assayd writes them.
  void Start(std::uint64_t run = 1) {
    collector_.reset();
    recorder_.reset();
    run_key_.reset();
    ASSERT_NO_FATAL_FAILURE(machine_.Connect());
    ASSERT_NO_FATAL_FAILURE(OpenRecorder());
    auto run_key = tpm::RunKey::Create(*tpm_);
    ASSERT_THAT(run_key, IsOk());
    run_key_ = std::move(*run_key);
    RecordOwn("assay-start", {{"version", "0.1.0"},
                              {"pid", 1},
                              {"boot_id", "b"},
                              {"uptime_ms", 1},
                              {"scope", "host"},
                              {"tasks_before", 0},
                              {"run", run},
                              {"run_key", Hex(run_key_->public_area())},
                              {"executable", "/usr/sbin/assayd"},
                              {"components", {"/usr/sbin/assayd"}}});
    Record("assayd", "/usr/sbin/assayd");
    RecordOwn("assay-policy", Measuring());
    RecordOwn("assay-engine", {{"engine", "fanotify"}, {"scope", "host"}});
    attest::CollectorOptions collect;
    collect.engine = [] { return std::pair<std::string, std::string>("fanotify", "ok"); };
    collect.run = [this](ByteView statement) { return run_key_->Sign(statement); };
    auto collector = attest::Collector::Create(std::move(collect), *recorder_, *tpm_, tpm::AkKind::kEccP256);
    ASSERT_THAT(collector, IsOk());
    collector_ = std::move(*collector);
  }
  void Record(const std::string& content, const std::string& path) {
    auto r = recorder_->Record(
        {DigestOf(content), path, {.time_ms = 1, .pid = 2, .uid = 3, .comm = "sh", .hook = "exec"}});
    ASSERT_THAT(r, IsOk());
  }
  void RecordOwn(const std::string& name, const nlohmann::json& content) {
    auto r = recorder_->RecordBuffer(name, AsBytes(content.dump()), {});
    ASSERT_THAT(r, IsOk());
  }

  evidence::Evidence Collect(const evidence::Binding& binding = {"unix", {}},
                             const std::string& selection = "") {
    evidence::Challenge c;
    c.nonce = nonce_;
    c.first_record = first_;
    if (!selection.empty()) c.selection = *tpm::ParseSelectionText(selection);
    auto e = collector_->Collect(c, binding, level_);
    EXPECT_THAT(e, IsOk());
    return e ? *e : evidence::Evidence{};
  }
  Appraisal Judge(const evidence::Evidence& e) {
    const Request request{.evidence = e,
                          .binding = {"unix", {}},
                          .nonce = nonce_,
                          .selection = *tpm::ParseSelectionText(asked_),
                          .first_record = first_};
    return Appraise(request, host_, references_, policy_);
  }
  static std::set<std::string> Weighing(const Appraisal& a) {
    std::set<std::string> names;
    for (const Finding& f : a.findings)
      if (f.weight != Verdict::kTrusted) names.emplace(NameText(f.name));
    return names;
  }
  void ExpectOnly(const Appraisal& a, const std::set<std::string>& names) {
    EXPECT_EQ(Weighing(a), names) << Describe(a, false, false);
    EXPECT_EQ(a.verdict == Verdict::kTrusted, names.empty());
  }
  // The evidence with an edited list: the list is split into records, which `edit` changes, and joined again.
  template <typename Edit>
  evidence::Evidence WithList(evidence::Evidence e, Edit edit) {
    std::vector<Bytes> records;
    ima::ListReader reader(e.list, HashAlg::kSha256);
    while (true) {
      auto r = reader.Next();
      if (!r || !*r) break;
      records.push_back(ToBytes((*r)->raw));
    }
    edit(records);
    e.list.clear();
    for (const Bytes& r : records) e.list.insert(e.list.end(), r.begin(), r.end());
    return e;
  }
  static Bytes Forged(std::string_view content, const std::string& path) {
    const Bytes data = ima::EncodeNg(DigestOf(content), path);
    return ima::EncodeRecord(10, ima::TemplateDigest(HashAlg::kSha256, "ima-ng", data), "ima-ng", data);
  }

  std::unique_ptr<tpm::RunKey> run_key_;
  std::unique_ptr<attest::Collector> collector_;
  References references_;
  Policy policy_;
  HostState host_;
  evidence::Nonce nonce_ = evidence::Nonce::Filled(7);
  std::uint64_t first_ = 0;
  evidence::Level level_ = evidence::Level::kFull;
  std::string asked_ = "sha256:0-14";
};

}  // namespace assay::appraise
