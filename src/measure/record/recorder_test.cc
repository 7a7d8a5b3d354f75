// Long file: one recorder, from its start to what a restart finds; the tests share its fixture.
#include "measure/record/recorder.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/result_testing.h"
#include "measure/record/journal.h"
#include "measure/record/recorder_testing.h"
#include "measure/system/byte_code.h"
#include "measure/system/violation_record.h"

namespace assay::measure {
namespace {

TEST_F(RecorderTest, RecordsOnceUntilContentChanges) {
  options_.synchronous = true;
  Open();
  EXPECT_TRUE(Add("/a", "1").is_new);
  EXPECT_FALSE(Add("/a", "1").is_new);
  EXPECT_TRUE(Add("/b", "1").is_new);
  EXPECT_TRUE(Add("/a", "2").is_new);
  EXPECT_TRUE(Add("/a", "1").is_new);  // an older version that came back
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a", "/b", "/a", "/a"}));
  Close();
  Open();
  EXPECT_FALSE(Add("/a", "1").is_new);  // a restart knows
  EXPECT_FALSE(Add("/b", "1").is_new);
  EXPECT_EQ(recorder_->State().count, 5U);
}

TEST_F(RecorderTest, OneRecordForEachControlGroupWhereTheRecordNamesIt) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d == DigestOf("1"); };
  Open();
  const auto add = [&](std::string_view content, std::string cgroup) {
    Context context;
    context.cgroup = std::move(cgroup);
    auto r = recorder_->Record({DigestOf(content), "/a", context, ima::Template::kNgCgroup});
    EXPECT_THAT(r, IsOk());
    return r && r->is_new;
  };
  EXPECT_TRUE(add("1", "/one"));  // into a group
  EXPECT_TRUE(add("1", "/two"));
  EXPECT_FALSE(add("1", "/one"));
  EXPECT_TRUE(add("1", ""));  // one that can't be told is one of its own
  EXPECT_TRUE(Add("/a", "1").is_new);
  EXPECT_TRUE(add("2", "/two"));
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a", "/a", "/a", "/a", "/a"}));
  Close();
  Open();
  EXPECT_FALSE(add("1", "/one"));  // a restart knows
  EXPECT_FALSE(add("2", "/two"));
  EXPECT_TRUE(add("1", "/two"));
}

TEST_F(RecorderTest, ViolationsAreAllOnesInThePcr) {
  Open();
  EXPECT_TRUE(Add("/a", "1").is_new);
  ASSERT_THAT(recorder_->RecordViolation(Violation::kOpenWriters, "/a", {}), IsOk());
  auto again = recorder_->RecordViolation(Violation::kOpenWriters, "/a", {});
  ASSERT_THAT(again, IsOk());
  EXPECT_FALSE(again->is_new);
  EXPECT_TRUE(Add("/a", "1").is_new);  // after a violation the path is measured anew
  ASSERT_THAT(recorder_->Flush(), IsOk());
  EXPECT_EQ(CheckedPaths().size(), 4U);
  EXPECT_EQ(recorder_->State().violations, 1U);
}

// The record beside says which program and what; nothing comes between the two.
TEST_F(RecorderTest, ViolationsOfAProgramNameIt) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest&) { return true; };
  Open();
  const Digest one = DigestOf("one"), two = DigestOf("two");
  const auto violate = [&](Violation v, const std::optional<Digest>& program) {
    const auto r = recorder_->RecordViolation(v, "anonymous_code:/usr/bin/a b", {}, program);
    EXPECT_THAT(r, IsOk());
    return r && r->is_new;
  };
  Add("/before", "1");
  for (int i = 0; i < 3; ++i) {  // also taking turns, each is recorded once
    EXPECT_EQ(violate(Violation::kAnonymousCode, one), i == 0);
    EXPECT_EQ(violate(Violation::kAnonymousCode, two), i == 0);
    EXPECT_EQ(violate(Violation::kWritableCode, one), i == 0);
    Add("/between" + std::to_string(i), "1");
  }
  EXPECT_TRUE(violate(Violation::kAnonymousCode, std::nullopt)) << "by whom is not known: another one";
  EXPECT_EQ(recorder_->State().violations, 4U);
  const std::string violation = "anonymous_code:/usr/bin/a_b", beside(kViolationRecord);
  EXPECT_EQ(CheckedPaths(),
            (std::vector<std::string>{"boot_aggregate", "/before", violation, beside, violation, beside,
                                      violation, beside, "/between0", "/between1", "/between2", violation}));
  Close();
  Open();
  EXPECT_FALSE(violate(Violation::kAnonymousCode, one));  // a restart knows
  EXPECT_FALSE(violate(Violation::kWritableCode, one));
  EXPECT_TRUE(violate(Violation::kWritableCode, two));
}

// The record beside byte code says what it is of; content that may share a record needs none.
TEST_F(RecorderTest, ByteCodeIsNamedBesideItsEntry) {
  const Digest digest = DigestOf("a.pyc"), known = Digest::Filled(kFileHash, 1);
  const auto record = [&](const Digest& of) {
    const auto r =
        recorder_->Record({.digest = of, .path = "/a b.pyc", .context = {}, .code = DigestOf("code")});
    EXPECT_THAT(r, IsOk());
    return r && r->is_new;
  };
  options_.known = [&](const Digest& d) { return d == known; };
  Open();
  EXPECT_TRUE(record(digest));
  EXPECT_FALSE(record(digest));
  EXPECT_TRUE(record(known));
  ASSERT_THAT(recorder_->Flush(), IsOk());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a_b.pyc",
                                                      std::string(kByteCodeRecord), "/a_b.pyc"}));
  Close();
  Open();
  EXPECT_FALSE(record(known));  // a restart knows
}

// A violation that a verifier may allow must not hide one of an unknown program, not even after a restart.
TEST_F(RecorderTest, AViolationOfAProgramHidesNoOther) {
  Open();
  ASSERT_THAT(recorder_->RecordViolation(Violation::kAnonymousCode, "code:x", {}, DigestOf("one")), IsOk());
  Close();
  Open();
  const auto unknown = recorder_->RecordViolation(Violation::kAnonymousCode, "code:x", {});
  ASSERT_THAT(unknown, IsOk());
  EXPECT_TRUE(unknown->is_new);
}

TEST_F(RecorderTest, AnswersTheViolationEvenIfItsProgramIsLost) {
  Open();
  int writes = 0;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (at == "list.write" && ++writes == 3) return Fail(OsError("write", "list", ENOSPC));
    return {};
  };
  Close();
  Open();
  writes = 1;
  EXPECT_THAT(recorder_->RecordViolation(Violation::kAnonymousCode, "code:x", {}, DigestOf("one")),
              ::testing::Not(IsOk()));
  ASSERT_THAT(recorder_->Recover(), IsOk());
  const auto paths = CheckedPaths();
  EXPECT_EQ(std::count(paths.begin(), paths.end(), "code:x"), 1);
  EXPECT_EQ(std::count(paths.begin(), paths.end(), kViolationRecord), 0);
}

// Write-ahead files can be deleted: what becomes a part of the kernel is in the PCR before it runs.
TEST_F(RecorderTest, WhatTheKernelTakesIsNeverGrouped) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest&) { return true; };
  Open();
  std::uint64_t records = 1;
  for (const char* hook : {"module", "bpf", "firmware", "policy", "x509", "kernel"}) {
    Context context;
    context.hook = hook;
    ASSERT_THAT(recorder_->Record({DigestOf(hook), std::string("/") + hook, context}), IsOk());
    EXPECT_EQ(recorder_->State().count, ++records) << hook;
  }
  Add("/usr/bin/ls", "ls");
  EXPECT_EQ(recorder_->State().count, records) << "this one is";
}

TEST_F(RecorderTest, AKexecIsSaidEachTime) {
  Open();
  Context context;
  Add("/boot/vmlinuz", "kernel");  // known before, as a file that a process reads
  context.hook = "kexec";
  for (int i = 0; i < 2; ++i)
    ASSERT_THAT(recorder_->Record({DigestOf("kernel"), "/boot/vmlinuz", context}), IsOk());
  context.hook = "initramfs";
  ASSERT_THAT(recorder_->Record({DigestOf("initrd"), "/boot/initrd", context}), IsOk());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/boot/vmlinuz", "assay-kexec",
                                                      "assay-kexec", "/boot/initrd", "assay-kexec"}));
}

TEST_F(RecorderTest, GroupsKnownContentAndKeepsTheOrder) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d != DigestOf("unknown"); };
  Open();
  for (int i = 0; i < 100; ++i) Add("/known" + std::to_string(i), "content" + std::to_string(i));
  EXPECT_EQ(recorder_->State().count, 1U);
  EXPECT_FALSE(Add("/known5", "content5").is_new);
  Add("/unknown", "unknown");
  EXPECT_EQ(recorder_->State().count, 3U);
  EXPECT_EQ(recorder_->State().entries, 102U);
  const auto paths = CheckedPaths();
  ASSERT_EQ(paths.size(), 102U);
  EXPECT_EQ(paths[1], "/known0");
  EXPECT_EQ(paths[101], "/unknown");
  Add("/last", "last");
  ASSERT_THAT(recorder_->Quiesce([&](const RecorderState& s) -> Result<> {
    EXPECT_EQ(s.count, 4U);
    EXPECT_EQ(s.checkpoints.back().second, s.pcr_values[1].second);
    return {};
  }),
              IsOk());
  auto journal = MappedFile::Open(options_.dir + "/journal");
  ASSERT_THAT(journal, IsOk());
  auto part = ParseJournal(journal->view(), 1);
  ASSERT_THAT(part, IsOk());
  ASSERT_EQ(part->entries.size(), 102U);
  EXPECT_EQ(part->entries[99].sub, 99U);
  EXPECT_EQ(part->entries[100].index, 2U);
}

TEST_F(RecorderTest, WhatRanAlreadySharesARecord) {
  Open();
  Context late{
      .time_ms = 1, .pid = 2, .uid = 3, .comm = "sh", .hook = "missed", .cgroup = "/a", .late = true};
  const Digest unknown = Digest::Filled(HashAlg::kSha256, 0xEE);
  ASSERT_THAT(recorder_->RecordViolation(Violation::kUnanswered, "/bin/x", late), IsOk());
  ASSERT_THAT(recorder_->Record({unknown, "/bin/x", late}), IsOk());
  ASSERT_THAT(recorder_->RecordViolation(Violation::kUnanswered, "/bin/y", late), IsOk());
  ASSERT_THAT(recorder_->Flush(), IsOk());
  const RecorderState before = recorder_->State();
  EXPECT_EQ(before.count, 2U) << "boot_aggregate and one group";
  EXPECT_EQ(before.violations, 2U);
  auto list = MappedFile::Open(options_.dir + "/list");
  ASSERT_THAT(list, IsOk());
  ima::ListReader reader(list->view(), HashAlg::kSha256);
  ASSERT_THAT(reader.Next(), IsOk());
  const auto group = reader.Next();
  ASSERT_TRUE(group && *group);
  EXPECT_FALSE((*group)->violation());
  const auto entry = ima::Decode(**group);
  ASSERT_THAT(entry, IsOk());
  const auto inner = ima::DecodeGroup(entry->buffer);
  ASSERT_TRUE(inner && inner->size() == 3);
  EXPECT_TRUE(ima::OpenInner(**group, (*inner)[0]).view.violation());
  EXPECT_FALSE(ima::OpenInner(**group, (*inner)[1]).view.violation());
  auto journal = MappedFile::Open(options_.dir + "/journal");
  ASSERT_THAT(journal, IsOk());
  const auto part = ParseJournal(journal->view(), 0);
  ASSERT_TRUE(part && part->entries.size() == 3);
  EXPECT_EQ(part->entries[2].sub, 2U);
  EXPECT_EQ(part->entries[2].context.hook, "unanswered");
  EXPECT_EQ(part->entries[2].context.cgroup, "/a");
  // A restart counts them the same, and knows that the last of /bin/y is a violation.
  recorder_.reset();
  Open();
  EXPECT_EQ(recorder_->State().violations, before.violations);
  const auto again = recorder_->RecordViolation(Violation::kUnanswered, "/bin/y", late);
  ASSERT_THAT(again, IsOk());
  EXPECT_FALSE(again->is_new);
}

TEST_F(RecorderTest, AGroupIsCommittedInTime) {
  options_.group_ms = 20;
  options_.known = [](const Digest&) { return true; };
  Open();
  Add("/a", "1");
  for (int i = 0; i < 500 && recorder_->State().count < 2; ++i) usleep(10'000);
  EXPECT_EQ(recorder_->State().count, 2U);
}

TEST_F(RecorderTest, OneRecorderPerList) {
  Open();
  auto second = TryOpen();
  ASSERT_THAT(second, FailsWith("recorder.locked"));
}

TEST_F(RecorderTest, RefusesAPcrThatTheListCantExplain) {
  Open();
  Add("/a", "1");
  Close();
  const std::vector<Digest> x{DigestOf("x")};
  ASSERT_THAT(tpm_->Extend(tpm::RawExtend::ForTest(), 10, x), IsOk());
  auto opened = TryOpen();
  ASSERT_THAT(opened, FailsWith("recorder.pcr-unexplained"));
  std::filesystem::remove_all(options_.dir);
  opened = TryOpen();
  ASSERT_THAT(opened, FailsWith("recorder.pcr-in-use"));
}

// The kernel's IMA has made its first record; in a bank whose hash it lacks with the SHA-1 and zeros behind
// it.
TEST_F(RecorderTest, AdoptsTheKernelsBootAggregate) {
  const Bytes data = ima::EncodeNg(DigestOf("firmware"), "boot_aggregate");
  const Digest sha1 = ima::TemplateDigest(HashAlg::kSha1, "ima-ng", data);
  const Bytes record = ima::EncodeRecord(10, sha1, "ima-ng", data);
  options_.kernel_list = dir_ + "/kernel";
  auto tpm = tpm::Tpm::Connect(swtpm_.tcti());
  ASSERT_THAT(tpm, IsOk());
  auto banks = (*tpm)->ActiveBanks(10);
  std::vector<Digest> extends;
  for (const HashAlg bank : *banks) {
    Bytes padded = ToBytes(sha1.view());
    padded.resize(DigestSize(bank));
    extends.push_back(*Digest::Of(bank, padded));
  }
  ASSERT_THAT((*tpm)->Extend(tpm::RawExtend::ForTest(), 10, extends), IsOk());
  tpm->reset();

  ASSERT_THAT(WriteFileAtomic(options_.kernel_list, record), IsOk());
  Open();
  EXPECT_EQ(recorder_->State().count, 1U);
  Add("/bin/ls", "ls");
  Close();
  Open();  // reconciles
  EXPECT_EQ(recorder_->State().count, 2U);
  Add("/bin/cat", "cat");
  for (const auto& [bank, value] : recorder_->State().pcr_values) {
    const auto id = static_cast<std::uint16_t>(bank);
    auto pcr = tpm_->ReadPcrs({{.bank = id, .pcrs = {10}}});
    ASSERT_THAT(pcr, IsOk());
    EXPECT_EQ(pcr->at(id).at(10), value);
  }

  // A kernel that records more than that is another recorder.
  Close();
  options_.dir = dir_ + "/other";
  Bytes two = record;
  two.insert(two.end(), record.begin(), record.end());
  ASSERT_THAT(WriteFileAtomic(options_.kernel_list, two), IsOk());
  auto refused = TryOpen();
  ASSERT_THAT(refused, FailsWith("recorder.kernel-ima"));
}

TEST_F(RecorderTest, AResetTpmIsNoticed) {
  Open();
  Add("/a", "1");
  Add("/b", "2");
  ASSERT_THAT(recorder_->Flush(), IsOk());
  ResetTpm();
  auto opened = TryOpen();
  ASSERT_THAT(opened, FailsWith("recorder.pcr-reset"));
  options_.allow_retire = true;
  Open();
  EXPECT_TRUE(Add("/a", "1").is_new);
  ASSERT_THAT(recorder_->Flush(), IsOk());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a"}));
}

TEST_F(RecorderTest, AFullListSaysSoAndStillExtends) {
  options_.synchronous = true;
  options_.max_records = 3;
  Open();
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Add("/f" + std::to_string(i), std::to_string(i)).is_new);
  EXPECT_EQ(recorder_->State().count, 3U);
  EXPECT_EQ(recorder_->State().overflow, 4U);
  Close();
  Open();
  EXPECT_EQ(recorder_->State().overflow, 4U);
  Add("/more", "more");
  EXPECT_EQ(recorder_->State().overflow, 5U);
}

TEST_F(RecorderTest, TpmGoneIsSaidAndMended) {
  options_.synchronous = true;
  Open();
  Add("/a", "1");
  kill(swtpm_.pid(), SIGSTOP);  // so that nothing is lost: a connection that breaks, not a reset
  kill(swtpm_.pid(), SIGCONT);
  int breaks = 1;
  Close();
  options_.fault = [&](std::string_view at) -> Result<> {
    if (at == "extended" && breaks-- > 0)
      return Fail(tpm::TpmError(tpm::TpmError::Kind::kGone, "TPM2_PCR_Extend", 0));
    return {};
  };
  Open();
  breaks = 1;
  auto r = recorder_->Record({DigestOf("2"), "/b", {}});
  ASSERT_THAT(r, FailsWith("recorder.degraded"));
  EXPECT_TRUE(recorder_->State().degraded);
  r = recorder_->Record({DigestOf("3"), "/c", {}});
  ASSERT_THAT(r, ::testing::Not(IsOk()));
  EXPECT_THAT(recorder_->Quiesce([](const RecorderState&) -> Result<> { return {}; }),
              ::testing::Not(IsOk()));
  ASSERT_THAT(recorder_->Recover(), IsOk());
  // /b had reached the PCR; /c could not be recorded, and the list says so.
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a", "/b", "/c"}));
  EXPECT_EQ(recorder_->State().violations, 1U);
  EXPECT_TRUE(Add("/c", "3").is_new);
}

TEST_F(RecorderTest, AnUnwritableListIsSaidAndMended) {
  options_.group_ms = 60'000;
  bool full = false;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (full && at.ends_with(".write")) return Fail(OsError("write", "list", ENOSPC));
    return {};
  };
  options_.known = [](const Digest& d) { return d != DigestOf("u"); };
  Open();
  Add("/grouped", "g");
  full = true;
  EXPECT_THAT(recorder_->Record({DigestOf("u"), "/unknown", {}}), ::testing::Not(IsOk()));
  full = false;
  ASSERT_THAT(recorder_->Recover(), IsOk());
  ASSERT_THAT(recorder_->Flush(), IsOk());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/grouped", "/unknown"}));
}

TEST_F(RecorderTest, ATornTailIsDropped) {
  options_.synchronous = true;
  Open();
  Add("/a", "1");
  Close();
  for (std::size_t n : {1U, 4U, 30U, 70U}) {
    auto fd = assay::Open(options_.dir + "/list", O_RDWR | O_APPEND);
    const Bytes whole = ima::EncodeRecord(10, DigestOf("x"), "ima-ng", ima::EncodeNg(DigestOf("x"), "/torn"));
    ASSERT_THAT(WriteAll(fd->get(), ByteView(whole).first(n)), IsOk());
    Open();
    EXPECT_EQ(CheckedPaths().size(), 2U);
    Close();
  }
}

TEST_F(RecorderTest, AnotherExtenderIsNoticedAtTheNextQuote) {
  options_.synchronous = true;
  Open();
  Add("/a", "1");
  const std::vector<Digest> x{DigestOf("x")};
  ASSERT_THAT(tpm_->Extend(tpm::RawExtend::ForTest(), 10, x), IsOk());
  bool quoted = false;
  auto r = recorder_->Quiesce([&](const RecorderState&) -> Result<> {
    quoted = true;
    return {};
  });
  EXPECT_THAT(r, IsOk());
  EXPECT_TRUE(quoted);  // the verifier sees it for himself
  EXPECT_TRUE(recorder_->State().degraded_reason.starts_with("recorder.pcr-foreign"));
  EXPECT_THAT(recorder_->Record({DigestOf("2"), "/b", {}}), ::testing::Not(IsOk()));
  EXPECT_THAT(recorder_->Recover(), ::testing::Not(IsOk()));  // nothing can mend that
  EXPECT_TRUE(recorder_->State().degraded_reason.starts_with("recorder.pcr-foreign"));
}

TEST_F(RecorderTest, AnotherExtenderIsNoticedAfterADisturbance) {
  options_.synchronous = true;
  bool full = false;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (full && at == "list.write") return Fail(OsError("write", "list", ENOSPC));
    return {};
  };
  Open();
  full = true;
  EXPECT_THAT(recorder_->Record({DigestOf("1"), "/a", {}}), ::testing::Not(IsOk()));
  full = false;
  const std::vector<Digest> x{DigestOf("x")};
  ASSERT_THAT(tpm_->Extend(tpm::RawExtend::ForTest(), 10, x), IsOk());
  EXPECT_THAT(recorder_->Recover(), ::testing::Not(IsOk()));
  EXPECT_TRUE(recorder_->State().degraded_reason.starts_with("recorder.pcr-foreign"));
}

TEST_F(RecorderTest, WhatIsMissedTwiceIsStillSaid) {
  options_.synchronous = true;
  int broken = 0;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (at == "list.write" && broken-- > 0) return Fail(OsError("write", "list", ENOSPC));
    return {};
  };
  Open();
  broken = 1;
  EXPECT_THAT(recorder_->Record({DigestOf("1"), "/a", {}}), ::testing::Not(IsOk()));
  EXPECT_THAT(recorder_->Record({DigestOf("2"), "/b", {}}), ::testing::Not(IsOk()));
  broken = 1;
  EXPECT_THAT(recorder_->Recover(), ::testing::Not(IsOk()));  // the disk is full again
  ASSERT_THAT(recorder_->Recover(), IsOk());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/a", "/b"}));
  EXPECT_EQ(recorder_->State().violations, 2U);
}

TEST_F(RecorderTest, AGroupOfUnknownFateDoesNotHideWhatCameAfterIt) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d != DigestOf("u"); };
  int breaks = 0;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (at == "list.written" && breaks-- > 0)
      return Fail(tpm::TpmError(tpm::TpmError::Kind::kGone, "TPM2_PCR_Extend", 0));
    return {};
  };
  Open();
  Add("/grouped", "g");
  breaks = 1;
  EXPECT_THAT(recorder_->Record({DigestOf("u"), "/unknown", {}}), ::testing::Not(IsOk()));
  ASSERT_THAT(recorder_->Recover(), IsOk());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/grouped", "/unknown"}));
  EXPECT_EQ(recorder_->State().violations, 1U);
}

// Holds the thread that commits, before its extend.
class SlowTpm {
 public:
  Result<> At(std::string_view instant) {
    std::unique_lock lock(mutex_);
    if (instant != "list.written" || !slow_) return {};
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !slow_; });
    return {};
  }
  void Begin() {
    const std::lock_guard lock(mutex_);
    slow_ = true;
    reached_ = false;
  }
  void WaitUntilReached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return reached_; });
  }
  void End() {
    const std::lock_guard lock(mutex_);
    slow_ = false;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool slow_ = false, reached_ = false;
};

TEST_F(RecorderTest, AnEntryWaitsForNoExtendAndNoQuote) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d != DigestOf("u"); };
  SlowTpm tpm;
  options_.fault = [&](std::string_view at) { return tpm.At(at); };
  Open();
  Add("/one", "1");
  tpm.Begin();
  std::thread flush([&] { EXPECT_THAT(recorder_->Flush(), IsOk()); });
  tpm.WaitUntilReached();
  EXPECT_EQ(Add("/two", "2").index, 2U);
  EXPECT_FALSE(Add("/two", "2").is_new);
  EXPECT_TRUE(std::filesystem::exists(options_.dir + "/pending.1"));
  EXPECT_TRUE(std::filesystem::exists(options_.dir + "/pending.2"));
  tpm.End();
  flush.join();
  EXPECT_FALSE(std::filesystem::exists(options_.dir + "/pending.1"));
  ASSERT_THAT(recorder_->Quiesce([&](const RecorderState& s) -> Result<> {
    EXPECT_EQ(s.count, 3U);
    EXPECT_EQ(Add("/three", "3").index, 3U);
    EXPECT_EQ(recorder_->State().pcr_values, s.pcr_values);
    return {};
  }),
              IsOk());
  tpm.Begin();
  std::thread alone([&] { Add("/u", "u"); });
  tpm.WaitUntilReached();  // for the group, which goes first
  tpm.End();
  alone.join();
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/one", "/two", "/three", "/u"}));
}

TEST_F(RecorderTest, ALaterContentStaysTheLaterOne) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d == DigestOf("new"); };
  SlowTpm tpm;
  options_.fault = [&](std::string_view at) { return tpm.At(at); };
  Open();
  tpm.Begin();
  std::thread alone([&] { Add("/p", "old"); });
  tpm.WaitUntilReached();
  EXPECT_TRUE(Add("/p", "new").is_new);
  tpm.End();
  alone.join();
  EXPECT_FALSE(Add("/p", "new").is_new);
  EXPECT_TRUE(Add("/p", "old").is_new);
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/p", "/p", "/p"}));
  Close();
  Open();
  EXPECT_FALSE(Add("/p", "old").is_new);
}

TEST_F(RecorderTest, AnExtendThatFailsTakesNoLaterEntryWithIt) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest&) { return true; };
  bool broken = false;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (!broken || at != "list.written") return {};
    broken = false;
    EXPECT_TRUE(Add("/later", "2").is_new);
    return Fail(tpm::TpmError(tpm::TpmError::Kind::kGone, "TPM2_PCR_Extend", 0));
  };
  Open();
  Add("/one", "1");
  broken = true;
  EXPECT_THAT(recorder_->Flush(), ::testing::Not(IsOk()));
  EXPECT_THAT(recorder_->Record({DigestOf("3"), "/refused", {}}), ::testing::Not(IsOk()));
  ASSERT_THAT(recorder_->Recover(), IsOk());
  EXPECT_FALSE(Add("/later", "2").is_new);
  ASSERT_THAT(recorder_->Flush(), IsOk());
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate", "/one", "/later", "/refused"}));
  EXPECT_EQ(recorder_->State().violations, 1U);
}

TEST_F(RecorderTest, AGroupsFileHasTheNumberOfItsRecord) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d != DigestOf("u"); };
  bool full = false;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (full && at == "pending.write") return Fail(OsError("write", "pending", ENOSPC));
    return {};
  };
  Open();
  full = true;
  EXPECT_THAT(recorder_->Record({DigestOf("g"), "/grouped", {}}), ::testing::Not(IsOk()));
  full = false;
  ASSERT_THAT(recorder_->Recover(), IsOk());
  Add("/u", "u");
  Add("/grouped", "g");
  EXPECT_TRUE(std::filesystem::exists(options_.dir + "/pending.3"));
  EXPECT_FALSE(std::filesystem::exists(options_.dir + "/pending.1"));
  Close();  // its last flush asks for faults, too
}

TEST_F(RecorderTest, AFullListStaysClosedAndResumes) {
  options_.synchronous = true;
  options_.max_records = 3;
  int breaks = 0;
  options_.fault = [&](std::string_view at) -> Result<> {
    if (at == "extended" && breaks-- > 0)
      return Fail(tpm::TpmError(tpm::TpmError::Kind::kGone, "TPM2_PCR_Extend", 0));
    return {};
  };
  Open();
  for (int i = 0; i < 4; ++i) Add("/f" + std::to_string(i), std::to_string(i));
  ASSERT_THAT(recorder_->RecordViolation(Violation::kToMToU, "/f9", {}), IsOk());
  EXPECT_EQ(recorder_->State().overflow, 3U);
  breaks = 1;
  EXPECT_THAT(recorder_->Record({DigestOf("5"), "/f5", {}}), ::testing::Not(IsOk()));
  ASSERT_THAT(recorder_->Recover(), IsOk());  // it had reached the PCR
  EXPECT_EQ(recorder_->State().overflow, 4U);
  Close();
  options_.max_records = 1000;  // a larger maximum does not open a list whose PCR it can't explain
  Open();
  Add("/f6", "6");
  EXPECT_EQ(recorder_->State().count, 3U);
  EXPECT_EQ(recorder_->State().overflow, 5U);
  EXPECT_EQ(recorder_->State().violations, 1U);
  EXPECT_THAT(recorder_->Quiesce([](const RecorderState&) -> Result<> { return {}; }), IsOk());
  Close();
  Open();
}

TEST_F(RecorderTest, ABrokenListIsLeftAsItIs) {
  options_.synchronous = true;
  Open();
  for (int i = 0; i < 5; ++i) Add("/f" + std::to_string(i), std::to_string(i));
  const std::uint64_t size = recorder_->State().list_bytes;
  const std::uint64_t third = *recorder_->OffsetOf(2);
  Close();
  auto fd = assay::Open(options_.dir + "/list", O_RDWR);
  ASSERT_THAT(PWriteAll(fd->get(), AsBytes("\xff\xff\xff\xff"), static_cast<off_t>(third + 4 + 32)), IsOk());
  auto opened = TryOpen();
  ASSERT_THAT(opened, FailsWith("recorder.pcr-unexplained"));
  EXPECT_EQ(std::filesystem::file_size(options_.dir + "/list"), size) << "evidence was cut";
}

TEST_F(RecorderTest, ARetiredListTakesItsPendingGroupAlong) {
  options_.group_ms = 60'000;
  options_.known = [](const Digest& d) { return d != DigestOf("u"); };
  Open();
  Add("/u", "u");
  Close();
  ASSERT_THAT(WriteFileAtomic(options_.dir + "/pending.1",
                              ima::EncodeGroup({{"ima-ng", ima::EncodeNg(DigestOf("x"), "/former")}})),
              IsOk());
  ResetTpm();
  options_.allow_retire = true;
  Open();
  EXPECT_EQ(CheckedPaths(), (std::vector<std::string>{"boot_aggregate"}));
}

TEST_F(RecorderTest, AJournalThatDoesNotParseIsNoReasonToStop) {
  Open();
  Add("/a", "1");
  Close();
  ASSERT_THAT(WriteFileAtomic(options_.dir + "/journal", Bytes(100, 0xFF)), IsOk());
  Open();
  EXPECT_EQ(recorder_->State().journal_bytes, 0U);
  EXPECT_TRUE(Add("/b", "2").is_new);
}

// A TPM whose firmware has activated one bank only.
class OneBankTest : public RecorderTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    machine_.banks = GetParam();
    ASSERT_NO_FATAL_FAILURE(RecorderTest::SetUp());
  }
};

TEST_P(OneBankTest, TheListFollowsTheTpm) {
  const HashAlg bank = *HashFromName(GetParam());
  options_.synchronous = true;
  Open();
  EXPECT_EQ(recorder_->ListBank(), bank);
  Add("/a", "1");
  Add("/b", "x");
  ASSERT_THAT(recorder_->RecordBuffer("assay-policy", AsBytes("{}"), {}), IsOk());
  ASSERT_THAT(recorder_->Flush(), IsOk());
  for (int i = 0; i < 2; ++i) {  // the second time as a start finds it
    auto list = MappedFile::Open(options_.dir + "/list");
    ASSERT_THAT(list, IsOk());
    const auto replayed = ima::ReplayList(list->view(), bank, {bank});
    ASSERT_THAT(replayed, IsOk());
    const auto pcr = tpm_->ReadPcrs({{.bank = static_cast<std::uint16_t>(bank), .pcrs = {10}}});
    ASSERT_THAT(pcr, IsOk());
    EXPECT_EQ(recorder_->State().pcr_values.at(0).second, pcr->begin()->second.at(10));
    ima::ListReader reader(list->view(), bank);
    std::size_t sha256 = 0;
    while (true) {
      const auto record = reader.Next();
      ASSERT_THAT(record, IsOk());
      if (!*record) break;
      const auto entry = ima::Decode(**record);
      ASSERT_THAT(entry, IsOk());
      if (entry->file_digest && entry->file_digest->alg_name == "sha256") ++sha256;
    }
    EXPECT_GE(sha256, 2U);  // files are hashed as reference values are
    EXPECT_THAT(recorder_->OffsetOf(recorder_->State().count), IsOk());
    Close();
    Open();
  }
}
INSTANTIATE_TEST_SUITE_P(Banks, OneBankTest, ::testing::Values("sha256", "sha384", "sha512"),
                         [](const auto& bank) { return std::string(bank.param); });

TEST_F(RecorderTest, Sha1AloneIsTooWeakForAList) {
  machine_.Stop();
  machine_.banks = "sha1";
  ASSERT_NO_FATAL_FAILURE(machine_.Start(dir_ + "/weak"));
  ASSERT_NO_FATAL_FAILURE(machine_.Connect());
  EXPECT_THAT(TryOpen(), FailsWith("recorder.no-bank"));
}

}  // namespace
}  // namespace assay::measure
