// What an attacker may try with a list: each is refused by its own name.
#include "appraise/attacks_fixture.h"
#include "base/result_testing.h"

namespace assay::appraise {
namespace {

class ListAttacksTest : public AttacksTest {};

TEST_F(ListAttacksTest, EntryRemoved) {
  auto e = WithList(Collect(), [](auto& r) { r.erase(r.begin() + 9); });
  const Appraisal a = Judge(e);
  ExpectOnly(a, {"list.removed"});
  EXPECT_EQ(a.findings.back().record, 9U);
}

TEST_F(ListAttacksTest, EntriesRemovedInTwoPlaces) {
  auto e = WithList(Collect(), [](auto& r) {
    r.erase(r.begin() + 20);
    r.erase(r.begin() + 9, r.begin() + 11);
  });
  ExpectOnly(Judge(e), {"list.removed"});
}

TEST_F(ListAttacksTest, EntryAdded) {
  auto e = WithList(Collect(), [](auto& r) { r.insert(r.begin() + 9, Forged(Content(1), Path(1))); });
  ExpectOnly(Judge(e), {"list.added"});
}

TEST_F(ListAttacksTest, EntryAddedAtTheEnd) {
  auto e = WithList(Collect(), [](auto& r) { r.push_back(Forged(Content(1), Path(1))); });
  ExpectOnly(Judge(e), {"list.beyond-quote"});
}

TEST_F(ListAttacksTest, EntryAltered) {
  auto e = WithList(Collect(), [](auto& r) { r[9] = Forged(Content(1), Path(1)); });
  const Appraisal a = Judge(e);
  ExpectOnly(a, {"list.altered"});
  EXPECT_EQ(a.findings.back().record, 9U);
}

TEST_F(ListAttacksTest, EntryAlteredUnderItsOldTemplateHash) {
  auto e = WithList(Collect(), [](auto& r) { r[9].back() ^= 1; });
  const auto names = Weighing(Judge(e));
  EXPECT_TRUE(names.contains("list.altered"));
  EXPECT_TRUE(names.contains("list.column"));
}

TEST_F(ListAttacksTest, EntriesReordered) {
  auto e = WithList(Collect(), [](auto& r) { std::swap(r[9], r[14]); });
  const Appraisal a = Judge(e);
  ExpectOnly(a, {"list.reordered"});
}

TEST_F(ListAttacksTest, NeighboursReordered) {
  auto e = WithList(Collect(), [](auto& r) { std::swap(r[9], r[10]); });
  const Appraisal a = Judge(e);
  ExpectOnly(a, {"list.reordered"});
}

TEST_F(ListAttacksTest, PcrExtendedByHand) {
  const std::vector<Digest> extended{Hash(HashAlg::kSha256, AsBytes("by hand"))};
  ASSERT_THAT(tpm_->Extend(tpm::RawExtend::ForTest(), 10, extended), IsOk());
  ExpectOnly(Judge(Collect()), {"list.foreign-extend"});
}

TEST_F(ListAttacksTest, ListTruncated) {
  auto e = WithList(Collect(), [](auto& r) { r.resize(r.size() - 3); });
  ExpectOnly(Judge(e), {"list.truncated"});
  e = Collect();
  e.list.erase(e.list.end() - 3, e.list.end());
  ExpectOnly(Judge(e), {"list.malformed"});
  e.list.clear();
  ExpectOnly(Judge(e), {"list.truncated"});
}

TEST_F(ListAttacksTest, AllOnesTemplateHash) {
  auto e = WithList(Collect(), [](auto& r) { std::fill_n(r[9].begin() + 4, 32, 0xFF); });
  ExpectOnly(Judge(e), {"list.all-ones-column"});
}

// An entry made to look like a violation: the PCR says that it was none, and a violation holds no digest.
TEST_F(ListAttacksTest, ZeroedTemplateHashIsNoWayIn) {
  auto e = WithList(Collect(), [](auto& r) { std::fill_n(r[9].begin() + 4, 32, 0); });
  ExpectOnly(Judge(e), {"list.altered", "list.forged-violation", "entry.violation"});
}

TEST_F(ListAttacksTest, RecordsOfAnotherPcr) {
  auto e = WithList(Collect(), [](auto& r) { r[9][0] = 16; });
  const auto names = Weighing(Judge(e));
  EXPECT_TRUE(names.contains("list.foreign-pcr"));
}

TEST_F(ListAttacksTest, FullList) {
  recorder_options_.max_records = 40;
  Start(2);
  for (int i = 0; i < 40; ++i) Record("more " + std::to_string(i), Path(i % 30));
  policy_.allow_gaps = true;
  for (int i = 0; i < 40; ++i) policy_.allowed.insert(DigestOf("more " + std::to_string(i)).ToString());
  const Appraisal a = Judge(Collect());
  ExpectOnly(a, {"list.full"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
}

// Beyond the 256 last records the attester's values lie further apart: it can still be said between which
// two.
class OldRecordTest : public AttacksTest {
 protected:
  void SetUp() override {
    AttacksTest::SetUp();
    if (HasFatalFailure()) return;
    for (int i = 0; i < kMore; ++i) policy_.allowed.insert(DigestOf("more " + std::to_string(i)).ToString());
    for (int i = 0; i < kMore; ++i) Record("more " + std::to_string(i), "/opt/m" + std::to_string(i));
    honest_ = Collect();
    ASSERT_EQ(Judge(honest_).verdict, Verdict::kTrusted);
  }
  // The one finding, and that its text names a range around this record.
  void Expect(const evidence::Evidence& e, const std::string& name, std::uint64_t record) {
    const Appraisal a = Judge(e);
    ExpectOnly(a, {name});
    std::size_t found = 0;
    for (const Finding& f : a.findings) {
      if (NameText(f.name) != name) continue;
      ++found;
      ASSERT_TRUE(f.record);
      EXPECT_LE(*f.record, record) << f.text;
      EXPECT_GT(*f.record + 64, record) << f.text;
    }
    EXPECT_EQ(found, 1U);
  }
  static constexpr int kMore = 900;
  evidence::Evidence honest_;
};

TEST_F(OldRecordTest, Removed) {
  Expect(WithList(honest_, [](auto& r) { r.erase(r.begin() + 101); }), "list.removed", 101);
}
TEST_F(OldRecordTest, SeveralRemoved) {
  Expect(WithList(honest_, [](auto& r) { r.erase(r.begin() + 101, r.begin() + 104); }), "list.removed", 101);
}
TEST_F(OldRecordTest, Added) {
  Expect(WithList(honest_, [](auto& r) { r.insert(r.begin() + 101, Forged(Content(1), Path(1))); }),
         "list.added", 101);
}
TEST_F(OldRecordTest, Altered) {
  Expect(WithList(honest_, [](auto& r) { r[101] = Forged(Content(1), Path(1)); }), "list.altered", 101);
}
TEST_F(OldRecordTest, NeighboursReordered) {
  const Appraisal a = Judge(WithList(honest_, [](auto& r) { std::swap(r[101], r[102]); }));
  const auto names = Weighing(a);
  EXPECT_TRUE(names == std::set<std::string>{"list.reordered"} ||
              names == std::set<std::string>{"list.altered"});
}
TEST_F(OldRecordTest, RemovedAndAddedElsewhere) {
  const Appraisal a = Judge(WithList(honest_, [](auto& r) {
    r.insert(r.begin() + 400, Forged(Content(1), Path(1)));
    r.erase(r.begin() + 101);
  }));
  ExpectOnly(a, {"list.removed", "list.added"});
}

// The attester says in its claims how many records there are: a lie must cost nothing but the verdict.
TEST(TamperingTest, AbsurdCounts) {
  SyntheticHost host;
  const evidence::Nonce nonce = evidence::Nonce::Filled(1);
  for (const std::uint64_t count :
       {std::uint64_t{0}, std::uint64_t{1} << 40, ~std::uint64_t{0}, ~std::uint64_t{0} - 5}) {
    evidence::Evidence e = host.Quote(nonce, 0, [&](evidence::Claims& c) {
      c.list_count = count;
      c.pcrs[SyntheticHost::kBank][10] = DigestOf("x");
      for (const std::uint64_t at : {std::uint64_t{3}, count - 1, count})
        c.checkpoints.push_back({at, DigestOf("y")});
    });
    SyntheticHost liar = host;
    liar.pcrs[SyntheticHost::kBank][10] = DigestOf("x");
    liar.Attest(e, nonce, host.Selection());
    liar.Sign(e);
    Policy policy;
    policy.allow_first_use = true;
    const Appraisal a = Appraise(host.Ask(e, nonce), HostState{}, host, policy);
    EXPECT_EQ(a.verdict, Verdict::kNotTrusted) << count;
    EXPECT_TRUE(std::any_of(a.findings.begin(), a.findings.end(),
                            [](const Finding& f) { return GroupOf(f.name) == FindingGroup::kList; }));
  }
}

}  // namespace
}  // namespace assay::appraise
