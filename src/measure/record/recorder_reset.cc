// Whether the TPM was reset while the recorder runs: its PCR then no longer proves the list.
#include <fmt/format.h>
#include <time.h>

#include "base/log.h"
#include "measure/record/errors.h"
#include "measure/record/recorder_impl.h"

namespace assay::measure {
namespace {

// A look costs a TPM chip two commands (some milliseconds). While much is recorded, there is one look in this
// time.
constexpr std::chrono::seconds kPause{2};
constexpr std::chrono::milliseconds kSuspended{500};

std::chrono::nanoseconds Now(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// How long the machine has slept since it was booted.
std::chrono::nanoseconds Slept() { return Now(CLOCK_BOOTTIME) - Now(CLOCK_MONOTONIC); }

}  // namespace

// The counts show a reset even if a program has extended the whole list again. A resume raises the restart
// count and keeps the PCRs.
Result<> Recorder::Impl::LookAtTpm() {
  ASSAY_ASSIGN(const tpm::ClockInfo clock, tpm_.ReadClock());
  ASSAY_ASSIGN(const Values present, pcr_.Read());
  looked_ = std::chrono::steady_clock::now();
  if (!first_resets_) {
    first_resets_ = clock.reset_count;
  } else if (clock.restart_count != restarts_) {
    log::Info("recorder: the TPM was restarted or resumed");
  }
  resets_ = clock.reset_count;
  restarts_ = clock.restart_count;
  if (clock.reset_count != *first_resets_)
    return Fail(StateError(RecorderError::kPcrReset,
                           fmt::format("the TPM was reset {} time(s) while the attester runs",
                                       clock.reset_count - *first_resets_)));
  const Values values = ledger_.values();
  // The last record may already be in the PCR, because its extend had no answer.
  if (present == values || (tail_ && present == tail_->next)) return {};
  if (present == pcr_.Zero())
    return Fail(StateError(RecorderError::kPcrReset,
                           fmt::format("the TPM was reset: PCR {} is empty", options_.pcr)));
  const std::size_t bank = pcr_.list_bank();
  return Fail(
      StateError(RecorderError::kPcrForeign, fmt::format("PCR {} is {}, the list makes it {}", options_.pcr,
                                                         present[bank].hex(), values[bank].hex())));
}

Result<> Recorder::Impl::LookAfterAPause() {
  if (std::chrono::steady_clock::now() - looked_ < kPause) return {};
  return LookAtTpm();
}

// Called now and then. A machine that wakes up may have a TPM that was reset, and nothing need be recorded
// soon.
void Recorder::Impl::LookAfterASuspend() {
  const std::chrono::nanoseconds slept = Slept();
  if (slept - slept_ < kSuspended) return;
  slept_ = slept;
  const MutexLock lock(commit_);
  if (!health_.Good()) return;
  if (const Result<> looked = LookAtTpm(); !looked) static_cast<void>(health_.Disturb(looked.error()));
}

}  // namespace assay::measure
