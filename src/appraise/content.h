// Internal: judges one content at one path by the reference values, the policy and the owner's trusted
// list.
//
//   // given: Round& round, JudgedEntry& entry, const Digest& digest
//   ContentJudge judge(round);
//   judge.Judge(entry, &digest, false);   // sets state and origin, adds findings to the round
//   judge.AddNotes();
//
// Contract: the judgement depends on the entry's path, digest, control group and context, on the reference
// values, on the policy, on the trusted list and on the newest versions that the host's state has seen, and
// on nothing else: what was judged once can be judged again.
#pragma once

#include <map>

#include "appraise/checks.h"
#include "appraise/program_allowances.h"
#include "appraise/rollback.h"

namespace assay::appraise {

// In HostState::own: a component of the attester -> its digest, empty until it was seen.
inline constexpr std::string_view kComponent = "component:";
inline std::string ComponentKey(std::string_view path) { return std::string(kComponent) + std::string(path); }

std::string EntryName(const JudgedEntry& e);  // its path, or "record 7"

class ContentJudge {
 public:
  // kList: the entries come as in the list, so that what goes back to an older version is seen.
  enum class Order { kList, kAny };
  explicit ContentJudge(Round& round, Order order = Order::kList);
  // digest: that of e.digest; null where its algorithm is not known. component: it is part of the attester.
  void Judge(JudgedEntry& e, const Digest* digest, bool component);
  // How many entries the policy left out, how many the owner trusts, and which packages loaded BPF programs.
  void AddNotes();

 private:
  const TrustedEntry* OwnersWord(const JudgedEntry& e) const;
  bool TrustedByOwner(JudgedEntry& e);
  bool MadeByItsLoader(JudgedEntry& e);
  bool AllowedCgroup(const std::string& cgroup) const;
  void AddImageNotes();
  void JudgeByReference(JudgedEntry& e, const Digest* digest);
  bool JudgeByImage(JudgedEntry& e, const Digest& digest);
  void JudgePlace(JudgedEntry& e);
  void JudgeUncompared(JudgedEntry& e, HashAlg alg);
  void JudgeUnknown(JudgedEntry& e, const Origin* superseded);
  void JudgeKnown(JudgedEntry& e, bool here);
  void ReportConfiguration(JudgedEntry& e, const std::string& is);
  const TrustedEntry* AcceptedBefore(const JudgedEntry& e) const;
  void JudgeOutdated(JudgedEntry& e);
  void NoteBuffers();
  void Report(FindingName name, const JudgedEntry& e, const std::string& text) {
    Report(name, WeightOf(name), e, text);
  }
  void Report(FindingName name, Verdict weight, const JudgedEntry& e, const std::string& text) {
    r_.AddFor(e, name, weight, in_ ? text + ", in " + in_->Text() : text);
  }
  // The file that belongs at the entry's path; none where nothing is known of the paths of a container. For
  // configuration also the default that is to be copied there.
  std::optional<Origin> AtPlace() const {
    if (paths_ == nullptr) return std::nullopt;
    std::optional<Origin> at = paths_->FindPath(place_);
    return at || default_place_.empty() ? at : paths_->FindPath(default_place_);
  }

  Round& r_;
  const Order order_;
  std::multimap<std::string_view, const TrustedEntry*> trusted_;  // by digest; those that count
  // Of the entry that is judged: it is good by the owner's word; reference values may have its digest.
  bool owners_ = false, comparable_ = true;
  std::string place_, default_place_;       // normalised; where its default may lie besides, or empty
  std::optional<evidence::Container> in_;   // it was loaded in this container
  const ReferenceValues* paths_ = nullptr;  // that say which file belongs at its path
  std::vector<std::uint64_t> by_image_;     // entries, by their place in ReferenceValues::Images()
  std::uint64_t not_judged_ = 0, owner_trusted_ = 0;
  std::map<std::string, std::uint64_t> buffers_;  // unknown ones that don't weigh, by name
  ProgramAllowances bpf_;
  RollbackJudge rollback_;
};

}  // namespace assay::appraise
