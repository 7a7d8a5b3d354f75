// Internal: one appraisal in progress, shared by the stages of Appraise().
//
//   // given: Round& round, const std::vector<boot::ExpectedBoot>& boots
//   if (!CheckQuote(round)) return {};
//   CheckBoot(round, boots);
//   if (CheckList(round)) JudgeEntries(round);
//   CheckRun(round);
//
// Contract: each stage adds its findings. A stage that returns bool says whether the next stages may rely on
// what it verified.
#pragma once

#include "appraise/appraise.h"
#include "list/list.h"

namespace assay::appraise {

// Every check that 'trusted' requires. A check that was not made by the end is a finding.
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

inline void AddFinding(std::vector<Finding>& findings, FindingName name, Verdict weight, std::string text) {
  Finding f;
  f.name = name;
  f.weight = weight;
  f.text = std::move(text);
  findings.push_back(std::move(f));
}

struct Round {
  const Request& request;
  const HostState& host;
  const ReferenceValues& references;
  const Policy& policy;
  const TrustedList& trusted;
  Appraisal out;
  std::set<Check> made;
  tpm::Quote quote;
  tpm::PcrValues pcrs;  // proven by the quote
  bool fresh = false;   // the quote answers this challenge, over this connection
  bool sound = false;   // no problem was found so far, so the host's state may be updated from it
  std::vector<ima::RecordView> records;
  std::vector<Digest> extends;  // the value that each record extended, in the list's bank

  // Where no weight is given, the usual one.
  void Add(FindingName name, Verdict weight, std::string text) {
    AddFinding(out.findings, name, weight, std::move(text));
  }
  void Add(FindingName name, std::string text) { Add(name, WeightOf(name), std::move(text)); }
  void AddAt(FindingName name, Verdict weight, std::string text, std::uint64_t record) {
    Add(name, weight, std::move(text));
    out.findings.back().record = record;
  }
  void AddAt(FindingName name, std::string text, std::uint64_t record) {
    AddAt(name, WeightOf(name), std::move(text), record);
  }
  // About one entry.
  void AddFor(const JudgedEntry& e, FindingName name, Verdict weight, std::string text) {
    AddAt(name, weight, std::move(text), e.record);
    Finding& f = out.findings.back();
    f.sub = e.sub;
    f.path = e.path;
    f.digest = e.digest;
    f.cgroup = e.cgroup;
    f.context = e.context;
  }
};

bool CheckQuote(Round& round);
void CheckBoot(Round& round, const std::vector<boot::ExpectedBoot>& boots);
bool CheckList(Round& round);
void JudgeEntries(Round& round);
// The run that wrote the list must have signed the answer. Comes after JudgeEntries(), because the records
// name its key.
void CheckRun(Round& round);
// Reports a boot that was capped. Comes after CheckRun().
void CheckCap(Round& round);
// Comes last, when it is known whether the boot was an expected one.
void JudgeReach(Round& round, bool boot_expected);
// Tells how a list that does not replay was changed, by the checkpoints in the claims, which the AK signed.
// start: the PCR's value before the first record.
void NameTampering(Round& round, const Digest& start);

}  // namespace assay::appraise
