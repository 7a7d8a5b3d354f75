// Internal: one appraisal in progress, shared by the stages of Appraise().
//
//   Round round{.request = request, ...};
//   if (CheckQuote(round)) { CheckBoot(round, boots); if (CheckList(round)) JudgeEntries(round);
//   CheckRun(round); }
//
// Contract: each stage adds its findings and says whether what it verified may be built upon.
#pragma once

#include "appraise/appraise.h"
#include "list/list.h"

namespace assay::appraise {

// Every check that 'trusted' needs; what was not made when all is over is a finding of its own.
enum class Check {
  kAk,
  kSignature,
  kFresh,
  kSelection,
  kPcrValues,
  kClock,
  kBoot,
  kList,
  kEntries,
  kOwnRecords,
  kRun,
  kCount
};

inline void AddFinding(std::vector<Finding>& findings, std::string name, Verdict weight, std::string text) {
  Finding f;
  f.name = std::move(name);
  f.weight = weight;
  f.text = std::move(text);
  findings.push_back(std::move(f));
}

struct Round {
  const Request& request;
  const HostState& host;
  const ReferenceValues& references;
  const Policy& policy;
  Appraisal out;
  std::set<Check> made;
  tpm::Quote quote;
  tpm::PcrValues pcrs;  // proven by the quote
  bool fresh = false;   // the quote answers this challenge, over this connection
  bool sound = false;   // nothing was wrong so far: the host's state may be built upon it
  std::vector<ima::RecordView> records;
  std::vector<Digest> extends;  // what each record extended, in the list's bank

  void Add(std::string name, Verdict weight, std::string text) {
    AddFinding(out.findings, std::move(name), weight, std::move(text));
  }
  void AddAt(std::string name, Verdict weight, std::string text, std::uint64_t record) {
    Add(std::move(name), weight, std::move(text));
    out.findings.back().record = record;
  }
};

bool CheckQuote(Round& round);
void CheckBoot(Round& round, const std::vector<boot::ExpectedBoot>& boots);
bool CheckList(Round& round);
void JudgeEntries(Round& round);
// The run that the list is of must have signed the answer. After the entries, whose records name its key.
void CheckRun(Round& round);
// Names a boot that was capped. After CheckRun().
void CheckCap(Round& round);
// After all else: whether the boot was an expected one is known by then.
void JudgeReach(Round& round, bool boot_expected);
// Names what was done to a list that does not replay, by the values that the attester noted along the way
// (and that its AK signed). start: the PCR's value before the first record.
void NameTampering(Round& round, const Digest& start);

}  // namespace assay::appraise
