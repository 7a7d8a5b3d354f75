// Internal: the recorder's work, put together from its parts: recorder.cc (what is recorded),
// recorder_commit.cc (records and groups on their way), recorder_reset.cc (whether the TPM was reset) and
// recorder_start.h (start and reconciliation).
//
//   // given: auto& impl, const Measurement& m
//   ASSAY_TRY(impl.Start());             // reconciles list and PCR
//   ASSAY_ASSIGN(const Recorded recorded, impl.Record(m));
//   ASSAY_TRY(impl.Flush());             // the open group is in the list and extended
//   if (recorded.is_new) log::Info("record {}", recorded.index);
//
// Contract: `commit_` is held from a record's writing to the end of its extend, and is taken before the
// group's mutex (open_group.h says what that guards). Entries of a group wait for no extend and no quote, but
// for the extend of a group that a record on its own closes: nothing may come between the two. Ledger,
// contents and health have locks of their own, which are held over no call of another part. After an error,
// `tail_` tells whether the step is in the list (and perhaps in the PCR: Recover() finds out) or nowhere.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "measure/record/contents.h"
#include "measure/record/ledger.h"
#include "measure/record/open_group.h"
#include "measure/record/recorder.h"
#include "measure/record/recorder_files.h"
#include "measure/record/recorder_health.h"
#include "measure/record/recorder_pcr.h"

namespace assay::measure {

inline constexpr std::string_view kStartName = "assay-start";

// What is to be recorded.
struct NewRecord {
  enum class When { kAtOnce, kInGroup };  // kInGroup: in the open group, unless the list is full
  ima::Template record_template = ima::Template::kNg;
  Bytes data;  // of the template
  Meaning meaning = Meaning::kContent;
  When when = When::kAtOnce;
  std::optional<Content> content{};  // if it is given, the same content is recorded once
  std::string path;                  // kept for later if it can't be recorded now
  Context context;
  std::optional<Step> beside{};  // of a record at once: what follows it
};

// Whether a recorder has begun. What comes earlier waits, but for the thread that begins it.
class Beginning {
 public:
  Result<> Wait() {
    if (state_ == State::kBegun) return {};
    MutexLock lock(mutex_);
    if (beginner_ == gettid()) return {};
    while (state_ == State::kAwaited) changed_.Wait(mutex_);
    return state_ == State::kBegun ? Result<>() : Fail(*error_);
  }
  void Await() { state_ = State::kAwaited; }
  void ByThisThread() {
    const MutexLock lock(mutex_);
    beginner_ = gettid();
  }
  void Done(const Result<>& outcome) {
    const MutexLock lock(mutex_);
    beginner_ = 0;
    if (!outcome) error_ = outcome.error();
    state_ = outcome ? State::kBegun : State::kFailed;
    changed_.NotifyAll();
  }

 private:
  enum class State { kBegun, kAwaited, kFailed };
  std::atomic<State> state_{State::kBegun};  // read without the mutex where nothing is awaited
  Mutex mutex_;
  CondVar changed_;
  pid_t beginner_ ASSAY_GUARDED_BY(mutex_) = 0;
  std::optional<Error> error_ ASSAY_GUARDED_BY(mutex_);
};

class Recorder::Impl {
 public:
  Impl(RecorderOptions options, tpm::Tpm& tpm);
  ~Impl();
  Result<> Start(std::shared_ptr<ListLock> lock);
  Result<> Begin(std::shared_ptr<ListLock> lock, const std::function<Result<>()>& first);
  Beginning& beginning() { return beginning_; }

  Result<Recorded> Record(const Measurement& m);
  bool Has(const Measurement& m) const { return health_.Good() && contents_.Find(ContentOf(m)).has_value(); }
  Result<Recorded> RecordViolation(Violation v, const std::string& path, const Context& context,
                                   const std::optional<Digest>& program);
  Result<Recorded> RecordBuffer(const std::string& name, ByteView buffer, const Context& context);
  Result<> Flush();
  Result<> Quiesce(const std::function<Result<>(const RecorderState&)>& fn);
  Result<> Recover();
  RecorderState State() const;
  Result<std::uint64_t> OffsetOf(std::uint64_t record) const;
  const RecorderOptions& options() const { return options_; }
  const RecorderFiles& files() const { return files_; }
  HashAlg list_bank() const { return pcr_.list_alg(); }

 private:
  Content ContentOf(const Measurement& m) const;
  // recorder_commit.cc
  Result<> WriteAhead(const Step& step) ASSAY_REQUIRES(commit_);
  Result<> Write(Step step) ASSAY_REQUIRES(commit_, group_.mutex);
  Result<> WriteGroup() ASSAY_REQUIRES(commit_, group_.mutex);
  Result<> Finish() ASSAY_REQUIRES(commit_);
  Result<> Commit(Step step) ASSAY_REQUIRES(commit_, group_.mutex);
  Result<> CommitGroup() ASSAY_REQUIRES(commit_) ASSAY_EXCLUDES(group_.mutex);
  void Settle() ASSAY_REQUIRES(commit_);
  void WriteJournal() ASSAY_REQUIRES(commit_);
  Result<> Resume() ASSAY_REQUIRES(commit_, group_.mutex);
  Result<std::optional<Recorded>> Known(const Step& step, const std::string& path)
      ASSAY_REQUIRES(group_.mutex);
  Result<std::optional<Recorded>> AddToGroup(Step step, ByteView encoded, const std::string& path)
      ASSAY_EXCLUDES(commit_, group_.mutex);
  // beside: a record that follows at once; nothing comes between, not even a group.
  Result<Recorded> AddAlone(Step step, const std::string& path, std::optional<Step> beside = std::nullopt)
      ASSAY_EXCLUDES(commit_, group_.mutex);
  Step Beside(std::string_view name, const std::string& buffer, const Context& context);
  Result<Recorded> Add(const NewRecord& record) ASSAY_EXCLUDES(commit_, group_.mutex);
  Result<Recorded> AddViolation(const std::string& path, const Context& named)
      ASSAY_EXCLUDES(commit_, group_.mutex);
  Result<Recorded> AddWithProgram(ViolationRecord record, const Context& context)
      ASSAY_EXCLUDES(commit_, group_.mutex);
  // recorder_reset.cc
  Result<> LookAtTpm() ASSAY_REQUIRES(commit_);
  Result<> LookAfterAPause() ASSAY_REQUIRES(commit_);
  void LookAfterASuspend() ASSAY_EXCLUDES(commit_, group_.mutex);
  void TimerLoop();

  const RecorderOptions options_;
  tpm::Tpm& tpm_;
  Beginning beginning_;
  RecorderPcr pcr_;
  RecorderFiles files_;
  Contents contents_;
  Ledger ledger_;
  RecorderHealth health_;
  Mutex commit_ ASSAY_ACQUIRED_BEFORE(group_.mutex);
  OpenGroup group_;
  std::optional<Step> tail_
      ASSAY_GUARDED_BY(commit_);  // written, but it is not known whether it was extended
  std::optional<std::uint32_t> first_resets_ ASSAY_GUARDED_BY(commit_);     // the TPM's count at the start
  std::chrono::steady_clock::time_point looked_ ASSAY_GUARDED_BY(commit_);  // at the TPM
  std::chrono::nanoseconds slept_{0};                                       // the timer's alone
  std::atomic<std::uint32_t> resets_{0}, restarts_{0};                      // as the TPM said then
  Thread timer_;
};

}  // namespace assay::measure
