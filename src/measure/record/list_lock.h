// The lock on a list's folder: one attester records there, and it takes the lock before it touches anything.
//
//   // given: RecorderOptions& options, const std::string& run_dir
//   #include "measure/record/recorder.h"
//   ASSAY_ASSIGN(options.lock, ListLock::Take(run_dir + "/list"));   // before the TPM is opened
//   options.dir = run_dir + "/list";
//
// Contract: the lock is the process's until the object ends, or the process does. StateError
// "recorder.locked" names the process that holds it. The file `lock` in the folder has the holder's process
// id, for an attester that stands by until the holder ends.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/fd.h"

namespace assay::measure {

class ListLock {
 public:
  static Result<std::shared_ptr<ListLock>> Take(const std::string& dir);
  // One that another process has given away, with its descriptor.
  static Result<std::shared_ptr<ListLock>> Adopt(UniqueFd fd);
  int fd() const { return fd_.get(); }

 private:
  explicit ListLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// The process that the lock file names; -1: none.
pid_t HolderIn(const UniqueFd& lock);

}  // namespace assay::measure
