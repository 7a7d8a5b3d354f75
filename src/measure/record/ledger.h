// Internal: what is in the list, and which value the PCR therefore has.
//
//   // given: Ledger& ledger, const Step& step
//   const Ledger::Position at = ledger.Next();
//   ledger.Begin(step);   // written there, but not yet known to be in the PCR
//   ledger.Settle(step);  // extended
//
// Contract: safe from any thread; it has a lock of its own. One thread at a time moves it (Begin, Settle and
// what the start calls), any may read. totals() and values() tell what is in the PCR; Next() counts the
// record that is under way too.
#pragma once

#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "measure/lists/list_source.h"
#include "measure/lists/list_stream.h"
#include "measure/record/recorder_pcr.h"
#include "measure/record/state_files.h"
#include "measure/record/step.h"

namespace assay::measure {

class Ledger {
 public:
  struct Totals {
    std::uint64_t count = 0, bytes = 0;  // records in the list file, and their bytes
    std::uint64_t entries = 0, violations = 0, starts = 0;
    std::uint64_t overflow = 0;  // extended, but not kept
    std::uint64_t journal_bytes = 0;
  };
  struct Position {
    std::uint64_t number = 0, offset = 0;
    bool overflown = false;  // a record was extended and not kept: none is kept any more
  };

  explicit Ledger(const RecorderPcr& pcr) : pcr_(pcr) {}
  Totals totals() const;
  Values values() const;
  Position Next() const;
  RecorderState State() const;  // without what it does not know: degraded, checkpoints
  std::vector<std::pair<std::uint64_t, Digest>> CheckpointsSoFar() const;
  // The last place before a record that is known without reading the list, and where the list ends.
  // "usage" for a record that is not in the list yet.
  struct Place {
    ListPlace from;
    std::uint64_t end = 0;
  };
  Result<Place> PlaceBefore(std::uint64_t record) const;

  void Begin(const Step& step);
  void Settle(const Step& step);
  void SetJournalBytes(std::uint64_t bytes);
  // The start only: of a list that is full, and of a TPM that knows nothing.
  void SetFull(const OverflowState& state, const Values& values);
  void Reset();

 private:
  const RecorderPcr& pcr_;
  mutable Mutex mutex_;
  Totals totals_ ASSAY_GUARDED_BY(mutex_);
  Values values_ ASSAY_GUARDED_BY(mutex_);
  std::uint64_t records_under_way_ ASSAY_GUARDED_BY(mutex_) = 0, bytes_under_way_
                                                                 ASSAY_GUARDED_BY(mutex_) = 0;
  std::vector<std::uint64_t> offsets_ ASSAY_GUARDED_BY(mutex_);  // of each kOffsetStride-th record
  Checkpoints checkpoints_ ASSAY_GUARDED_BY(mutex_);
};

}  // namespace assay::measure
