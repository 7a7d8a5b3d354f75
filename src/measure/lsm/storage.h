// Internal: answers the BPF programs' questions about the devices under file systems.
//
//   // given: const assay_request& request, const LsmPrograms& programs
//   ASSAY_ASSIGN(std::unique_ptr<LsmStorage> storage, LsmStorage::Open());
//   if ((request.flags & ASSAY_UNJUDGED) != 0) storage->Judge(programs);   // before the file is touched
//
// Contract: Judge() answers for each file system that has no answer for the present raw_seq, which is read
// before anything is looked at. Safe from any thread. It reads only sysfs and mountinfo, and makes no request
// to another file system.
#pragma once

#include <memory>
#include <set>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"
#include "measure/lsm/programs.h"

namespace assay::measure {

class LsmStorage {
 public:
  static Result<std::unique_ptr<LsmStorage>> Open();
  void Judge(const LsmPrograms& programs);

 private:
  explicit LsmStorage(UniqueFd sysfs) : sysfs_(std::move(sysfs)) {}

  Mutex mutex_;
  const UniqueFd sysfs_;
  std::set<std::uint64_t> told_ ASSAY_GUARDED_BY(mutex_);  // file systems that the log has named
};

}  // namespace assay::measure
