// Internal: reconciles the list, its PCR and the state files when a recorder starts (docs/formats/state.md).
//
//   // given: const Reconciliation::Parts& parts, std::function<Result<>(Step)> commit
//   Reconciliation start(parts);
//   ASSAY_ASSIGN(std::optional<Step> first, start.Reconcile());  // an empty list's first record
//   if (first) ASSAY_TRY(commit(std::move(*first)));
//   ASSAY_ASSIGN(std::optional<Step> pending, start.PendingGroup());  // a group that a kill left open
//   if (pending) ASSAY_TRY(commit(std::move(*pending)));
//
// Contract: runs before any other thread has the recorder. A torn tail of the list is dropped; a record that
// was written and not extended is extended; a PCR that the list can't explain is refused (recorder.h names
// the errors).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "measure/record/contents.h"
#include "measure/record/ledger.h"
#include "measure/record/recorder.h"
#include "measure/record/recorder_files.h"
#include "measure/record/recorder_pcr.h"

namespace assay::measure {

class Reconciliation {
 public:
  struct Parts {
    const RecorderOptions& options;
    const RecorderPcr& pcr;
    RecorderFiles& files;
    Contents& contents;
    Ledger& ledger;
  };
  explicit Reconciliation(const Parts& parts) : parts_(parts) {}
  Result<std::optional<Step>> Reconcile();
  Result<std::optional<Step>> PendingGroup();

 private:
  Result<> ReadJournal();
  Result<> ReadPadded();
  Values ExtendsOf(const ima::RecordView& record) const;
  void Account(const ima::RecordView& record, Step& step) const;
  void AccountOne(const ima::RecordView& record, const Result<ima::Entry>& entry, Step& step) const;
  void Note(const Step& step);
  // The list's records, and what the PCR is before and after the last one.
  struct Replayed {
    Values before, last_extends;
  };
  Result<Replayed> ReplayList();
  Result<> DropTornTail() const;
  Result<> ReadOverflow(const Values& present);
  Result<std::optional<Step>> Retire();
  Result<std::optional<Step>> Begin(const Values& present);
  std::size_t CapsBetween(const Values& from, const Values& present) const;
  Result<> AdoptCaps(std::size_t caps);
  std::optional<Values> FirstExtends(const ima::RecordView& first, const Values& present,
                                     std::size_t caps) const;
  Result<> AdoptBootAggregate(const Values& present);

  const Parts parts_;
  // Banks (positions in banks()) in which the kernel, lacking the bank's hash, extended its first record as
  // zero-padded SHA-1. They are kept beside the list, in the file "padded".
  std::vector<std::size_t> padded_;
};

}  // namespace assay::measure
