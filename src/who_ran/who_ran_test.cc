// What hosts ran and when, against a model; and what a damaged file does.
#include "who_ran/who_ran.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>

#include "base/fd.h"
#include "base/folder_testing.h"
#include "base/result_testing.h"
#include "who_ran/format.h"
#include "who_ran/value_sets.h"

namespace assay::who_ran {
namespace {

Value ValueOfText(const std::string& text) { return ValueOf(Hash(HashAlg::kSha256, AsBytes(text))); }

HostSet SetOf(const std::vector<std::uint32_t>& hosts) {
  HostSet set;
  set.Add(hosts);
  return set;
}
std::vector<std::uint32_t> HostsOf(const HostSet& set) {
  std::vector<std::uint32_t> out;
  set.AppendTo(out);
  return out;
}

class WhoRanTest : public FolderTest {
 protected:
  // The value was in new records of the host on this day.
  void Add(Updates& updates, const std::string& host, std::uint16_t day, const std::string& value,
           const std::string& boot = "b") {
    const auto round = updates.Begin({.host = host, .boot_id = boot, .time_ms = day * kDayMs + 1});
    ASSERT_THAT(round, IsOk());
    updates.Ran(*round, ValueOfText(value));
  }
  std::vector<Seen> When(const std::string& value) {
    const auto index = WhoRan::Open(file_);
    EXPECT_THAT(index, IsOk());
    const auto seen = index->When(ValueOfText(value));
    EXPECT_THAT(seen, IsOk());
    return *seen;
  }
  void SetUp() override {
    FolderTest::SetUp();
    file_ = dir_ + "/fleet.who";
  }
  std::string file_;
};

// Each kind of container that a set may have.
TEST(HostSetTest, IsReadAsItWasWritten) {
  std::vector<std::uint32_t> dense, run, sparse;
  for (std::uint32_t i = 0; i < 60'000; ++i) {
    if (i % 3 != 0) dense.push_back(i);
    run.push_back(70'000 + i);
    if (i % 1000 == 0) sparse.push_back(i * 13);
  }
  for (const auto& hosts : {std::vector<std::uint32_t>{0}, {999'999}, dense, run, sparse}) {
    HostSet set = SetOf(hosts);
    set.Shrink();
    const Bytes bytes = set.Encode();
    const auto again = HostSet::Parse(bytes, 1'000'000);
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(HostsOf(*again), hosts);
    EXPECT_THAT(HostSet::Parse(bytes, hosts.back()), FailsWith("parse.who-ran-set"));
    EXPECT_THAT(HostSet::Parse(ByteView(bytes).first(bytes.size() - 1), 1'000'000),
                FailsWith("parse.who-ran-set"));
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_THAT(HostSet::Parse(longer, 1'000'000), FailsWith("parse.who-ran-set"));
  }
}

// Any byte may be another one: the set is then refused, or is another set of the same form.
TEST(HostSetTest, ADamagedByteIsNoUndefinedSet) {
  std::vector<std::uint32_t> hosts;
  for (std::uint32_t i = 0; i < 5; ++i) {
    hosts.push_back(i * 65'536);
    hosts.push_back(i * 65'536 + 7);
    for (std::uint32_t n = 100; i == 2 && n < 300; ++n) hosts.push_back(i * 65'536 + n);
  }
  HostSet set = SetOf(hosts);
  set.Shrink();
  const Bytes bytes = set.Encode();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const std::uint8_t flip : {0x01, 0x80, 0xFF}) {
      Bytes damaged = bytes;
      damaged[at] ^= flip;
      const auto read = HostSet::Parse(damaged, 1'000'000);
      if (!read) continue;
      const auto numbers = HostsOf(*read);
      EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
      EXPECT_EQ(numbers.size(), read->size());
      EXPECT_LT(numbers.back(), 1'000'000U);
    }
  }
}

TEST_F(WhoRanTest, AgreesWithAPlainModel) {
  std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
  std::map<std::string, std::map<std::string, std::pair<std::uint16_t, std::uint16_t>>> model;
  for (int batch = 0; batch < 12; ++batch) {
    auto updates = Updates::Onto(file_);
    ASSERT_THAT(updates, IsOk());
    for (int i = 0; i < 400; ++i) {
      const std::string host = fmt::format("host{}", random() % 30);
      const std::string value = fmt::format("value{}", random() % 40);
      const auto day = static_cast<std::uint16_t>(20'000 + random() % 20);  // in no order
      Add(*updates, host, day, value);
      const auto [at, added] = model[value].try_emplace(host, day, day);
      at->second = {std::min(at->second.first, day), std::max(at->second.second, day)};
    }
    ASSERT_THAT(updates->Write(), IsOk());
    const auto index = WhoRan::Open(file_);
    ASSERT_THAT(index, IsOk());
    ASSERT_THAT(index->CheckAll(), IsOk());
    for (const auto& [value, hosts] : model) {
      const auto seen = index->When(ValueOfText(value));
      const auto which = index->Which(ValueOfText(value));
      ASSERT_THAT(seen, IsOk());
      ASSERT_EQ(seen->size(), hosts.size());
      ASSERT_EQ(which->size(), hosts.size());
      for (const Seen& s : *seen) {
        const auto facts = index->HostAt(s.host);
        ASSERT_THAT(facts, IsOk());
        EXPECT_EQ(index->HostNumber(facts->name), s.host);
        const auto& [first, last] = hosts.at(facts->name);
        EXPECT_EQ(s.first, (Period{first, first})) << value << " " << facts->name;
        EXPECT_EQ(s.last, (Period{last, last})) << value << " " << facts->name;
      }
    }
  }
  EXPECT_EQ(WhoRan::Open(file_)->values(), 40U);
  EXPECT_EQ(WhoRan::Open(file_)->hosts(), 30U);
}

// What much of a large fleet ran loses days, and no host.
TEST_F(WhoRanTest, ALargeValueIsToldByPeriods) {
  constexpr std::uint32_t kHosts = 40'000;
  constexpr std::uint16_t kFirst = 20'000, kDays = 60;
  std::mt19937 random(2);  // NOLINT(cert-msc32-c,cert-msc51-cpp)
  std::vector<std::pair<std::uint16_t, std::uint16_t>> truth(kHosts);
  std::vector<std::vector<std::uint32_t>> days(kDays * 2);
  for (std::uint32_t i = 0; i < kHosts; ++i) {
    const auto first = static_cast<std::uint16_t>(random() % kDays);
    const auto last = static_cast<std::uint16_t>(first + random() % kDays);
    truth[i] = {static_cast<std::uint16_t>(kFirst + first), static_cast<std::uint16_t>(kFirst + last)};
    days[first].push_back(i * 2);
    days[last].push_back(i * 2);
  }
  ValueSets sets;
  for (std::uint16_t d = 0; d < days.size(); ++d)
    sets.Add({.day = static_cast<std::uint16_t>(kFirst + d), .hosts = SetOf(days[d])});
  const Bytes bytes = sets.Encode();
  EXPECT_LE(bytes.size(), kAlwaysExact + kTimesOneSet * (sets.All().EncodedSize() + kSetHead));
  const auto read = ValueSets::Parse(bytes, kHosts * 2);
  ASSERT_THAT(read, IsOk());
  EXPECT_TRUE(read->Whole());
  EXPECT_EQ(read->All().size(), kHosts);
  EXPECT_GT(read->first().size() + read->last().size(), 2U);
  const auto check = [&](const std::vector<PeriodSet>& in, bool first) {
    for (const PeriodSet& s : in)
      for (const std::uint32_t host : HostsOf(s.hosts)) {
        const std::uint16_t day = first ? truth[host / 2].first : truth[host / 2].second;
        EXPECT_TRUE(s.period.from <= day && day <= s.period.to) << host;
      }
  };
  check(read->first(), true);
  check(read->last(), false);
}

TEST_F(WhoRanTest, TellsWhatTheLastBootHas) {
  auto updates = Updates::Onto(file_);
  ASSERT_THAT(updates, IsOk());
  Add(*updates, "web1", 20'000, "old", "first boot");
  Add(*updates, "web1", 20'000, "both", "first boot");
  Add(*updates, "web1", 20'005, "both", "second boot");
  Add(*updates, "web1", 20'003, "late evidence", "first boot");
  ASSERT_THAT(updates->Write(), IsOk());
  const auto index = WhoRan::Open(file_);
  const auto host = index->HostAt(0);
  ASSERT_THAT(host, IsOk());
  EXPECT_EQ(host->boot_ms, 20'005 * kDayMs + 1);
  EXPECT_FALSE(InLastBoot(When("old").at(0), *host));
  EXPECT_FALSE(InLastBoot(When("late evidence").at(0), *host));
  EXPECT_TRUE(InLastBoot(When("both").at(0), *host));
  EXPECT_EQ(PeriodText(When("both").at(0).first), "2024-10-04");
  EXPECT_EQ(PeriodText({.from = 20'000, .to = 20'005}), "2024-10-04 to 2024-10-09");
}

TEST_F(WhoRanTest, SeveralValuesAreOneAnswer) {
  auto updates = Updates::Onto(file_);
  Add(*updates, "web1", 20'001, "a");
  Add(*updates, "web2", 20'002, "b");
  Add(*updates, "web1", 20'003, "b");
  ASSERT_THAT(updates->Write(), IsOk());
  const auto index = WhoRan::Open(file_);
  const std::vector<Value> both{ValueOfText("a"), ValueOfText("b"), ValueOfText("none")};
  const auto seen = index->When(both);
  ASSERT_THAT(seen, IsOk());
  EXPECT_EQ(*seen, (std::vector<Seen>{{.host = 0, .first = {20'001, 20'001}, .last = {20'003, 20'003}},
                                      {.host = 1, .first = {20'002, 20'002}, .last = {20'002, 20'002}}}));
  EXPECT_TRUE(index->When(ValueOfText("none"))->empty());
}

TEST_F(WhoRanTest, DigestsOfEachKindAreValues) {
  const Digest sha1 = Hash(HashAlg::kSha1, {});
  EXPECT_NE(ValueOf(sha1), ValueOf(Hash(HashAlg::kSha256, {})));
  EXPECT_EQ(ValueOf(sha1), ValueOf(sha1.ToString()));
  const std::string hex = Hash(HashAlg::kSha256, {}).ToString();
  EXPECT_EQ(ValueOf(hex), ValueOf(Hash(HashAlg::kSha256, {})));
  EXPECT_NE(ValueOf("verity:" + hex), ValueOf(hex));
}

TEST_F(WhoRanTest, WhatIsWrongIsRefused) {
  auto updates = Updates::Onto(file_);
  EXPECT_THAT(updates->Begin({.host = "", .boot_id = "", .time_ms = 0}), FailsWith("usage"));
  EXPECT_THAT(updates->Begin({.host = std::string(256, 'a'), .boot_id = "", .time_ms = 0}),
              FailsWith("usage"));
  EXPECT_THAT(updates->Begin({.host = "a", .boot_id = "", .time_ms = 65'536 * kDayMs}), FailsWith("usage"));
  Add(*updates, "web1", 65'535, "x");
  ASSERT_THAT(updates->Write(), IsOk());
  EXPECT_THAT(WhoRan::Open(file_)->HostAt(1), FailsWith("usage"));
  EXPECT_THAT(WhoRan::Open(dir_ + "/none"), FailsWith("os.open"));
}

TEST_F(WhoRanTest, EachDamagedByteIsFound) {
  auto updates = Updates::Onto(file_);
  for (std::uint16_t i = 0; i < 20; ++i)
    Add(*updates, fmt::format("web{}", i % 7), static_cast<std::uint16_t>(20'000 + i),
        fmt::format("v{}", i % 3));
  ASSERT_THAT(updates->Write(), IsOk());
  const Bytes good = *ReadFile(file_, 1 << 20);
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes damaged = good;
    damaged[at] ^= 0x10;
    const auto index = WhoRan::OfBytes(damaged);
    if (index) {
      EXPECT_THAT(index->CheckAll(), FailsWith("parse.who-ran")) << at;
    }
    EXPECT_EQ(index.has_value(), at >= sizeof(Header)) << at;
    EXPECT_FALSE(WhoRan::OfBytes(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(at))));
  }
  // Additions do not give damage a new checksum, and leave the file as it was.
  Bytes damaged = good;
  damaged[sizeof(Header) + 3] ^= 1;
  ASSERT_THAT(WriteFileAtomic(file_, damaged), IsOk());
  auto more = Updates::Onto(file_);
  Add(*more, "web9", 20'100, "new");
  EXPECT_THAT(more->Write(), FailsWith("parse.who-ran"));
  EXPECT_EQ(*ReadFile(file_, 1 << 20), damaged);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_), {}), 1);
}

// docs/formats/who-ran.md
TEST_F(WhoRanTest, TheExampleOfTheDocument) {
  auto updates = Updates::Onto(file_);
  for (const auto& [host, day] : {std::pair{"web1", 20'423}, {"web2", 20'424}, {"web1", 20'430}})
    Add(*updates, host, static_cast<std::uint16_t>(day), "hi", fmt::format("boot of {}", day));
  ASSERT_THAT(updates->Write(), IsOk());
  const Bytes file = *ReadFile(file_, 1 << 20);
  EXPECT_EQ(Hex(Hash(HashAlg::kSha256, file).view()),
            "628d5f958eeeb99abb9bfa07c645326c4bbdfba5f0dbd802b7fcf81cce794872");
}

}  // namespace
}  // namespace assay::who_ran
