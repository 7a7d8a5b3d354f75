// One attester process that goes on where another one was: what makes it the same run, and what does not.
#include <nlohmann/json.hpp>

#include "appraise/rules_fixture.h"

namespace assay::appraise {
namespace {

using nlohmann::json;

class HandoverTest : public RulesTest {
 protected:
  HandoverTest() { host_.Know("assayd 2", "/usr/sbin/assayd"); }
  static json Record(std::string_view by) {
    json record{{"by", by},
                {"run", 1},
                {"number", 1},
                {"version", "0.3.0"},
                {"pid", 7},
                {"executable", "/usr/sbin/assayd"},
                {"components", {"/usr/sbin/assayd"}}};
    if (by == "predecessor") record["digest"] = DigestOf("assayd 2").ToString();
    return record;
  }
  void Leave(std::string_view program = "assayd 2") {
    host_.File(program, "/usr/sbin/assayd");
    json record = Record("predecessor");
    record["digest"] = DigestOf(program).ToString();
    host_.Own("assay-handover", record.dump());
  }
  void TakeOver() {
    host_.Own("assay-handover", Record("successor").dump());
    host_.Own("assay-policy", MeasuringPolicy());
    host_.Own("assay-engine", R"({"engine":"fanotify","scope":"host","mounts":["/"]})");
  }
};

TEST_F(HandoverTest, AKnownSuccessorIsTheSameRunWithoutAGap) {
  state_ = Judge().host;
  Leave();
  TakeOver();
  host_.File("content 1", "/usr/bin/p1");
  ExpectInfo(Judge(), "own.handover");
  const Appraisal next = Next();
  ExpectInfo(next, "own.handover");
  EXPECT_FALSE(Of(next, false).contains("list.gap"));
  EXPECT_EQ(next.host.own.at("version"), "0.3.0");
  state_ = next.host;
  Leave();
  TakeOver();
  ExpectInfo(Next(), "own.handover");
}

TEST_F(HandoverTest, AnUnknownSuccessorIsAnUnknownAttester) {
  Leave("made by root");
  TakeOver();
  ExpectStays({"entry.changed", "own.unknown-binary"});
}

TEST_F(HandoverTest, ALibraryOfTheSuccessorHasToBeInTheList) {
  Leave();
  json record = Record("successor");
  record["components"] = {"/usr/sbin/assayd", "/lib/injected.so"};
  host_.Own("assay-handover", record.dump());
  host_.Own("assay-engine", R"({"engine":"fanotify","scope":"host","mounts":["/"]})");
  ExpectStays({"own.missing-binary"});
}

// Before the successor's record, no record says that anything is measured.
TEST_F(HandoverTest, NobodyTookOver) {
  Leave();
  ExpectStays({"own.stopped"});
  TakeOver();
  ExpectOnly(Judge(), {});
}

TEST_F(HandoverTest, ARestartAfterwardsIsAGap) {
  Leave();
  host_.Start(2);
  ExpectStays({"list.gap"});
}

TEST_F(HandoverTest, RecordsThatDoNotFit) {
  const auto expect = [&](const json& record, const Names& names) {
    SyntheticHost host = host_;
    host.Own("assay-handover", record.dump());
    ExpectOnly(Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host_, policy_), names);
  };
  expect(Record("predecessor"), {"own.malformed"});  // its program is not in the list
  expect(Record("successor"), {"own.malformed"});    // none has left
  host_.File("assayd 2", "/usr/sbin/assayd");
  expect(Record("predecessor"), {"own.stopped"});
  json record = Record("predecessor");
  record["run"] = 2;
  expect(record, {"own.malformed"});
  record = Record("predecessor");
  record["digest"] = DigestOf("assayd").ToString();
  expect(record, {"own.malformed"});
  record = Record("somebody");
  expect(record, {"own.malformed"});
  record = Record("predecessor");
  record.erase("components");
  expect(record, {"own.malformed"});
}

// After a stop no handover makes the run go on.
TEST_F(HandoverTest, AStoppedRunStaysStopped) {
  host_.Own("assay-stop", R"({"run":1})");
  Leave();
  TakeOver();
  ExpectStays({"own.after-stop", "own.malformed", "own.stopped"});
}

}  // namespace
}  // namespace assay::appraise
