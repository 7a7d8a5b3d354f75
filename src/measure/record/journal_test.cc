#include "measure/record/journal.h"

#include <gtest/gtest.h>

#include "base/result_testing.h"

namespace assay::measure {
namespace {

JournalEntry Full() {
  return {.index = 5,
          .sub = 1,
          .context = {.time_ms = 1'700'000'000'000,
                      .pid = 812,
                      .uid = 0,
                      .comm = "bash",
                      .hook = "exec",
                      .cgroup = "/user.slice",
                      .program = "/usr/bin/dash",
                      .script = "./x",
                      .under = "bash, sshd"}};
}

std::string NamesOf(const Context& c) { return c.program + "|" + c.script + "|" + c.under; }

TEST(Journal, EachMemberIsWrittenAndRead) {
  const Bytes bytes = EncodeJournal(Full());
  const auto part = ParseJournal(bytes, 0);
  ASSERT_THAT(part, IsOk());
  ASSERT_EQ(part->entries.size(), 1U);
  EXPECT_EQ(part->whole, bytes.size());
  const JournalEntry& e = part->entries[0];
  EXPECT_EQ(NamesOf(e.context), "/usr/bin/dash|./x|bash, sshd");
  EXPECT_EQ(e.context.cgroup, "/user.slice");
  EXPECT_EQ(EncodeJournal(e), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto torn = ParseJournal(ByteView(bytes).first(size), 0);
    ASSERT_THAT(torn, IsOk());
    EXPECT_EQ(torn->whole, 0U);
  }
}

// docs/formats/state.md has these bytes; a successor reads the journal of an attester that wrote no more.
TEST(Journal, AnEntryWithoutNamesIsAsBeforeTheyWereKept) {
  JournalEntry entry = Full();
  entry.sub = 0;
  entry.context.program = entry.context.script = entry.context.under = "";
  const Bytes bytes = EncodeJournal(entry);
  EXPECT_EQ(Hex(bytes),
            "32000500000000000000000000000068e5cf8b0100002c03000000000000"
            "0462617368046578656"
            "30b2f757365722e736c696365");
  ASSERT_THAT(ParseJournal(bytes, 0), IsOk());
  Bytes empty = bytes;
  empty.insert(empty.end(), 3, 0);
  empty[0] = static_cast<std::uint8_t>(empty[0] + 3);
  EXPECT_FALSE(ParseJournal(empty, 0)) << "names that say nothing are not written";
  empty.pop_back();
  empty[0] = static_cast<std::uint8_t>(empty[0] - 1);
  EXPECT_FALSE(ParseJournal(empty, 0)) << "one of the three is missing";
}

TEST(Journal, LongPathsKeepTheirEnds) {
  JournalEntry entry = Full();
  entry.context.program = "/" + std::string(300, 'a') + "/end";
  entry.context.script = std::string(300, 'b') + "/end";
  entry.context.under = "start" + std::string(300, 'c');
  const auto part = ParseJournal(EncodeJournal(entry), 0);
  ASSERT_THAT(part, IsOk());
  const Context& c = part->entries.at(0).context;
  EXPECT_EQ(c.program, std::string(251, 'a') + "/end");
  EXPECT_EQ(c.script, std::string(251, 'b') + "/end");
  EXPECT_EQ(c.under, "start" + std::string(250, 'c'));
}

}  // namespace
}  // namespace assay::measure
