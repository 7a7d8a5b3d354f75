// What one index has and another has not: what a new snapshot adds and retires.
//
//   // given: const Index& before, const Index& now
//   const IndexDiff diff = Compare(before, now);
//   for (const IndexedPackage& p : diff.added) log::Info("+ {} {}", p.package, p.version);
//
// Contract: pure; each list is in the order of the indexes' packages.
#pragma once

#include <vector>

#include "reference/index.h"

namespace assay::reference {

struct IndexDiff {
  std::vector<IndexedPackage> added;    // present now, and not before: new, or no longer superseded
  std::vector<IndexedPackage> retired;  // present before, and superseded now
  std::vector<IndexedPackage> gone;     // known before, and unknown now
  std::vector<IndexedPackage> changed;  // the same version has other files
  struct Standing {
    IndexedPackage now;
    appraise::Standing before = appraise::Standing::kGood;
  };
  // Known before and now, of another standing: marked, denied, vulnerable, or not any more. That a version
  // was superseded is not told here.
  std::vector<Standing> standing;
  bool empty() const {
    return added.empty() && retired.empty() && gone.empty() && changed.empty() && standing.empty();
  }
};
IndexDiff Compare(const Index& before, const Index& now);

}  // namespace assay::reference
