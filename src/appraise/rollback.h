// Internal: files that go back to an older version than the host ran before.
//
//   // given: Round& round, const JudgedEntry& entry, const std::vector<const Origin*>& in_place
//   RollbackJudge judge(round);
//   judge.Judge(entry, NormalisePath(entry.path), in_place);   // adds entry.rollback, or remembers
//
// Contract: here: the entry's path, normalised. in_place: the origins that have the content at the entry's
// path. HostState::newest is kept for paths of packages of which an older version is known. Content of a
// version that is the present one at its path is no rollback: then the reference values went back themselves.
// Entries of containers are not judged.
#pragma once

#include <string>
#include <vector>

#include "appraise/checks.h"

namespace assay::appraise {

class RollbackJudge {
 public:
  explicit RollbackJudge(Round& round) : r_(round) {}
  void Judge(const JudgedEntry& e, const std::string& here, const std::vector<const Origin*>& in_place);

 private:
  bool WentBack(const std::string& path, const NewestVersion& seen, const std::string& highest) const;
  void Report(const JudgedEntry& e, const std::string& here, const NewestVersion& seen,
              const std::string& version);

  Round& r_;
};
// Begins with what was known when the boot began: the list is judged from its start.
void BeginNewest(Round& round);

}  // namespace assay::appraise
