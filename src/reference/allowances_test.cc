#include "reference/allowances.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/result_testing.h"
#include "reference/index.h"
#include "reference/reference_testing.h"

namespace assay::reference {
namespace {

class AllowancesTest : public ReferenceFixture {
 protected:
  const std::set<std::string> may_{"anonymous_code"};
};

// By package and path, then by digest.
TEST_F(AllowancesTest, ProgramsOfPackages) {
  Put("/luajit/usr/bin/luajit-2.1", "a compiler");
  Put("/luajit/usr/share/luajit", "no program");
  Put("/other/usr/bin/luajit-2.1", "another compiler");
  Put("/folder/usr/bin/luajit-2.1", "a build of one's own");
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeDeb("luajit", "1")), IsOk());
  ASSERT_THAT(b.AddDeb(MakeDeb("other", "1")), IsOk());
  ASSERT_THAT(b.AddFolder(dir_ + "/folder", "luajit", "1"), IsOk());
  auto index = Written(b);
  EXPECT_EQ(index->AllowedViolations(DigestOf("a compiler")), may_);
  for (const char* content : {"no program", "another compiler", "a build of one's own", "unknown"})
    EXPECT_TRUE(index->AllowedViolations(DigestOf(content)).empty()) << content;
  Indexes all;
  all.Add(std::move(index));
  all.Add(Written(Builder()));
  EXPECT_EQ(all.AllowedViolations(DigestOf("a compiler")), may_);
}

TEST_F(AllowancesTest, KindsByTheirBits) {
  using Names = std::set<std::string>;
  EXPECT_EQ(AllowanceNames(4 | 8), (Names{"anonymous_code", "writable_code"}));
  EXPECT_EQ(AllowanceNames(16 | 32), (Names{"process_access", "raw_device"}));
  EXPECT_EQ(AllowanceNames(64), Names{"bpf_program"});
  EXPECT_EQ(AllowanceNames(0x80000000U), Names());
}

// The service manager makes BPF programs.
TEST_F(AllowancesTest, LoadersOfBpfPrograms) {
  Put("/systemd/usr/lib/systemd/systemd", "the manager");
  Put("/systemd/usr/lib/systemd/systemd-udevd", "no manager");
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeDeb("systemd", "252")), IsOk());
  const auto index = Written(b);
  EXPECT_EQ(index->AllowedViolations(DigestOf("the manager")), std::set<std::string>{"bpf_program"});
  EXPECT_TRUE(index->AllowedViolations(DigestOf("no manager")).empty());
}

// Its children ask to be traced before they execute anything, so they still run it.
TEST_F(AllowancesTest, Tracers) {
  Put("/strace/usr/bin/strace", "a tracer");
  Put("/strace/usr/bin/strace-log-merge", "a script");
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeDeb("strace", "6.1")), IsOk());
  const auto index = Written(b);
  EXPECT_EQ(index->AllowedViolations(DigestOf("a tracer")), std::set<std::string>{"process_access"});
  EXPECT_TRUE(index->AllowedViolations(DigestOf("a script")).empty());
}

// An older version of a program runs until it is started again.
TEST_F(AllowancesTest, SupersededVersionsKeepThem) {
  Put("/luajit/usr/bin/luajit", "old");
  Builder former;
  ASSERT_THAT(former.AddDeb(MakeDeb("luajit", "1")), IsOk());
  const auto old = Written(former);
  Put("/luajit/usr/bin/luajit", "new");
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeDeb("luajit", "2")), IsOk());
  b.AddFormer(*old, Builder::Former::kSuperseded, 1000, 30);
  const auto index = Written(b);
  EXPECT_EQ(index->AllowedViolations(DigestOf("new")), may_);
  EXPECT_EQ(index->AllowedViolations(DigestOf("old")), may_);
}

// Each byte of the header and the table wrong, each length: an answer or a named error, never a crash.
TEST_F(AllowancesTest, Damaged) {
  Put("/luajit/usr/bin/luajit", "a compiler");
  Builder b;
  ASSERT_THAT(b.AddDeb(MakeDeb("luajit", "1")), IsOk());
  Written(b);
  const Bytes good = *ReadFile(dir_ + "/x.idx", 1 << 20);
  for (std::size_t i = 0; i < good.size(); i += i < 128 || i + 32 > good.size() ? 1 : 7) {
    for (const bool cut : {false, true}) {
      Bytes bad = good;
      bad[i] ^= 0xFF;
      if (cut) bad.resize(i);
      if (const auto index = Index::OfBytes(bad)) (*index)->AllowedViolations(DigestOf("a compiler"));
    }
  }
}

TEST(AllowanceNamesTest, UnknownBitsAreLeftOut) {
  EXPECT_EQ(AllowanceNames(1U << 3 | 1U << 5 | 1U << 31),
            (std::set<std::string>{"writable_code", "raw_device"}));
}

}  // namespace
}  // namespace assay::reference
