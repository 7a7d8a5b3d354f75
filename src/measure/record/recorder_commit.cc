// The recorder's work: records and groups on their way into the list and the PCR.
#include <unistd.h>

#include <chrono>
#include <tuple>

#include "base/log.h"
#include "list/path_text.h"
#include "measure/record/errors.h"
#include "measure/record/recorder_impl.h"
#include "measure/record/recorder_start.h"
#include "measure/record/state_files.h"

namespace assay::measure {

Result<> Recorder::Impl::Start(std::shared_ptr<ListLock> lock_of_list) {
  {
    const MutexLock lock(commit_);
    const MutexLock open(group_.mutex);
    ASSAY_TRY(pcr_.Start(tpm_, options_.pcr, options_.list_bank));
    ASSAY_TRY(contents_.Start());
    ASSAY_TRY(files_.Open(options_.dir, std::move(lock_of_list)));
    Reconciliation start({options_, pcr_, files_, contents_, ledger_});
    ASSAY_ASSIGN(std::optional<Step> first, start.Reconcile());
    if (first) ASSAY_TRY(Commit(std::move(*first)));
    ASSAY_ASSIGN(std::optional<Step> pending, start.PendingGroup());
    if (pending) ASSAY_TRY(Commit(std::move(*pending)));
    ASSAY_ASSIGN(const Values present, pcr_.Read());
    if (present != ledger_.values())
      return Fail(
          StateError(RecorderError::kPcrUnexplained, "the PCR changed while the list was being reconciled"));
    ASSAY_TRY(LookAtTpm());
  }
  timer_ = Thread("assay-group", [this] { TimerLoop(); });
  return {};
}

Result<> Recorder::Impl::Begin(std::shared_ptr<ListLock> lock, const std::function<Result<>()>& first) {
  beginning_.ByThisThread();
  const auto begin = [&]() -> Result<> {
    ASSAY_TRY(Start(std::move(lock)));
    return first();
  };
  Result<> begun = begin();
  beginning_.Done(begun);
  return begun;
}

// Writes the record to the list. For a record that isn't kept, it writes a file that says what the PCR was
// and what it becomes (docs/formats/state.md).
Result<> Recorder::Impl::WriteAhead(const Step& step) {
  const Ledger::Totals now = ledger_.totals();
  if (!step.kept) {
    OverflowState s{.overflow = now.overflow + 1,
                    .entries = now.entries + step.entries,
                    .violations = now.violations + step.violations,
                    .banks = {}};
    const Values values = ledger_.values();
    for (std::size_t i = 0; i < values.size(); ++i)
      s.banks.push_back({.before = values[i], .extend = step.extends[i]});
    ASSAY_TRY(FaultAt(options_, "overflow.write"));
    return WriteFileAtomic(files_.Path("overflow"), EncodeOverflow(s));
  }
  const auto write = [&]() -> Result<> {
    ASSAY_TRY(FaultAt(options_, "list.write"));
    return PWriteAll(files_.list(), step.record, static_cast<off_t>(now.bytes));
  };
  Result<> written = write();
  if (written) return written;
  if (auto r = files_.Truncate(now.bytes); !r)
    log::Error("recorder: the list keeps a torn tail: {}", r.error().Message());
  return written;
}

Result<> Recorder::Impl::Write(Step step) {
  if (first_resets_)  // not yet at the start, which compares by itself
    if (auto r = LookAfterAPause(); !r) return Fail(health_.Disturb(r.error()));
  const Ledger::Position at = ledger_.Next();
  step.next = RecorderPcr::After(ledger_.values(), step.extends);
  step.kept = !at.overflown && at.number < options_.max_records;
  if (auto r = WriteAhead(step); !r) return Fail(health_.Disturb(r.error().In("writing the list")));
  contents_.Begin(step.contents);
  ledger_.Begin(step);
  tail_ = std::move(step);
  return {};
}

Result<> Recorder::Impl::Finish() {
  if (!tail_) return {};
  if (auto r = FaultAt(options_, "list.written"); !r) return Fail(health_.Disturb(r.error()));
  if (auto r = pcr_.Extend(tail_->extends); !r) return Fail(health_.Disturb(r.error()));
  if (auto r = FaultAt(options_, "extended"); !r) return Fail(health_.Disturb(r.error()));
  Settle();
  return {};
}

Result<> Recorder::Impl::Commit(Step step) {
  ASSAY_TRY(Write(std::move(step)));
  return Finish();
}

// Writes the tail's context. The context is no evidence of its own, so on a full tmpfs it is lost, and
// nothing else is.
void Recorder::Impl::WriteJournal() {
  if (!tail_->kept || tail_->journal.empty()) return;
  const Ledger::Totals now = ledger_.totals();
  Bytes lines;
  for (JournalEntry& e : tail_->journal) {
    e.index = now.count;
    const Bytes line = EncodeJournal(e);
    lines.insert(lines.end(), line.begin(), line.end());
  }
  if (auto r = PWriteAll(files_.journal(), lines, static_cast<off_t>(now.journal_bytes)); !r) {
    log::Warn("recorder: context lost: {}", r.error().Message());
    if (ftruncate(files_.journal(), static_cast<off_t>(now.journal_bytes)) != 0)
      log::Warn("{}", OsError("ftruncate", "journal", errno).Message());
    return;
  }
  ledger_.SetJournalBytes(now.journal_bytes + lines.size());
}

// The tail is in the PCR.
void Recorder::Impl::Settle() {
  WriteJournal();
  ledger_.Settle(*tail_);
  contents_.Settle();
  const std::string done = std::move(tail_->pending);
  tail_.reset();
  // The file's name has the number of the group's record, so a file that a kill leaves behind is known to be
  // committed.
  if (!done.empty() && unlink(done.c_str()) != 0) log::Warn("{}", OsError("unlink", done, errno).Message());
  files_.TellGrowth();
  std::ignore = FaultAt(options_, "noted");
}

// If the write fails because the tmpfs is full, the group stays open and is written later.
Result<> Recorder::Impl::WriteGroup() {
  if (group_.empty()) return {};
  ASSAY_TRY(Write(group_.MakeStep(pcr_, ledger_.Next().number)));
  group_.Clear();
  return {};
}

Result<> Recorder::Impl::CommitGroup() {
  {
    const MutexLock open(group_.mutex);
    ASSAY_TRY(WriteGroup());
  }
  return Finish();
}

Result<> Recorder::Impl::Flush() {
  const MutexLock lock(commit_);
  if (const auto reason = health_.Reason()) return Fail(Degraded(*reason));
  return CommitGroup();
}

// After a disturbance, checks that the TPM is back with the PCR that the list explains, and that there is
// room to go on.
Result<> Recorder::Impl::Resume() {
  Result<> looked = LookAtTpm();
  if (!looked && !looked.error().Code<RecorderError>()) {
    ASSAY_TRY(pcr_.Reconnect());
    looked = LookAtTpm();
  }
  ASSAY_TRY(looked);
  const std::uint64_t end = ledger_.Next().offset;
  ASSAY_TRY(files_.Truncate(end));
  ASSAY_TRY(files_.Reserve(end, GroupRoom(options_)));
  if (!tail_) return {};
  ASSAY_ASSIGN(const Values present, pcr_.Read());
  if (present == ledger_.values()) ASSAY_TRY(pcr_.Extend(tail_->extends));
  Settle();
  return {};
}

// Checks again, under the lock that orders the records, whether the content is already recorded and whether
// recording is possible.
Result<std::optional<Recorded>> Recorder::Impl::Known(const Step& step, const std::string& path) {
  if (const auto reason = health_.Reason()) {
    health_.Miss(path);
    return Fail(Degraded(*reason));
  }
  if (step.contents.empty()) return std::optional<Recorded>();
  const std::optional<std::uint64_t> record = contents_.Find(step.contents.front());
  if (!record) return std::optional<Recorded>();
  return Recorded{.is_new = false, .index = *record};
}

// Returns no value if the list is full, because records that aren't kept are not grouped.
Result<std::optional<Recorded>> Recorder::Impl::AddToGroup(Step step, ByteView encoded,
                                                           const std::string& path) {
  const auto missed = [&](Error e) {
    health_.Miss(path);
    return Fail(std::move(e));
  };
  while (true) {
    {
      const MutexLock open(group_.mutex);
      ASSAY_ASSIGN(const std::optional<Recorded> known, Known(step, path));
      if (known) return known;
      const Ledger::Position at = ledger_.Next();
      if (at.overflown || at.number >= options_.max_records) return std::optional<Recorded>();
      if (group_.HasRoom(encoded.size())) {
        if (auto r = group_.Append(encoded, step, at); !r)
          return missed(health_.Disturb(r.error().In("writing the pending group")));
        // From here on the write-ahead file makes sure that the entry is not lost.
        for (Content& c : step.contents) c.record = at.number;
        contents_.Learn(step.contents);
        std::ignore = FaultAt(options_, "pending.written");
        return Recorded{.is_new = true, .index = at.number};
      }
    }
    if (auto r = Flush(); !r) return missed(r.error());
  }
}

Result<Recorded> Recorder::Impl::AddAlone(Step step, const std::string& path, std::optional<Step> beside) {
  const MutexLock lock(commit_);
  Recorded recorded{.is_new = true, .index = 0};
  bool in_list = false;  // if so, Recover() completes it
  Result<> done;
  {
    const MutexLock open(group_.mutex);
    ASSAY_ASSIGN(const std::optional<Recorded> known, Known(step, path));
    if (known) return *known;
    done = WriteGroup();
    if (done) done = Finish();
    if (done) {
      recorded.index = ledger_.Next().number;
      for (Content& c : step.contents) c.record = recorded.index;
      done = Write(std::move(step));
      in_list = done.has_value();
    }
    if (done && beside) {
      done = Finish();
      if (done) done = Write(std::move(*beside));
    }
  }
  if (done) done = Finish();
  if (done) return recorded;
  if (!in_list) health_.Miss(path);
  return Fail(done.error());
}

Result<Recorded> Recorder::Impl::Add(const NewRecord& record) {
  if (record.content && health_.Good())
    if (const auto known = contents_.Find(*record.content)) return Recorded{.is_new = false, .index = *known};
  const auto described = [&](Step step) {
    if (record.content) step.contents.push_back(*record.content);
    step.journal.push_back({.index = 0, .sub = 0, .context = record.context});
    return step;
  };
  if (record.when == NewRecord::When::kInGroup) {
    Step entry;
    entry.violations = record.meaning == Meaning::kViolation ? 1 : 0;
    const std::string_view name = ima::TemplateName(record.record_template);
    ASSAY_ASSIGN(
        const std::optional<Recorded> recorded,
        AddToGroup(described(std::move(entry)), ima::EncodeGroup({{name, record.data}}), record.path));
    if (recorded) return *recorded;
  }
  return AddAlone(described(pcr_.MakeStep(record.record_template, record.data, record.meaning)), record.path,
                  record.beside);
}

// The record that says more of the one before it.
Step Recorder::Impl::Beside(std::string_view name, const std::string& buffer, const Context& context) {
  const Digest digest = Hash(kFileHash, AsBytes(buffer));
  Step beside =
      pcr_.MakeStep(ima::Template::kBuf, ima::EncodeBuf(digest, name, AsBytes(buffer)), Meaning::kContent);
  beside.journal.push_back({.index = 0, .sub = 0, .context = context});
  return beside;
}

// Records a violation, and directly after it the record that names the program.
Result<Recorded> Recorder::Impl::AddWithProgram(ViolationRecord record, const Context& context) {
  record.path = ima::PathText(std::move(record.path));
  const Content content = contents_.OfProgram(record);
  if (health_.Good())
    if (const auto known = contents_.Find(content)) return Recorded{.is_new = false, .index = *known};
  const Digest none = Digest::Filled(kFileHash, 0);
  Step step = pcr_.MakeStep(ima::Template::kNg, ima::EncodeNg(none, record.path), Meaning::kViolation);
  step.contents.push_back(content);
  step.journal.push_back({.index = 0, .sub = 0, .context = context});
  return AddAlone(std::move(step), record.path, Beside(kViolationRecord, EncodeViolation(record), context));
}

// Commits the group when its time is over. While there is no group, or nothing can be recorded, it looks
// twice a second whether the machine has slept.
void Recorder::Impl::TimerLoop() {
  MutexLock open(group_.mutex);
  while (!group_.stopped()) {
    if (group_.empty() || !health_.Good()) {
      group_.changed.WaitFor(group_.mutex, std::chrono::milliseconds(500));
      open.Unlock();
      LookAfterASuspend();
      open.Lock();
      continue;
    }
    if (OpenGroup::Clock::now() < group_.Due()) {
      group_.changed.WaitUntil(group_.mutex, group_.Due());
      continue;
    }
    open.Unlock();
    if (auto r = Flush(); !r) log::Error("recorder: {}", r.error().Message());
    open.Lock();
  }
}

}  // namespace assay::measure
