// Internal: the files of the recorder's folder (docs/formats/state.md).
//
//   // given: const std::string& folder, ByteView record
//   RecorderFiles files;
//   ASSAY_TRY(files.Open(folder, nullptr));
//   ASSAY_TRY(PWriteAll(files.list(), record, 0));
//
// Contract: one recorder in a folder ("recorder.locked"). The descriptors do not change after the start, so
// that any thread may use them. The caller decides which thread writes where.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/event_fd.h"
#include "base/fd.h"
#include "measure/record/list_lock.h"

namespace assay::measure {

class RecorderFiles {
 public:
  // lock: of this folder; null: it is taken here.
  Result<> Open(const std::string& dir, std::shared_ptr<ListLock> lock);
  // Begins an empty list and an empty journal. The former list becomes list.old.
  Result<> Retire();

  std::string Path(std::string_view name) const { return dir_ + "/" + std::string(name); }
  // The write-ahead file of the group that will be this record.
  std::string PendingPath(std::uint64_t number) const { return Path("pending." + std::to_string(number)); }
  // Removes the files whose names begin so, but for one.
  void Remove(std::string_view prefix, const std::string& except) const;
  Result<> Truncate(std::uint64_t list_bytes) const;
  // Reserves room in the list behind `from`, so that the entries of a write-ahead file can always be
  // committed.
  Result<> Reserve(std::uint64_t from, std::uint64_t bytes) const;
  void TellGrowth() const;

  int list() const { return list_.get(); }
  int journal() const { return journal_.get(); }
  int growth() const { return growth_.get(); }  // an eventfd

 private:
  std::string dir_;
  std::shared_ptr<ListLock> lock_;
  UniqueFd list_, journal_;
  EventFd growth_;
};

}  // namespace assay::measure
