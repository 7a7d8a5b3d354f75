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

#include <algorithm>
#include <map>

#include "appraise/appraise.h"
#include "appraise/reason.h"
#include "appraise/redaction.h"
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

// Digests of one algorithm, packed: a list may have a million of them.
class PackedDigests {
 public:
  explicit PackedDigests(HashAlg alg = HashAlg::kSha256) : alg_(alg) {}
  void Add(const Digest& digest) { bytes_.insert(bytes_.end(), digest.view().begin(), digest.view().end()); }
  Digest operator[](std::size_t i) const {
    Digest digest = Digest::Filled(alg_, 0);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(i * digest.size()), digest.size(),
                digest.data());
    return digest;
  }
  std::size_t size() const { return bytes_.size() / DigestSize(alg_); }
  void Resize(std::size_t count) { bytes_.resize(count * DigestSize(alg_)); }
  void Reserve(std::size_t count) { bytes_.reserve(count * DigestSize(alg_)); }

 private:
  HashAlg alg_;
  Bytes bytes_;
};

// Findings of one name that are counted and not told one by one.
struct Untold {
  std::uint64_t told = 0, untold = 0;
  Verdict weight = Verdict::kTrusted;  // the worst of the untold
  std::uint64_t first_record = 0;      // of the untold
};
inline constexpr std::uint64_t kMaxAlike = 50'000;  // findings of one name about records that are told

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
  PackedDigests extends;                // the value that each record extended, in the list's bank
  std::map<FindingName, Untold> alike;  // findings about records

  bool Withheld(const ima::RecordView& record) const { return request.redaction && IsWithheld(record); }
  // Without a weight, the finding has its usual one.
  void Add(FindingName name, Verdict weight, std::string text) {
    AddFinding(out.findings, name, weight, std::move(text));
  }
  void Add(FindingName name, std::string text) { Add(name, WeightOf(name), std::move(text)); }
  // A finding about a record. A list can cause a million findings of one name; the first ones are kept, and
  // the others are counted.
  Finding* AddAt(FindingName name, Verdict weight, std::string text, std::uint64_t record,
                 std::uint32_t sub = 0) {
    Untold& so_far = alike[name];
    if (so_far.told == kMaxAlike) {
      if (so_far.untold++ == 0) so_far.first_record = record;
      so_far.weight = Worse(so_far.weight, weight);
      return nullptr;
    }
    ++so_far.told;
    Add(name, weight, std::move(text));
    out.findings.back().record = record;
    out.findings.back().sub = sub;
    return &out.findings.back();
  }
  void AddAt(FindingName name, std::string text, std::uint64_t record, std::uint32_t sub = 0) {
    AddAt(name, WeightOf(name), std::move(text), record, sub);
  }
  // A finding about one entry. False: it is only counted.
  bool AddFor(const JudgedEntry& e, FindingName name, Verdict weight, std::string text) {
    Finding* f = AddAt(name, weight, std::move(text), e.record, e.sub);
    if (f == nullptr) return false;
    f->path = e.path;
    f->digest = e.digest;
    f->code = e.code;
    f->cgroup = e.cgroup;
    f->context = e.context;
    if (e.context) f->reason = ReasonText(*e.context, references);
    return true;
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
