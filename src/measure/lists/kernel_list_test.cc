#include "measure/lists/kernel_list.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/result_testing.h"
#include "measure/lists/kernel_snapshot.h"
#include "measure/record/recorder_testing.h"

namespace assay::measure {
namespace {

// A kernel whose list is a file that the test appends to, and whose PCR is the software TPM's.
class KernelListTest : public RecordingTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(RecordingTest::SetUp());
    Append("boot_aggregate", "firmware");
    Append("/sbin/init", "init");
  }
  std::string Path() const { return dir_ + "/binary_runtime_measurements" + (per_bank_ ? "_sha256" : ""); }
  void Write(const Bytes& bytes) const {
    std::ofstream(Path(), std::ios::app | std::ios::binary) << AsText(bytes);
  }
  void Extend(const Digest& sha256) {
    std::vector<Digest> extends;
    const auto banks = tpm_->ActiveBanks(10);
    for (const HashAlg bank : *banks)
      extends.push_back(bank == HashAlg::kSha256 ? sha256 : Digest::Filled(bank, 7));
    ASSERT_THAT(tpm_->Extend(tpm::RawExtend::ForTest(), 10, extends), IsOk());
  }
  // Appends to the list and then extends the PCR, as the kernel does.
  void Append(std::string_view path, std::string_view content, bool extended = true) {
    const Bytes data = ima::EncodeNg(DigestOf(content), path);
    const HashAlg columns = per_bank_ ? HashAlg::kSha256 : HashAlg::kSha1;
    Write(ima::EncodeRecord(10, ima::TemplateDigest(columns, "ima-ng", data), "ima-ng", data));
    if (extended) Extend(ima::TemplateDigest(HashAlg::kSha256, "ima-ng", data));
  }
  Result<std::unique_ptr<KernelList>> TryOpenKernel() {
    return KernelList::Open({.folder = dir_, .pcr = 10, .store = ""}, *tpm_);
  }
  static std::vector<std::string> Paths(const KernelList& list, std::uint64_t first = 0) {
    std::vector<std::string> paths;
    const auto fd = list.OpenList();
    EXPECT_THAT(fd, IsOk());
    const auto bytes = ReadAll(fd->get(), 1 << 20);
    EXPECT_THAT(bytes, IsOk());
    const auto offset = list.OffsetOf(first);
    EXPECT_THAT(offset, IsOk());
    ima::ListReader reader(ByteView(*bytes).subspan(*offset), HashAlg::kSha256, first);
    while (true) {
      const auto record = reader.Next();
      EXPECT_THAT(record, IsOk());
      if (!record || !*record) return paths;
      EXPECT_TRUE(
          Equal((*record)->template_digest,
                ima::TemplateDigest(HashAlg::kSha256, (*record)->template_name, (*record)->data).view()));
      paths.push_back(ima::Decode(**record)->path);
    }
  }
  // The list of another boot, as an attester would have kept it.
  static Bytes AnotherList() {
    const Bytes data = ima::EncodeNg(DigestOf("other firmware"), "boot_aggregate");
    return ima::EncodeRecord(10, ima::TemplateDigest(HashAlg::kSha256, "ima-ng", data), "ima-ng", data);
  }
  bool per_bank_ = false;
};

TEST_F(KernelListTest, ServesTheListInTheSha256Bank) {
  for (const bool per_bank : {false, true}) {
    if (per_bank) {
      ASSERT_THAT(ReadFile(Path(), 1 << 20), IsOk());
      ResetTpm();
      per_bank_ = true;
      Append("boot_aggregate", "firmware");
      Append("/sbin/init", "init");
    }
    const auto list = TryOpenKernel();
    ASSERT_THAT(list, IsOk());
    EXPECT_EQ(Paths(**list), (std::vector<std::string>{"boot_aggregate", "/sbin/init"}));
    Append("/bin/ls", "ls");
    ASSERT_THAT((*list)->Sync(), IsOk());
    EXPECT_EQ((*list)->State().count, 3U);
    EXPECT_EQ(Paths(**list, 2), std::vector<std::string>{"/bin/ls"});
    const auto pcr = tpm_->ReadPcrs({{.bank = 11, .pcrs = {10}}});
    ASSERT_THAT(pcr, IsOk());
    EXPECT_EQ((*list)->State().pcr_values[0].second, pcr->at(11).at(10));
    EXPECT_THAT((*list)->Health(), IsOk());
  }
}

TEST_F(KernelListTest, AListAheadOfThePcrIsQuotedAsFarAsThePcrGoes) {
  const auto list = TryOpenKernel();
  ASSERT_THAT(list, IsOk());
  Append("/bin/late", "late", false);
  std::uint64_t count = 0, bytes = 0;
  ASSERT_THAT((*list)->Quiesce([&](const RecorderState& s) {
    count = s.count;
    bytes = s.list_bytes;
    EXPECT_EQ(s.checkpoints.back().first, 2U);
    return Result<>();
  }),
              IsOk());
  EXPECT_EQ(count, 2U);
  EXPECT_EQ(bytes, *(*list)->OffsetOf(2));
  EXPECT_EQ((*list)->State().count, 3U);
}

TEST_F(KernelListTest, AResetOfTheTpmIsNamed) {
  const auto list = TryOpenKernel();
  ASSERT_THAT(list, IsOk());
  tpm::TpmForTest::Reset(*tpm_, swtpm_);
  EXPECT_THAT((*list)->Quiesce([](const RecorderState&) { return Result<>(); }),
              FailsWith("kernel-ima.pcr-reset"));
  EXPECT_THAT((*list)->Health(), FailsWith("kernel-ima.pcr-reset"));
}

TEST_F(KernelListTest, AsksAgainWhenTheKernelMeasuredMeanwhile) {
  const auto list = TryOpenKernel();
  ASSERT_THAT(list, IsOk());
  std::vector<std::uint64_t> counts;
  ASSERT_THAT((*list)->Quiesce([&](const RecorderState& s) {
    counts.push_back(s.count);
    if (counts.size() < 3) Append("/bin/" + std::to_string(s.count), "x");
    return Result<>();
  }),
              IsOk());
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{2, 3, 4}));
  int calls = 0;
  const auto busy = (*list)->Quiesce([&](const RecorderState&) {
    Append("/bin/more" + std::to_string(++calls), "x");
    return Result<>();
  });
  ASSERT_THAT(busy, FailsWith("kernel-ima.busy"));
  EXPECT_EQ(calls, KernelList::kTries);
}

TEST_F(KernelListTest, SomethingElseInThePcrIsNamed) {
  const auto list = TryOpenKernel();
  ASSERT_THAT(list, IsOk());
  Extend(DigestOf("somebody else"));
  const auto quiesced = (*list)->Quiesce([](const RecorderState&) { return Result<>(); });
  ASSERT_THAT(quiesced, FailsWith("kernel-ima.pcr-unexplained"));
  EXPECT_THAT((*list)->Health(), FailsWith("kernel-ima.pcr-unexplained"));
  EXPECT_THAT(TryOpenKernel(), FailsWith("kernel-ima.pcr-unexplained"));
}

TEST_F(KernelListTest, AListThatIsNotTheKernelsIsNamed) {
  const Bytes good = *ReadFile(Path(), 1 << 20);
  const auto open = [&](const Bytes& bytes) {
    EXPECT_THAT(WriteFileAtomic(Path(), bytes), IsOk());
    return TryOpenKernel().error().code();
  };
  Bytes bad = good;
  bad[bad.size() - 1 - 12] ^= 1;  // a byte of the last record's data
  EXPECT_EQ(open(bad), "kernel-ima.column");
  EXPECT_EQ(open(ToBytes(ByteView(good).first(good.size() - 3))), "kernel-ima.torn");
  const Bytes data = ima::EncodeNg(DigestOf("firmware"), "boot_aggregate");
  EXPECT_EQ(open(ima::EncodeRecord(10, ima::TemplateDigest(HashAlg::kSha1, "ima-ng", data), "ima-ng", data)),
            "kernel-ima.silent");
}

// A kernel whose list can be staged and deleted.
class StagingTest : public KernelListTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(KernelListTest::SetUp());
    Put(Staged(), {});
  }
  std::string Staged() const { return Path() + "_staged"; }
  static void Put(const std::string& path, const Bytes& bytes) {
    std::ofstream(path, std::ios::trunc | std::ios::binary) << AsText(bytes);
  }
  Bytes Current() const { return *ReadFile(Path(), 1 << 20); }
  void Stage() const {  // "A"
    Put(Staged(), Current());
    Put(Path(), {});
  }
  void Delete() const { Put(Staged(), {}); }  // "D"
  Result<std::unique_ptr<KernelList>> TryOpenKept() {
    return KernelList::Open({.folder = dir_, .pcr = 10, .store = dir_ + "/kernel-list"}, *tpm_);
  }
  static Result<> Quote(KernelList& list) {
    return list.Quiesce([](const RecorderState&) { return Result<>(); });
  }
  static inline const std::vector<std::string> kFour = {"boot_aggregate", "/sbin/init", "/bin/ls",
                                                        "/bin/cat"};
};

TEST_F(StagingTest, FollowsAListThatIsStagedAndDeleted) {
  const auto list = TryOpenKernel();
  ASSERT_THAT(list, IsOk());
  EXPECT_TRUE((*list)->CanBeStaged());
  Stage();
  Append("/bin/ls", "ls");
  ASSERT_THAT(Quote(**list), IsOk());
  EXPECT_EQ((*list)->State().count, 3U);
  Delete();
  ASSERT_THAT(Quote(**list), IsOk());
  Append("/bin/cat", "cat");
  ASSERT_THAT(Quote(**list), IsOk());
  EXPECT_EQ(Paths(**list), kFour);
  EXPECT_THAT((*list)->Health(), IsOk());
}

TEST_F(StagingTest, FollowsAListThatIsTrimmed) {
  const auto list = TryOpenKernel();
  ASSERT_THAT(list, IsOk());
  Append("/bin/ls", "ls");
  ASSERT_THAT((*list)->Sync(), IsOk());
  const Bytes before = Current();
  Append("/bin/cat", "cat");
  Put(Path(), ToBytes(ByteView(Current()).subspan(before.size())));
  ASSERT_THAT(Quote(**list), IsOk());
  EXPECT_EQ(Paths(**list), kFour);
}

TEST_F(StagingTest, AnAttesterThatStartsLaterGoesOnFromWhatWasKept) {
  {
    const auto first = TryOpenKept();
    ASSERT_THAT(first, IsOk());
    Append("/bin/ls", "ls");
    ASSERT_THAT((*first)->Sync(), IsOk());
  }
  Stage();
  Delete();
  Append("/bin/cat", "cat");
  const auto list = TryOpenKept();
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(Paths(**list), kFour);
  EXPECT_THAT(TryOpenKernel(), FailsWith("kernel-ima.trimmed"));  // nothing was kept
}

TEST_F(StagingTest, WhatWasKeptOfAnotherBootIsNotUsed) {
  Put(dir_ + "/kernel-list", AnotherList());
  const auto list = TryOpenKept();
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(Paths(**list), (std::vector<std::string>{"boot_aggregate", "/sbin/init"}));
  const auto kept = ReadFile(dir_ + "/kernel-list", 1 << 20);
  ASSERT_THAT(kept, IsOk());
  EXPECT_EQ(kept->size(), (*list)->State().list_bytes);
}

TEST_F(StagingTest, RecordsThatWereDeletedUnreadAreNamed) {
  const auto list = TryOpenKernel();
  ASSERT_THAT(list, IsOk());
  Append("/bin/ls", "ls");
  Stage();
  Delete();
  Append("/bin/cat", "cat");
  EXPECT_THAT(Quote(**list), FailsWith("kernel-ima.trimmed"));
  EXPECT_THAT((*list)->Health(), FailsWith("kernel-ima.trimmed"));
}

// The same violation may come twice, so that what is found again may be another one.
TEST_F(StagingTest, ThePcrDecidesWhereAListGoesOn) {
  const auto violation = [&] {
    const Bytes data = ima::EncodeNg(Digest::Filled(HashAlg::kSha1, 0), "/bin/busy");
    Write(ima::EncodeRecord(10, Digest::Filled(HashAlg::kSha1, 0), "ima-ng", data));
    Extend(Digest::Filled(HashAlg::kSha256, 0xFF));
  };
  violation();
  const auto list = TryOpenKernel();
  ASSERT_THAT(list, IsOk());
  Stage();
  Delete();
  violation();
  Append("/bin/cat", "cat");
  ASSERT_THAT(Quote(**list), IsOk());
  EXPECT_EQ((*list)->State().count, 5U);
}

TEST(JoinsOf, FindsEachPlaceWhereTheListGoesOn) {
  const Digest a = Hash(HashAlg::kSha256, AsBytes("a")), b = Hash(HashAlg::kSha256, AsBytes("b"));
  using Joins = std::vector<std::size_t>;
  using List = std::vector<Digest>;
  EXPECT_EQ(JoinsOf(List{a, b, a}, List{a, b}), (Joins{2, 3}));
  EXPECT_EQ(JoinsOf(List{a, b, a, b}, List{a, b, a, b, b}), (Joins{0, 2, 4}));
  EXPECT_EQ(JoinsOf(List{a, a, a}, List{a}), (Joins{2, 3}));
  EXPECT_EQ(JoinsOf(List{a, b}, List{}), (Joins{2}));
  EXPECT_EQ(JoinsOf(List{}, List{a}), (Joins{0}));
}

}  // namespace
}  // namespace assay::measure
