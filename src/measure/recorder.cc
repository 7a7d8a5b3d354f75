#include "measure/recorder.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "measure/list_stream.h"
#include "measure/recorder_impl.h"
#include "measure/state_files.h"

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

constexpr char kForeign[] = "recorder.pcr-foreign";

Error Degraded(const Error& e) { return StateError("recorder.degraded", e.code() + ": " + e.Message()); }

}  // namespace

std::string_view ViolationName(Violation v) {
  switch (v) {
    case Violation::kOpenWriters:
      return "open_writers";
    case Violation::kToMToU:
      return "ToMToU";
    case Violation::kMprotect:
      return "mprotect";
    case Violation::kModifiedCode:
      return "modified_code";
    case Violation::kAnonymousCode:
      return "anonymous_code";
    case Violation::kWritableCode:
      return "writable_code";
    case Violation::kProcessAccess:
      return "process_access";
    case Violation::kRawDevice:
      return "raw_device";
    case Violation::kKernelMemory:
      return "kernel_memory";
    case Violation::kKexecLoad:
      return "kexec_load";
    case Violation::kUnanswered:
      return "unanswered";
    case Violation::kGuarded:
      return "guarded";
    case Violation::kUnmeasurable:
      break;
  }
  return "unmeasurable";
}

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

bool Recorder::Impl::Present(const Step& step) const {
  if (step.paths.empty()) return false;
  const auto found = last.find(step.paths.front().first);
  return found != last.end() && found->second == step.paths.front().second;
}

// Of the open group's record, or of the next one: what is in the list but not yet in the PCR counts.
std::uint64_t Recorder::Impl::NextNumber() const { return count + (tail ? 1 : 0); }

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

// Not written: the group waits for better days.
Result<> Recorder::Impl::WriteGroup() {
  if (group.empty()) return {};
  const Bytes data = ima::EncodeBuf(Hash(banks[list_bank], group), ima::kGroupName, group);
  Step step = MakeStep(kBuf, data, false);
  step.journal = group_step.journal;
  step.entries = group_step.entries;
  step.violations = group_step.violations;
  step.pending = PendingPath(count);
  ASSAY_TRY(Write(std::move(step)));
  group.clear();
  group_step = Step();
  pending.Reset();
  return {};
}

Result<> Recorder::Impl::Flush() {
  std::lock_guard lock(commit);
  if (const auto reason = Degradation()) return Fail(Degraded(*reason));
  {
    std::lock_guard open(grouping);
    ASSAY_TRY(WriteGroup());
  }
  return Finish();
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
    end = bytes + (tail ? tail->record.size() : 0);
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

// Nothing: the list is full, and what isn't kept is not grouped.
Result<std::optional<Recorded>> Recorder::Impl::AddToGroup(const Step& step, ByteView encoded,
                                                           const std::string& path) {
  const auto missed_for = [&](Error e) {
    Miss(path);
    return Fail(std::move(e));
  };
  while (true) {
    std::unique_lock open(grouping);
    if (const auto reason = Degradation()) return missed_for(Degraded(*reason));
    std::uint64_t number = 0;
    {
      std::lock_guard guard(look);
      if (Present(step)) return Recorded{.is_new = false, .index = count};
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

Result<Recorded> Recorder::Impl::AddAlone(Step step, const std::string& path) {
  std::lock_guard lock(commit);
  std::unique_lock open(grouping);
  if (const auto reason = Degradation()) {
    Miss(path);
    return Fail(Degraded(*reason));
  }
  {
    std::lock_guard guard(look);
    if (Present(step)) return Recorded{.is_new = false, .index = count};
  }
  Result<> done = WriteGroup();
  if (done) done = Finish();
  const std::uint64_t index = count;
  bool in_list = false;  // then Recover() sees to it
  if (done) {
    done = Write(std::move(step));
    in_list = done.has_value();
  }
  if (in_list) {
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
  const auto described = [&](Step step) {
    step.violations = violation ? 1 : 0;
    step.start = start;
    if (content) step.paths.push_back(*content);
    step.journal.push_back({.index = 0, .sub = 0, .context = context});
    return step;
  };
  Step step = described({});
  {
    std::lock_guard guard(look);
    if (Present(step) && !degraded) return Recorded{.is_new = false, .index = count};
  }
  if (grouped) {
    ASSAY_ASSIGN(const std::optional<Recorded> recorded,
                 AddToGroup(step, ima::EncodeGroup({{name, data}}), path));
    if (recorded) return *recorded;
  }
  return AddAlone(described(MakeStep(name, data, violation)), path);
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

// After a disturbance: is the TPM back with the PCR that the list explains, and is there room to go on?
Result<> Recorder::Impl::Resume() {
  Result<Values> present = ReadPcr();
  if (!present) {
    ASSAY_TRY(tpm->Reconnect());
    present = ReadPcr();
  }
  ASSAY_TRY(present);
  const std::uint64_t end = bytes + (tail && tail->kept ? tail->record.size() : 0);
  if (ftruncate(list.get(), static_cast<off_t>(end)) != 0) return Fail(OsError("ftruncate", "list", errno));
  ASSAY_TRY(Reserve(end));
  if (tail && *present == values) {
    ASSAY_TRY(tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, tail->extends));
  } else if (*present != (tail ? tail->next : values)) {
    const bool reset =
        std::all_of(present->begin(), present->end(), [](const Digest& v) { return v.AllBytes(0); });
    if (reset) return Fail(StateError("recorder.pcr-reset", "the TPM was reset: start anew"));
    return Fail(StateError(kForeign, "something else extended the PCR beside this list"));
  }
  if (tail) Settle();
  return {};
}

Recorder::Recorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Recorder::~Recorder() {
  {
    std::lock_guard open(impl_->grouping);
    impl_->stop = true;
  }
  impl_->group_opened.notify_all();
  if (impl_->timer.joinable()) impl_->timer.join();
  if (impl_->Degradation()) return;
  if (auto r = impl_->Flush(); !r) log::Error("recorder: at the end: {}", r.error().Message());
}

Result<std::unique_ptr<Recorder>> Recorder::Open(RecorderOptions options, tpm::Tpm& tpm) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->tpm = &tpm;
  {
    std::lock_guard lock(impl->commit);
    ASSAY_TRY(impl->Start());
  }
  impl->timer = std::thread([raw = impl.get()] { raw->TimerLoop(); });
  return std::unique_ptr<Recorder>(new Recorder(std::move(impl)));
}

Result<Recorded> Recorder::Record(const Measurement& m) {
  Impl& d = *impl_;
  const bool grouped =
      !d.options.synchronous && (m.context.late || (d.options.known && d.options.known(m.digest)));
  const Key content = d.ContentKey(m.digest.view());
  const std::string& cgroup = m.context.cgroup;
  if (m.with_cgroup)
    return d.Add(ima::kNgCgroupName, ima::EncodeNgCgroup(m.digest, m.path, cgroup), false, grouped,
                 std::pair{d.PathKey(m.path, cgroup), content}, m.context, m.path, false);
  return d.Add(kNg, ima::EncodeNg(m.digest, m.path), false, grouped, std::pair{d.PathKey(m.path), content},
               m.context, m.path, false);
}

Result<Recorded> Recorder::RecordViolation(Violation v, const std::string& path, const Context& context) {
  Impl& d = *impl_;
  Context named = context;
  named.hook = ViolationName(v);
  const Digest none = Digest::Filled(d.options.list_bank, 0);
  const bool grouped = context.late && !d.options.synchronous;
  return d.Add(kNg, ima::EncodeNg(none, path), true, grouped, std::pair{d.PathKey(path), d.ContentKey({})},
               named, path, false);
}

Result<Recorded> Recorder::RecordBuffer(const std::string& name, ByteView buffer, const Context& context) {
  const Digest digest = Hash(impl_->options.list_bank, buffer);
  return impl_->Add(kBuf, ima::EncodeBuf(digest, name, buffer), false, false, std::nullopt, context, name,
                    name == kStartName);
}

Result<> Recorder::Flush() { return impl_->Flush(); }

RecorderState Recorder::State() const {
  const Impl& d = *impl_;
  std::lock_guard guard(d.look);
  RecorderState s;
  s.count = d.count;
  s.entries = d.entries;
  s.violations = d.violations;
  s.overflow = d.overflow;
  s.gaps = d.starts > 0 ? d.starts - 1 : 0;
  s.degraded = d.degraded.has_value();
  if (d.degraded) s.degraded_reason = d.degraded->code() + ": " + d.degraded->Message();
  s.list_bytes = d.bytes;
  s.journal_bytes = d.journal_bytes;
  for (std::size_t i = 0; i < d.banks.size(); ++i) s.pcr_values.emplace_back(d.banks[i], d.values[i]);
  return s;
}

Result<> Recorder::Quiesce(const std::function<Result<>(const RecorderState&)>& fn) {
  Impl& d = *impl_;
  std::lock_guard lock(d.commit);
  const std::optional<Error> reason = d.Degradation();
  const bool foreign = reason && reason->code() == kForeign;
  if (reason && !foreign) return Fail(Degraded(*reason));
  if (!foreign) {
    {
      std::lock_guard open(d.grouping);
      ASSAY_TRY(d.WriteGroup());
    }
    ASSAY_TRY(d.Finish());
    // Growth of the kernel's own list beside ours, or anything else that extends our PCR, shows here at the
    // latest.
    const Result<Values> present = d.ReadPcr();
    if (!present) return Fail(d.Disturbed(present.error()));
    if (*present != d.values)
      static_cast<void>(d.Disturbed(
          StateError(kForeign, fmt::format("PCR {} is {}, the list makes it {}", d.options.pcr,
                                           (*present)[d.list_bank].hex(), d.values[d.list_bank].hex()))));
  }
  RecorderState s = State();
  s.checkpoints = d.checkpoints.All();
  return fn(s);
}

Result<> Recorder::Recover() {
  Impl& d = *impl_;
  std::vector<std::string> missed;
  std::uint64_t more = 0;
  {
    std::lock_guard lock(d.commit);
    std::lock_guard open(d.grouping);
    if (!d.Degradation()) return {};
    if (auto r = d.Resume(); !r) return Fail(d.Disturbed(r.error()));
    std::lock_guard guard(d.look);
    d.degraded.reset();
    missed.swap(d.missed);
    more = std::exchange(d.missed_more, 0);
  }
  if (more > 0) missed.push_back(fmt::format("({} more)", more));
  // What can't be recorded now, because the disturbance is back, is missed again by Add(), and said next
  // time.
  const Context context{.time_ms = 0, .pid = getpid(), .uid = 0, .comm = "assayd", .hook = ""};
  Result<> all;
  for (const std::string& path : missed)
    if (auto r = RecordViolation(Violation::kUnmeasurable, path, context); !r) all = Fail(r.error());
  return all;
}

Result<UniqueFd> Recorder::OpenList() const { return assay::Open(impl_->File("list"), O_RDONLY); }
Result<UniqueFd> Recorder::OpenJournal() const { return assay::Open(impl_->File("journal"), O_RDONLY); }

Result<std::uint64_t> Recorder::OffsetOf(std::uint64_t record) const {
  const Impl& d = *impl_;
  ListPlace from;
  std::uint64_t end = 0;
  {
    std::lock_guard guard(d.look);
    if (record > d.count) return Fail(UsageError("no such record yet"));
    if (record == d.count) return d.bytes;
    const std::uint64_t nearest = record / kOffsetStride;
    from = {.offset = d.offsets[nearest], .index = nearest * kOffsetStride};
    end = d.bytes;
  }
  ASSAY_ASSIGN(const UniqueFd fd, OpenList());
  ListStream stream(fd.get(), d.options.list_bank, from, end);
  while (stream.place().index < record) {
    ASSAY_ASSIGN(const std::optional<ima::RecordView> view, stream.Next());
    if (!view) return Fail(StateError("recorder.list", "the list ends early"));
  }
  return stream.place().offset;
}

int Recorder::GrowthFd() const { return impl_->growth.get(); }
const RecorderOptions& Recorder::options() const { return impl_->options; }
std::uint32_t Recorder::Pcr() const { return impl_->options.pcr; }
HashAlg Recorder::ListBank() const { return impl_->options.list_bank; }

}  // namespace assay::measure
