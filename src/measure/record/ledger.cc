#include "measure/record/ledger.h"

#include "base/log.h"

namespace assay::measure {
namespace {
constexpr std::uint64_t kOffsetStride = 64;
}  // namespace

Ledger::Totals Ledger::totals() const {
  const MutexLock lock(mutex_);
  return totals_;
}

Values Ledger::values() const {
  const MutexLock lock(mutex_);
  return values_;
}

Ledger::Position Ledger::Next() const {
  const MutexLock lock(mutex_);
  return {.number = totals_.count + records_under_way_,
          .offset = totals_.bytes + bytes_under_way_,
          .overflown = totals_.overflow > 0};
}

RecorderState Ledger::State() const {
  const MutexLock lock(mutex_);
  RecorderState s;
  s.count = totals_.count;
  s.entries = totals_.entries;
  s.violations = totals_.violations;
  s.overflow = totals_.overflow;
  s.gaps = totals_.starts > 0 ? totals_.starts - 1 : 0;
  s.list_bytes = totals_.bytes;
  s.journal_bytes = totals_.journal_bytes;
  for (const Digest& value : values_) s.pcr_values.emplace_back(value.alg(), value);
  return s;
}

std::vector<std::pair<std::uint64_t, Digest>> Ledger::CheckpointsSoFar() const {
  const MutexLock lock(mutex_);
  return checkpoints_.All();
}

Result<Ledger::Place> Ledger::PlaceBefore(std::uint64_t record) const {
  const MutexLock lock(mutex_);
  if (record > totals_.count) return Fail(UsageError("no such record yet"));
  if (record == totals_.count)
    return Place{.from = {.offset = totals_.bytes, .index = record}, .end = totals_.bytes};
  const std::uint64_t nearest = record / kOffsetStride;
  return Place{.from = {.offset = offsets_[nearest], .index = nearest * kOffsetStride}, .end = totals_.bytes};
}

void Ledger::Begin(const Step& step) {
  const MutexLock lock(mutex_);
  records_under_way_ = 1;
  bytes_under_way_ = step.kept ? step.record.size() : 0;
}

void Ledger::Settle(const Step& step) {
  const MutexLock lock(mutex_);
  records_under_way_ = bytes_under_way_ = 0;
  if (step.kept) {
    if (totals_.count % kOffsetStride == 0) offsets_.push_back(totals_.bytes);
    totals_.bytes += step.record.size();
    ++totals_.count;
    checkpoints_.Add(totals_.count, step.next[pcr_.list_bank()]);
  } else if (totals_.overflow++ == 0) {
    log::Error("recorder: the list is full at {} records: a verifier can't tell any more", totals_.count);
  }
  values_ = step.next;
  totals_.entries += step.entries;
  totals_.violations += step.violations;
  totals_.starts += step.start ? 1 : 0;
}

void Ledger::SetJournalBytes(std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  totals_.journal_bytes = bytes;
}

void Ledger::SetFull(const OverflowState& state, const Values& values) {
  const MutexLock lock(mutex_);
  totals_.overflow = state.overflow;
  totals_.entries = state.entries;
  totals_.violations = state.violations;
  values_ = values;
}

void Ledger::Reset() {
  const MutexLock lock(mutex_);
  totals_ = {};
  values_ = pcr_.Zero();
  records_under_way_ = bytes_under_way_ = 0;
  offsets_.clear();
  checkpoints_.Clear();
}

}  // namespace assay::measure
