// The recorder's work: records and groups on their way into the list and the PCR.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "measure/record/recorder_impl.h"
#include "measure/record/state_files.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxMissed = 1000;       // paths that are named after a disturbance; more are counted
constexpr std::size_t kRecordOverhead = 4096;  // of a group's record over the group's bytes, at most
constexpr Key kViolationKey{.a = 0, .b = 0};

Key KeyOf(ByteView salt, std::string_view kind, ByteView bytes) {
  const Digest digest = Hash(HashAlg::kSha256, Writer().Put(salt).Put(kind).Put(bytes).bytes());
  Key k;
  std::memcpy(&k, digest.view().data(), sizeof(k));
  return k;
}

}  // namespace

Error Degraded(const Error& e) { return StateError("recorder.degraded", e.code() + ": " + e.Message()); }

Key Recorder::Impl::PathKey(std::string_view path, std::optional<std::string_view> cgroup) const {
  std::string name(path);
  // No path has a NUL: nothing else has this name.
  if (cgroup) name.append(1, '\0').append(*cgroup);
  // As it stands in the list, so that a restart finds the same.
  std::replace(name.begin(), name.end(), ' ', '_');
  return KeyOf(salt, "path", AsBytes(name));
}

// An empty digest: the path's last record is a violation.
Key Recorder::Impl::ContentKey(ByteView digest) const {
  return digest.empty() ? kViolationKey : KeyOf(salt, "content", digest);
}

// Never overwritten: two programs that take turns at one path's name are recorded once each.
std::pair<Key, Key> Recorder::Impl::ViolationContent(const ViolationRecord& r) const {
  const std::string name = r.violation + '\0' + r.program.ToString() + '\0' + r.path;
  return {KeyOf(salt, "violation", AsBytes(name)), kViolationKey};
}

Result<Values> Recorder::Impl::ReadPcr() {
  tpm::PcrSelection selection;
  for (const HashAlg bank : banks)
    selection.push_back({.bank = static_cast<std::uint16_t>(bank), .pcrs = {options.pcr}});
  ASSAY_ASSIGN(const tpm::PcrValues read, tpm->ReadPcrs(selection));
  Values out;
  for (const HashAlg bank : banks) {
    const auto found = read.find(static_cast<std::uint16_t>(bank));
    if (found == read.end() || !found->second.contains(options.pcr))
      return Fail(StateError("tpm.no-such-pcr", "a bank of the recorder's PCR is gone"));
    out.push_back(found->second.at(options.pcr));
  }
  return out;
}

Values Recorder::Impl::After(const Values& from, const Values& extends) const {
  Values out;
  for (std::size_t i = 0; i < from.size(); ++i) out.push_back(ExtendPcr(from[i], extends[i]));
  return out;
}

Step Recorder::Impl::MakeStep(std::string_view name, ByteView data, bool violation) const {
  Step step;
  step.violations = violation ? 1 : 0;
  for (const HashAlg bank : banks)
    step.extends.push_back(violation ? Digest::Filled(bank, 0xFF) : ima::TemplateDigest(bank, name, data));
  const Digest column = violation ? Digest::Filled(banks[list_bank], 0) : step.extends[list_bank];
  step.record = ima::EncodeRecord(options.pcr, column, name, data);
  return step;
}

// Bounded like the list: a path beyond that is recorded anew each time it is measured.
void Recorder::Impl::Learn(const std::pair<Key, Key>& content) {
  if (last.size() < options.max_records || last.contains(content.first)) last[content.first] = content.second;
}

bool Recorder::Impl::Present(const std::pair<Key, Key>& content) const {
  const auto found = last.find(content.first);
  return found != last.end() && found->second == content.second;
}

// Of the open group's record, or of the next one: what is in the list but not yet in the PCR counts.
std::uint64_t Recorder::Impl::NextNumber() const { return count + (tail ? 1 : 0); }

// Of the list, with what is not yet in the PCR; bytes.
std::uint64_t Recorder::Impl::End() const { return bytes + (tail && tail->kept ? tail->record.size() : 0); }

// A step is in the PCR, and in the list if it is kept: what is known follows.
void Recorder::Impl::Note(const Step& step) {
  if (step.kept) {
    if (count % kOffsetStride == 0) offsets.push_back(bytes);
    bytes += step.record.size();
    ++count;
    checkpoints.Add(count, step.next[list_bank]);
  } else if (overflow++ == 0) {
    log::Error("recorder: the list is full at {} records: a verifier can't tell any more", count);
  }
  values = step.next;
  entries += step.entries;
  violations += step.violations;
  starts += step.start ? 1 : 0;
  for (const auto& content : step.paths)
    if (!overtaken.contains(content.first)) Learn(content);
  overtaken.clear();
}

std::optional<Error> Recorder::Impl::Degradation() const {
  std::lock_guard guard(look);
  return degraded;
}

Error Recorder::Impl::Disturbed(const Error& e) {
  std::lock_guard guard(look);
  if (!degraded) log::Error("recorder: nothing is recorded any more: {} ({})", e.Message(), e.code());
  degraded = e;
  return Degraded(e);
}

// The list gets the record; of one that isn't kept, a file says what the PCR was and becomes
// (docs/formats/state.md).
Result<> Recorder::Impl::WriteAhead(const Step& step) {
  if (!step.kept) {
    OverflowState s{.overflow = overflow + 1,
                    .entries = entries + step.entries,
                    .violations = violations + step.violations,
                    .banks = {}};
    for (std::size_t i = 0; i < values.size(); ++i)
      s.banks.push_back({.before = values[i], .extend = step.extends[i]});
    ASSAY_TRY(Fault("overflow.write"));
    return WriteFileAtomic(File("overflow"), EncodeOverflow(s));
  }
  const auto write = [&]() -> Result<> {
    ASSAY_TRY(Fault("list.write"));
    return PWriteAll(list.get(), step.record, static_cast<off_t>(bytes));
  };
  Result<> written = write();
  if (!written && ftruncate(list.get(), static_cast<off_t>(bytes)) != 0)
    log::Error("recorder: the list keeps a torn tail: {}", OsError("ftruncate", "list", errno).Message());
  return written;
}

Result<> Recorder::Impl::Write(Step step) {
  step.next = After(values, step.extends);
  step.kept = overflow == 0 && count < options.max_records;
  if (auto r = WriteAhead(step); !r) return Fail(Disturbed(r.error().In("writing the list")));
  std::lock_guard guard(look);
  tail = std::move(step);
  return {};
}

Result<> Recorder::Impl::Finish() {
  if (!tail) return {};
  const auto extend = [&]() -> Result<> {
    ASSAY_TRY(Fault("list.written"));
    ASSAY_TRY(tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, tail->extends));
    return Fault("extended");
  };
  if (auto r = extend(); !r) return Fail(Disturbed(r.error()));
  Settle();
  return {};
}

Result<> Recorder::Impl::Commit(Step step) {
  ASSAY_TRY(Write(std::move(step)));
  return Finish();
}

// The tail is in the PCR: its context follows, and what is known.
void Recorder::Impl::Settle() {
  std::uint64_t journal_end = journal_bytes;
  if (tail->kept && !tail->journal.empty()) {
    Bytes lines;
    for (JournalEntry& e : tail->journal) {
      e.index = count;
      const Bytes line = EncodeJournal(e);
      lines.insert(lines.end(), line.begin(), line.end());
    }
    // Context is a help, not evidence of its own: a full tmpfs costs it, and only it.
    if (auto r = PWriteAll(journal.get(), lines, static_cast<off_t>(journal_bytes)); !r) {
      log::Warn("recorder: context lost: {}", r.error().Message());
      if (ftruncate(journal.get(), static_cast<off_t>(journal_bytes)) != 0)
        log::Warn("{}", OsError("ftruncate", "journal", errno).Message());
    } else {
      journal_end += lines.size();
    }
  }
  std::string done;
  {
    std::lock_guard guard(look);
    Note(*tail);
    journal_bytes = journal_end;
    done = std::move(tail->pending);
    tail.reset();
  }
  // A group's file carries its record's number: left behind by a kill, it is known to be committed.
  if (!done.empty() && unlink(done.c_str()) != 0) log::Warn("{}", OsError("unlink", done, errno).Message());
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(growth.get(), &one, sizeof(one));
  std::ignore = Fault("noted");
}

// The next record: a group.
Step Recorder::Impl::MakeGroupStep(ByteView encoded) const {
  Step step =
      MakeStep(kBuf, ima::EncodeBuf(Hash(banks[list_bank], encoded), ima::kGroupName, encoded), false);
  step.pending = PendingPath(count);
  return step;
}

// Not written: the group waits for better days.
Result<> Recorder::Impl::WriteGroup() {
  if (group.empty()) return {};
  Step step = MakeGroupStep(group);
  step.journal = group_step.journal;
  step.entries = group_step.entries;
  step.violations = group_step.violations;
  ASSAY_TRY(Write(std::move(step)));
  group.clear();
  group_step = Step();
  pending.Reset();
  return {};
}

Result<> Recorder::Impl::CommitGroup() {
  {
    std::lock_guard open(grouping);
    ASSAY_TRY(WriteGroup());
  }
  return Finish();
}

Result<> Recorder::Impl::Flush() {
  std::lock_guard lock(commit);
  if (const auto reason = Degradation()) return Fail(Degraded(*reason));
  return CommitGroup();
}

// Room in the list for a group's record, so that what a pending file vouches for can always be committed.
Result<> Recorder::Impl::Reserve(std::uint64_t from) {
  const auto size = static_cast<off_t>(options.group_bytes + kRecordOverhead);
  if (fallocate(list.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), size) != 0 && errno != EOPNOTSUPP)
    return Fail(OsError("fallocate", "list", errno));
  return {};
}

// Puts an entry into the open group.
Result<> Recorder::Impl::Append(Step step, ByteView encoded) {
  std::uint64_t number = 0, end = 0;
  {
    std::lock_guard guard(look);
    number = NextNumber();
    end = End();
  }
  auto write = [&]() -> Result<> {
    if (!pending) {
      ASSAY_TRY(Reserve(end));
      ASSAY_ASSIGN(pending, assay::Open(PendingPath(number), O_RDWR | O_CREAT | O_TRUNC));
    }
    ASSAY_TRY(Fault("pending.write"));
    return PWriteAll(pending.get(), encoded, static_cast<off_t>(group.size()));
  };
  if (auto r = write(); !r) {
    if (group.empty()) {  // no file may stay under a number that another record will have
      pending.Reset();
      unlink(PendingPath(number).c_str());
    } else if (ftruncate(pending.get(), static_cast<off_t>(group.size())) != 0) {
      log::Error("recorder: a pending group keeps a torn tail");
    }
    return Fail(Disturbed(r.error().In("writing the pending group")));
  }
  const bool opened = group.empty();
  if (opened) {
    group_since = std::chrono::steady_clock::now();
    group_step.entries = 0;
    group_step.violations = 0;
  }
  group.insert(group.end(), encoded.begin(), encoded.end());
  for (JournalEntry& e : step.journal) {
    e.sub = static_cast<std::uint32_t>(group_step.entries);
    group_step.journal.push_back(std::move(e));
  }
  ++group_step.entries;
  group_step.violations += step.violations;
  {
    // The write-ahead file vouches for it from here on.
    std::lock_guard guard(look);
    for (const auto& content : step.paths) {
      Learn(content);
      if (tail) overtaken.insert(content.first);
    }
  }
  if (opened) group_opened.notify_all();
  std::ignore = Fault("pending.written");
  return {};
}

void Recorder::Impl::Miss(const std::string& path) {
  std::lock_guard guard(look);
  if (missed.size() < kMaxMissed)
    missed.push_back(path);
  else
    ++missed_more;
}

// Asked again under the lock that orders it: is there anything to do, and can it be done?
Result<std::optional<Recorded>> Recorder::Impl::Known(const Step& step, const std::string& path) {
  if (const auto reason = Degradation()) {
    Miss(path);
    return Fail(Degraded(*reason));
  }
  std::lock_guard guard(look);
  if (step.paths.empty() || !Present(step.paths.front())) return std::optional<Recorded>();
  return Recorded{.is_new = false, .index = count};
}

// Nothing: the list is full, and what isn't kept is not grouped.
Result<std::optional<Recorded>> Recorder::Impl::AddToGroup(const Step& step, ByteView encoded,
                                                           const std::string& path) {
  const auto missed_for = [&](Error e) {
    Miss(path);
    return Fail(std::move(e));
  };
  while (true) {
    std::unique_lock open(grouping);
    ASSAY_ASSIGN(const std::optional<Recorded> known, Known(step, path));
    if (known) return known;
    std::uint64_t number = 0;
    {
      std::lock_guard guard(look);
      number = NextNumber();
      if (overflow > 0 || number >= options.max_records) return std::optional<Recorded>();
    }
    if (group.empty() || group.size() + encoded.size() <= options.group_bytes) {
      if (auto r = Append(step, encoded); !r) return missed_for(r.error());
      return Recorded{.is_new = true, .index = number};
    }
    open.unlock();
    if (auto r = Flush(); !r) return missed_for(r.error());
  }
}

// beside: a record that follows at once; nothing comes between, not even a group.
Result<Recorded> Recorder::Impl::AddAlone(Step step, const std::string& path, std::optional<Step> beside) {
  std::lock_guard lock(commit);
  std::unique_lock open(grouping);
  ASSAY_ASSIGN(const std::optional<Recorded> known, Known(step, path));
  if (known) return *known;
  Result<> done = WriteGroup();
  if (done) done = Finish();
  const std::uint64_t index = count;
  bool in_list = false;  // then Recover() sees to it
  if (done) {
    done = Write(std::move(step));
    in_list = done.has_value();
  }
  if (done && beside) {
    done = Finish();
    if (done) done = Write(std::move(*beside));
  }
  if (done) {
    open.unlock();
    done = Finish();
  }
  if (!done) {
    if (!in_list) Miss(path);
    return Fail(done.error());
  }
  return Recorded{.is_new = true, .index = index};
}

Result<Recorded> Recorder::Impl::Add(std::string_view name, const Bytes& data, bool violation, bool grouped,
                                     std::optional<std::pair<Key, Key>> content, const Context& context,
                                     const std::string& path, bool start) {
  if (content) {
    std::lock_guard guard(look);
    if (Present(*content) && !degraded) return Recorded{.is_new = false, .index = count};
  }
  const auto described = [&](Step step) {
    step.violations = violation ? 1 : 0;
    step.start = start;
    if (content) step.paths.push_back(*content);
    step.journal.push_back({.index = 0, .sub = 0, .context = context});
    return step;
  };
  if (grouped) {
    ASSAY_ASSIGN(const std::optional<Recorded> recorded,
                 AddToGroup(described({}), ima::EncodeGroup({{name, data}}), path));
    if (recorded) return *recorded;
  }
  return AddAlone(described(MakeStep(name, data, violation)), path);
}

// A violation and who did it, one record after the other.
Result<Recorded> Recorder::Impl::AddWithProgram(ViolationRecord record, const Context& context) {
  std::replace(record.path.begin(), record.path.end(), ' ', '_');
  const std::pair<Key, Key> content = ViolationContent(record);
  {
    std::lock_guard guard(look);
    if (Present(content) && !degraded) return Recorded{.is_new = false, .index = count};
  }
  const Digest none = Digest::Filled(options.list_bank, 0);
  Step step = MakeStep(kNg, ima::EncodeNg(none, record.path), true);
  step.paths.push_back(content);
  step.journal.push_back({.index = 0, .sub = 0, .context = context});
  const std::string buffer = EncodeViolation(record);
  const Digest digest = Hash(options.list_bank, AsBytes(buffer));
  Step beside = MakeStep(kBuf, ima::EncodeBuf(digest, kViolationRecord, AsBytes(buffer)), false);
  beside.journal.push_back({.index = 0, .sub = 0, .context = context});
  return AddAlone(std::move(step), record.path, std::move(beside));
}

void Recorder::Impl::TimerLoop() {
  std::unique_lock open(grouping);
  const auto open_for = std::chrono::milliseconds(options.group_ms);
  while (!stop) {
    if (group.empty() || Degradation()) {
      group_opened.wait_for(open, std::chrono::milliseconds(500));
      continue;
    }
    const auto due = group_since + open_for;
    if (std::chrono::steady_clock::now() < due) {
      group_opened.wait_until(open, due);
      continue;
    }
    open.unlock();
    if (auto r = Flush(); !r) log::Error("recorder: {}", r.error().Message());
    open.lock();
  }
}

}  // namespace assay::measure
