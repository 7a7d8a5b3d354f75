// Internal: the open group: entries that are in a write-ahead file, and will be one record together.
//
//   // given: OpenGroup& group, const Ledger& ledger, const RecorderPcr& pcr, ByteView encoded, Step entry
//   const MutexLock open(group.mutex);
//   if (group.HasRoom(encoded.size())) ASSAY_TRY(group.Append(encoded, std::move(entry), ledger.Next()));
//   const Step step = group.MakeStep(pcr, ledger.Next().number);
//   group.Clear();  // once the step is written
//
// Contract: `mutex` is held from HasRoom() to Append(), and while any record is written, because the group's
// number is that of the next record. It is not held while the TPM extends, so that entries do not wait for
// the TPM. After an append the file has the whole entry; after an append that failed it has nothing of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "measure/record/ledger.h"
#include "measure/record/recorder.h"
#include "measure/record/recorder_files.h"
#include "measure/record/step.h"

namespace assay::measure {

// How many bytes a group's record takes at most.
std::size_t GroupRoom(const RecorderOptions& options);
Result<> FaultAt(const RecorderOptions& options, std::string_view instant);  // RecorderOptions::fault

// A group's record; its buffer is the entries' bytes as they are in the write-ahead file.
Step MakeGroupStep(const RecorderPcr& pcr, ByteView entries);

class OpenGroup {
 public:
  using Clock = std::chrono::steady_clock;
  OpenGroup(const RecorderOptions& options, const RecorderFiles& files) : options_(options), files_(files) {}

  Mutex mutex;
  CondVar changed;  // its first entry has come, or it is stopped

  bool empty() const ASSAY_REQUIRES(mutex) { return bytes_.empty(); }
  bool HasRoom(std::size_t bytes) const ASSAY_REQUIRES(mutex) {
    return bytes_.empty() || bytes_.size() + bytes <= options_.group_bytes;
  }
  // encoded: the entry's bytes; at: where the group's record will be.
  Result<> Append(ByteView encoded, Step entry, const Ledger::Position& at) ASSAY_REQUIRES(mutex);
  Step MakeStep(const RecorderPcr& pcr, std::uint64_t number) const ASSAY_REQUIRES(mutex);
  void Clear() ASSAY_REQUIRES(mutex);
  Clock::time_point Due() const ASSAY_REQUIRES(mutex) {
    return since_ + std::chrono::milliseconds(options_.group_ms);
  }

  void Stop() ASSAY_EXCLUDES(mutex);  // for the thread that commits it in time
  bool stopped() const ASSAY_REQUIRES(mutex) { return stopped_; }

 private:
  Result<> WriteAhead(ByteView encoded, const Ledger::Position& at) ASSAY_REQUIRES(mutex);

  const RecorderOptions& options_;
  const RecorderFiles& files_;
  Bytes bytes_ ASSAY_GUARDED_BY(mutex);
  std::vector<JournalEntry> journal_ ASSAY_GUARDED_BY(mutex);
  std::uint64_t entries_ ASSAY_GUARDED_BY(mutex) = 0, violations_ ASSAY_GUARDED_BY(mutex) = 0;
  UniqueFd pending_ ASSAY_GUARDED_BY(mutex);
  Clock::time_point since_ ASSAY_GUARDED_BY(mutex);
  bool stopped_ ASSAY_GUARDED_BY(mutex) = false;
};

}  // namespace assay::measure
