#include "measure/recorder.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/mapped.h"
#include "list/list.h"
#include "measure/journal.h"

namespace assay::measure {
namespace {

using Values = std::vector<Digest>;  // one for each active bank, in the TPM's order

constexpr std::size_t kExactCheckpoints = 256, kThinCheckpoints = 256;
constexpr std::uint64_t kOffsetStride = 64;
constexpr std::size_t kMaxMissed = 1000;  // paths that are named after a disturbance; more are counted
constexpr std::size_t kReplayTail =
    1;  // records that may be written and not extended: they are committed one by one
constexpr std::string_view kNg = "ima-ng", kBuf = "ima-buf";

struct Key {
  std::uint64_t a = 0, b = 0;
  friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
  std::size_t operator()(const Key& k) const noexcept { return k.a; }
};
Key KeyOf(ByteView bytes) {
  Key k;
  std::memcpy(&k, bytes.data(), std::min(bytes.size(), sizeof(k)));
  return k;
}
Key PathKey(std::string_view path) {
  std::string name(path);
  std::replace(name.begin(), name.end(), ' ',
               '_');  // as it stands in the list, so that a restart finds the same
  return KeyOf(Hash(HashAlg::kSha256, AsBytes(name)).view());
}
Key ViolationKey() { return {}; }

// One record on its way: what is written, and what the PCR becomes.
struct Step {
  Bytes record;
  Values extends, next;
  std::vector<std::pair<Key, Key>> paths;  // path -> content, once it is committed
  std::vector<JournalEntry> journal;       // index is set when committed
  std::uint64_t entries = 1;
  bool violation = false, start = false;
};

Error Degraded(const std::string& reason) { return StateError("recorder.degraded", reason); }

}  // namespace

std::string_view ViolationName(Violation v) {
  switch (v) {
    case Violation::kOpenWriters:
      return "open_writers";
    case Violation::kToMToU:
      return "ToMToU";
    case Violation::kUnmeasurable:
      break;
  }
  return "unmeasurable";
}

struct Recorder::Impl {
  RecorderOptions options;
  tpm::Tpm* tpm = nullptr;
  std::vector<HashAlg> banks;
  std::size_t list_bank = 0;  // position in banks
  UniqueFd lock_file, list, journal, pending, growth;

  // Held while something is committed; state below it is written under both mutexes and may be read under
  // either.
  mutable std::mutex commit;
  mutable std::mutex look;
  Values values;
  std::uint64_t count = 0, bytes = 0, entries = 0, violations = 0, starts = 0, journal_bytes = 0;
  std::uint64_t overflow = 0;
  std::unordered_map<Key, Key, KeyHash> last;  // path -> last content
  std::vector<std::uint64_t> offsets;          // of each kOffsetStride-th record
  std::deque<std::pair<std::uint64_t, Digest>> recent;
  std::vector<std::pair<std::uint64_t, Digest>> thinned;
  std::uint64_t thin_stride = 1;
  std::optional<Error> degraded;
  std::optional<Step> tail;  // written, but it is not known whether it was extended
  std::vector<std::string> missed;
  std::uint64_t missed_more = 0;

  // The open group.
  Bytes group;
  Step group_step;
  std::chrono::steady_clock::time_point group_since;
  std::condition_variable group_opened;
  std::thread timer;
  bool stop = false;

  Result<> Fault(std::string_view at) const { return options.fault ? options.fault(at) : Result<>(); }
  std::string File(std::string_view name) const { return options.dir + "/" + std::string(name); }
  std::string PendingPath() const { return File(fmt::format("pending.{}", count)); }

  Result<Values> ReadPcr();
  Values After(const Values& from, const Values& extends) const;
  Step MakeStep(std::string_view name, ByteView data, bool violation) const;
  void Note(const Step& step);
  void Account(const ima::RecordView& record, Step& step) const;
  void Remember(std::uint64_t records, const Digest& value);
  Result<> Commit(Step& step);
  Result<> CommitOverflow(const Step& step);
  Result<> ExtendTail();
  Result<> Flush();
  Result<> Append(Step step, ByteView data);
  Result<> OpenFiles();
  Result<> Reconcile();
  Result<> ReadOverflow(const Values& present);
  Result<> AdoptPending();
  Result<> Begin(const Values& present);
  Result<> Retire();
  Result<> ReadJournal();
  Error Disturbed(const Error& e);
  void Miss(const std::string& path);
  Result<Recorded> Add(std::string_view name, const Bytes& data, bool violation, bool grouped,
                       std::optional<std::pair<Key, Key>> content, const Context& context,
                       const std::string& path, bool start);
  void TimerLoop();
};

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
  step.violation = violation;
  for (const HashAlg bank : banks)
    step.extends.push_back(violation ? Digest::Filled(bank, 0xFF) : ima::TemplateDigest(bank, name, data));
  const Digest column = violation ? Digest::Filled(banks[list_bank], 0) : step.extends[list_bank];
  step.record = ima::EncodeRecord(options.pcr, column, name, data);
  return step;
}

void Recorder::Impl::Remember(std::uint64_t records, const Digest& value) {
  recent.emplace_back(records, value);
  if (recent.size() <= kExactCheckpoints) return;
  const auto old = recent.front();
  recent.pop_front();
  if (old.first % thin_stride != 0) return;
  thinned.push_back(old);
  if (thinned.size() <= kThinCheckpoints) return;
  thin_stride *= 2;
  std::erase_if(thinned, [&](const auto& c) { return c.first % thin_stride != 0; });
}

// A record is in the list and in the PCR: what is known follows.
void Recorder::Impl::Note(const Step& step) {
  if (count % kOffsetStride == 0) offsets.push_back(bytes);
  values = step.next;
  bytes += step.record.size();
  ++count;
  entries += step.entries;
  violations += step.violation ? 1 : 0;
  starts += step.start ? 1 : 0;
  for (const auto& [path, content] : step.paths) last[path] = content;
  Remember(count, values[list_bank]);
}

Error Recorder::Impl::Disturbed(const Error& e) {
  std::lock_guard guard(look);
  if (!degraded) log::Error("recorder: nothing is recorded any more: {} ({})", e.Message(), e.code());
  degraded = e;
  return Degraded(e.code() + ": " + e.Message());
}

Result<> Recorder::Impl::ExtendTail() {
  ASSAY_TRY(Fault("list.written"));
  ASSAY_TRY(tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, tail->extends));
  ASSAY_TRY(Fault("extended"));
  return {};
}

// commit is held. On an error the recorder is degraded, and `tail` holds what is in the list and may be in
// the PCR; without a tail the step was not written, and is left as it was.
Result<> Recorder::Impl::Commit(Step& step) {
  step.next = After(values, step.extends);
  if (count >= options.max_records) return CommitOverflow(step);
  auto write = [&]() -> Result<> {
    ASSAY_TRY(Fault("list.write"));
    return PWriteAll(list.get(), step.record, static_cast<off_t>(bytes));
  };
  if (auto r = write(); !r) {
    if (ftruncate(list.get(), static_cast<off_t>(bytes)) != 0)
      log::Error("recorder: the list keeps a torn tail");
    return Fail(Disturbed(r.error().In("writing the list")));
  }
  tail = std::move(step);
  if (auto r = ExtendTail(); !r) return Fail(Disturbed(r.error()));
  Bytes lines;
  for (JournalEntry& e : tail->journal) {
    e.index = count;
    const Bytes line = EncodeJournal(e);
    lines.insert(lines.end(), line.begin(), line.end());
  }
  // Context is a help, not evidence of its own: a full tmpfs costs it, and only it.
  if (auto r = PWriteAll(journal.get(), lines, static_cast<off_t>(journal_bytes)); !r)
    log::Warn("recorder: context lost: {}", r.error().Message());
  else
    journal_bytes += lines.size();
  {
    std::lock_guard guard(look);
    Note(*tail);
    tail.reset();
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(growth.get(), &one, sizeof(one));
  return Fault("noted");
}

// The list is full: the PCR still gets everything. What the PCR was and becomes is written first
// (docs/formats/state.md).
Result<> Recorder::Impl::CommitOverflow(const Step& step) {
  Writer w;
  w.U64Le(overflow + 1);
  for (std::size_t i = 0; i < values.size(); ++i) w.Put(values[i].view()).Put(step.extends[i].view());
  if (auto r = WriteFileAtomic(File("overflow"), w.bytes()); !r) return Fail(Disturbed(r.error()));
  if (auto r = Fault("overflow.written"); !r) return Fail(Disturbed(r.error()));
  if (auto r = tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, step.extends); !r)
    return Fail(Disturbed(r.error()));
  std::lock_guard guard(look);
  if (overflow++ == 0)
    log::Error("recorder: the list is full at {} records: a verifier can't tell any more", count);
  values = step.next;
  violations += step.violation ? 1 : 0;
  entries += step.entries;
  for (const auto& [path, content] : step.paths) last[path] = content;
  return {};
}

// commit is held.
Result<> Recorder::Impl::Flush() {
  if (group.empty()) return {};
  const std::string path = PendingPath();
  const Bytes data = ima::EncodeBuf(Hash(banks[list_bank], group), ima::kGroupName, group);
  Step step = MakeStep(kBuf, data, false);
  step.journal = group_step.journal;
  step.entries = group_step.entries;
  const Result<> done = Commit(step);
  if (!done && !tail) return done;  // not written: the group waits for better days
  group.clear();
  group_step = Step();
  pending.Reset();
  ASSAY_TRY(done);
  // Its name carries the group's number: left behind by a kill, it is known to be committed.
  if (unlink(path.c_str()) != 0) log::Warn("{}", OsError("unlink", path, errno).Message());
  return {};
}

// Puts an entry into the open group. commit is held.
Result<> Recorder::Impl::Append(Step step, ByteView data) {
  const ima::InnerRecord inner{kNg, data};
  const Bytes encoded = ima::EncodeGroup({inner});
  if (group.size() + encoded.size() > options.group_bytes) ASSAY_TRY(Flush());
  auto write = [&]() -> Result<> {
    if (!pending) {
      ASSAY_ASSIGN(pending, assay::Open(PendingPath(), O_RDWR | O_CREAT | O_TRUNC));
    }
    ASSAY_TRY(Fault("pending.write"));
    return PWriteAll(pending.get(), encoded, static_cast<off_t>(group.size()));
  };
  if (auto r = write(); !r) {
    if (pending && ftruncate(pending.get(), static_cast<off_t>(group.size())) != 0)
      log::Error("recorder: a pending group keeps a torn tail");
    return Fail(Disturbed(r.error().In("writing the pending group")));
  }
  if (group.empty()) {
    group_since = std::chrono::steady_clock::now();
    group_step.entries = 0;
  }
  group.insert(group.end(), encoded.begin(), encoded.end());
  for (JournalEntry& e : step.journal) {
    e.sub = static_cast<std::uint32_t>(group_step.entries);
    group_step.journal.push_back(std::move(e));
  }
  ++group_step.entries;
  {
    // The write-ahead file vouches for it from here on.
    std::lock_guard guard(look);
    for (const auto& [path, content] : step.paths) last[path] = content;
  }
  group_opened.notify_all();
  return Fault("pending.written");
}

void Recorder::Impl::Miss(const std::string& path) {
  std::lock_guard guard(look);
  if (missed.size() < kMaxMissed)
    missed.push_back(path);
  else
    ++missed_more;
}

Result<Recorded> Recorder::Impl::Add(std::string_view name, const Bytes& data, bool violation, bool grouped,
                                     std::optional<std::pair<Key, Key>> content, const Context& context,
                                     const std::string& path, bool start) {
  const auto present = [&]() -> bool {
    if (!content) return false;
    const auto found = last.find(content->first);
    return found != last.end() && found->second == content->second;
  };
  {
    std::lock_guard guard(look);
    if (present() && !degraded) return Recorded{.is_new = false, .index = count};
  }
  Step step = MakeStep(name, data, violation);
  step.start = start;
  if (content) step.paths.push_back(*content);
  step.journal.push_back({.index = 0, .sub = 0, .context = context});
  std::unique_lock lock(commit);
  if (degraded) {
    Miss(path);
    return Fail(Degraded(degraded->code() + ": " + degraded->Message()));
  }
  if (present()) return Recorded{.is_new = false, .index = count};
  Result<> done;
  std::uint64_t index = count;
  if (grouped && count < options.max_records) {
    done = Append(std::move(step), data);
    index = count;
  } else {
    done = Flush();
    index = count;
    if (done) done = Commit(step);
  }
  if (!done) {
    if (!tail) Miss(path);
    return Fail(done.error());
  }
  return Recorded{.is_new = true, .index = index};
}

void Recorder::Impl::TimerLoop() {
  std::unique_lock lock(commit);
  const auto open_for = std::chrono::milliseconds(options.group_ms);
  while (!stop) {
    if (group.empty() || degraded) {
      group_opened.wait_for(lock, std::chrono::milliseconds(500));
      continue;
    }
    const auto due = group_since + open_for;
    if (std::chrono::steady_clock::now() < due) {
      group_opened.wait_until(lock, due);
      continue;
    }
    if (auto r = Flush(); !r) log::Error("recorder: {}", r.error().Message());
  }
}

// ---- Start

Result<> Recorder::Impl::OpenFiles() {
  ASSAY_TRY(MakeDirs(options.dir, 0700));
  ASSAY_ASSIGN(lock_file, assay::Open(File("lock"), O_RDWR | O_CREAT));
  if (flock(lock_file.get(), LOCK_EX | LOCK_NB) != 0)
    return Fail(StateError("recorder.locked", "another recorder runs in " + options.dir));
  ASSAY_ASSIGN(list, assay::Open(File("list"), O_RDWR | O_CREAT));
  ASSAY_ASSIGN(journal, assay::Open(File("journal"), O_RDWR | O_CREAT));
  growth.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!growth) return Fail(OsError("eventfd", "", errno));
  return {};
}

// What a record says, for the tables.
void Recorder::Impl::Account(const ima::RecordView& record, Step& step) const {
  step.violation = record.violation();
  auto add = [&](const ima::RecordView& r) {
    Result<ima::Entry> entry = ima::Decode(r);
    if (!entry) return;  // our own lists decode; a foreign record proves nothing about a path
    if (entry->path == "assay-start" && r.template_name == kBuf) step.start = true;
    if (r.template_name != kNg || !entry->file_digest) return;
    step.paths.emplace_back(PathKey(entry->path),
                            step.violation ? ViolationKey() : KeyOf(entry->file_digest->bytes));
  };
  if (record.template_name == kBuf && !step.violation) {
    if (Result<ima::Entry> entry = ima::Decode(record); entry && entry->path == ima::kGroupName) {
      if (auto inner = ima::DecodeGroup(entry->buffer)) {
        step.entries = inner->size();
        for (const ima::InnerRecord& i : *inner) {
          ima::RecordView view = record;
          view.template_name = i.template_name;
          view.data = i.data;
          add(view);
        }
        return;
      }
    }
  }
  add(record);
}

Result<> Recorder::Impl::Reconcile() {
  values.clear();
  for (const HashAlg bank : banks) values.push_back(Digest::Filled(bank, 0));
  ASSAY_ASSIGN(const Values present, ReadPcr());
  const Values zero = values;
  MappedFile file;
  ASSAY_ASSIGN(file, MappedFile::OfFd(list.get()));
  ima::ListReader reader(file.view(), banks[list_bank]);
  std::deque<Values> before;  // PCR values before each of the last records
  while (true) {
    const std::uint64_t at = reader.offset();
    Result<std::optional<ima::RecordView>> next = reader.Next();
    if (!next) {
      // Only the write of the last record can have been cut, and that was not extended yet.
      log::Warn("recorder: {} bytes of a record that was never finished are dropped",
                file.view().size() - at);
      if (ftruncate(list.get(), static_cast<off_t>(at)) != 0)
        return Fail(OsError("ftruncate", "list", errno));
      break;
    }
    if (!*next) break;
    Step step;
    for (const HashAlg bank : banks) step.extends.push_back(ima::ExtendValue(bank, **next));
    step.next = After(values, step.extends);
    step.record = ToBytes((*next)->raw);
    Account(**next, step);
    before.push_back(values);
    if (before.size() > kReplayTail) before.pop_front();
    Note(step);
  }
  if (access(File("overflow").c_str(), F_OK) == 0) return ReadOverflow(present);
  if (present == values && count > 0) return {};
  if (count == 0) return Begin(present);
  if (present == zero && before.size() < count) {
    if (options.allow_retire) return Retire();
    return Fail(
        StateError("recorder.pcr-reset", "the TPM was reset: its PCR does not know the list any more"));
  }
  for (std::size_t i = before.size(); i-- > 0;) {
    if (before[i] != present) continue;
    // A record that was extended but whose tail was cut would have been met above: here the extends are
    // missing.
    const std::uint64_t first = count - (before.size() - i);
    if (present == zero && options.allow_retire) return Retire();
    log::Warn("recorder: {} records were written and not extended: they are extended now", count - first);
    ima::ListReader again(file.view(), banks[list_bank]);
    while (true) {
      ASSAY_ASSIGN(const std::optional<ima::RecordView> record, again.Next());
      if (!record) return {};
      if (record->index < first) continue;
      Values extends;
      for (const HashAlg bank : banks) extends.push_back(ima::ExtendValue(bank, *record));
      ASSAY_TRY(tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, extends));
    }
  }
  if (present == zero && options.allow_retire) return Retire();
  return Fail(StateError("recorder.pcr-unexplained",
                         fmt::format("PCR {} is {}, the list's {} records make it {}", options.pcr,
                                     present[list_bank].hex(), count, values[list_bank].hex())));
}

Result<> Recorder::Impl::ReadOverflow(const Values& present) {
  ASSAY_ASSIGN(const Bytes file, ReadFile(File("overflow"), 4096));
  Reader r(file, "overflow");
  ASSAY_ASSIGN(overflow, r.U64Le("count"));
  Values before, extends;
  for (const HashAlg bank : banks) {
    ASSAY_ASSIGN(const ByteView b, r.Take(DigestSize(bank), "value"));
    ASSAY_ASSIGN(const Digest value, Digest::Of(bank, b));
    before.push_back(value);
    ASSAY_ASSIGN(const ByteView e, r.Take(DigestSize(bank), "extend"));
    ASSAY_ASSIGN(const Digest extend, Digest::Of(bank, e));
    extends.push_back(extend);
  }
  values = After(before, extends);
  if (present == values) return {};
  if (present == before) return tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, extends);
  if (options.allow_retire && present[list_bank].AllBytes(0)) return Retire();
  return Fail(StateError("recorder.pcr-unexplained", "the full list and its PCR do not fit together"));
}

Result<> Recorder::Impl::Retire() {
  log::Warn("recorder: the TPM was reset: the former list is put aside as list.old");
  if (rename(File("list").c_str(), File("list.old").c_str()) != 0)
    return Fail(OsError("rename", File("list"), errno));
  for (const char* name : {"journal", "overflow"}) unlink(File(name).c_str());
  unlink(PendingPath().c_str());
  count = bytes = entries = violations = starts = journal_bytes = overflow = 0;
  last.clear();
  offsets.clear();
  recent.clear();
  thinned.clear();
  ASSAY_ASSIGN(list, assay::Open(File("list"), O_RDWR | O_CREAT | O_TRUNC));
  ASSAY_ASSIGN(journal, assay::Open(File("journal"), O_RDWR | O_CREAT | O_TRUNC));
  for (std::size_t i = 0; i < banks.size(); ++i) values[i] = Digest::Filled(banks[i], 0);
  ASSAY_ASSIGN(const Values present, ReadPcr());
  return Begin(present);
}

// An empty list begins with boot_aggregate: the kernel's own record, where its IMA has made one and nothing
// else.
Result<> Recorder::Impl::Begin(const Values& present) {
  const bool untouched =
      std::all_of(present.begin(), present.end(), [](const Digest& d) { return d.AllBytes(0); });
  if (!untouched) {
    Result<Bytes> kernel = ReadFile(options.kernel_list, ima::kMaxRecord);
    if (!kernel)
      return Fail(StateError("recorder.pcr-in-use",
                             fmt::format("PCR {} was extended by something else before", options.pcr)));
    ima::ListReader reader(*kernel, HashAlg::kSha1);
    ASSAY_ASSIGN(const std::optional<ima::RecordView> first, reader.Next());
    if (!first) return Fail(StateError("recorder.pcr-in-use", "the kernel's list is empty, its PCR is not"));
    ASSAY_ASSIGN(const std::optional<ima::RecordView> second, reader.Next());
    if (second)
      return Fail(
          StateError("recorder.kernel-ima",
                     fmt::format("the kernel's own IMA records in PCR {}: read its list, or take another PCR",
                                 options.pcr)));
    Step step = MakeStep(first->template_name, first->data, first->violation());
    if (After(values, step.extends) != present)
      return Fail(StateError("recorder.pcr-in-use",
                             fmt::format("PCR {} holds more than the kernel's boot_aggregate", options.pcr)));
    ASSAY_TRY(PWriteAll(list.get(), step.record, 0));
    step.next = present;
    Note(step);
    return {};
  }
  // boot_aggregate as Linux has it since 5.8: over PCR 0 to 9 of the bank.
  const HashAlg bank = banks[list_bank];
  tpm::BankSelection boot{.bank = static_cast<std::uint16_t>(bank), .pcrs = {}};
  const std::uint32_t boot_pcrs = bank == HashAlg::kSha1 ? 8 : 10;
  for (std::uint32_t i = 0; i < boot_pcrs; ++i) boot.pcrs.push_back(i);
  ASSAY_ASSIGN(const tpm::PcrValues read, tpm->ReadPcrs({boot}));
  Hasher hasher(bank);
  const auto of_bank = read.find(boot.bank);
  if (of_bank == read.end() || of_bank->second.size() != boot_pcrs)
    return Fail(StateError("tpm.no-such-pcr", "the TPM lacks a boot PCR"));
  for (const auto& [index, value] : of_bank->second) hasher.Update(value.view());
  const Bytes data = ima::EncodeNg(hasher.Finish(), "boot_aggregate");
  Step step = MakeStep(kNg, data, false);
  return Commit(step);
}

// A group that was open when the process died: complete entries are committed, a torn one was never answered
// for.
Result<> Recorder::Impl::AdoptPending() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(options.dir, ignored)) {
    const std::string name = entry.path().string();
    if (entry.path().filename().string().starts_with("pending.") && name != PendingPath())
      unlink(name.c_str());
  }
  Result<Bytes> file = ReadFile(PendingPath(), options.group_bytes + ima::kMaxRecord);
  if (!file) return {};
  Bytes whole = *file;
  Reader r(whole, "pending");
  std::size_t good = 0;
  while (!r.done()) {
    auto skip = [&]() -> Result<> {
      ASSAY_ASSIGN(const std::uint32_t name, r.U32Le());
      ASSAY_TRY(r.Take(name, "name"));
      ASSAY_ASSIGN(const std::uint32_t data, r.U32Le());
      ASSAY_TRY(r.Take(data, "data"));
      return {};
    };
    if (!skip()) break;
    good = r.offset();
  }
  whole.resize(good);
  if (good == 0) {
    unlink(PendingPath().c_str());
    return {};
  }
  const std::string path = PendingPath();
  const Bytes data = ima::EncodeBuf(Hash(banks[list_bank], whole), ima::kGroupName, whole);
  Step step = MakeStep(kBuf, data, false);
  ima::ListReader reader(step.record, banks[list_bank]);
  ASSAY_ASSIGN(const std::optional<ima::RecordView> view, reader.Next());
  Account(*view, step);
  ASSAY_TRY(Commit(step));
  unlink(path.c_str());
  return {};
}

Result<> Recorder::Impl::ReadJournal() {
  MappedFile file;
  ASSAY_ASSIGN(file, MappedFile::OfFd(journal.get()));
  ASSAY_ASSIGN(const JournalPart part, ParseJournal(file.view(), ~std::uint64_t{0}));
  journal_bytes = part.whole;
  if (part.whole != file.view().size() && ftruncate(journal.get(), static_cast<off_t>(part.whole)) != 0)
    return Fail(OsError("ftruncate", "journal", errno));
  return {};
}

Recorder::Recorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Recorder::~Recorder() {
  {
    std::lock_guard lock(impl_->commit);
    impl_->stop = true;
    if (!impl_->degraded) {
      if (auto r = impl_->Flush(); !r) log::Error("recorder: at the end: {}", r.error().Message());
    }
  }
  impl_->group_opened.notify_all();
  if (impl_->timer.joinable()) impl_->timer.join();
}

Result<std::unique_ptr<Recorder>> Recorder::Open(RecorderOptions options, tpm::Tpm& tpm) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->tpm = &tpm;
  ASSAY_ASSIGN(impl->banks, tpm.ActiveBanks(impl->options.pcr));
  const auto bank = std::find(impl->banks.begin(), impl->banks.end(), impl->options.list_bank);
  if (bank == impl->banks.end())
    return Fail(StateError("recorder.no-bank",
                           fmt::format("the TPM has no active {} bank", HashName(impl->options.list_bank))));
  impl->list_bank = static_cast<std::size_t>(bank - impl->banks.begin());
  ASSAY_TRY(impl->OpenFiles());
  {
    std::lock_guard lock(impl->commit);
    ASSAY_TRY(impl->Reconcile());
    ASSAY_TRY(impl->ReadJournal());
    ASSAY_TRY(impl->AdoptPending());
    ASSAY_ASSIGN(const Values present, impl->ReadPcr());
    if (present != impl->values)
      return Fail(
          StateError("recorder.pcr-unexplained", "the PCR changed while the list was being reconciled"));
  }
  impl->timer = std::thread([raw = impl.get()] { raw->TimerLoop(); });
  return std::unique_ptr<Recorder>(new Recorder(std::move(impl)));
}

// ---- Use

Result<Recorded> Recorder::Record(const Measurement& m) {
  Impl& d = *impl_;
  const bool grouped = !d.options.synchronous && d.options.known && d.options.known(m.digest);
  return d.Add(kNg, ima::EncodeNg(m.digest, m.path), false, grouped,
               std::pair{PathKey(m.path), KeyOf(m.digest.view())}, m.context, m.path, false);
}

Result<Recorded> Recorder::RecordViolation(Violation v, const std::string& path, const Context& context) {
  Context named = context;
  named.hook = ViolationName(v);
  const Digest none = Digest::Filled(impl_->options.list_bank, 0);
  return impl_->Add(kNg, ima::EncodeNg(none, path), true, false, std::pair{PathKey(path), ViolationKey()},
                    named, path, false);
}

Result<Recorded> Recorder::RecordBuffer(const std::string& name, ByteView buffer, const Context& context) {
  const Digest digest = Hash(impl_->options.list_bank, buffer);
  return impl_->Add(kBuf, ima::EncodeBuf(digest, name, buffer), false, false, std::nullopt, context, name,
                    name == "assay-start");
}

Result<> Recorder::Flush() {
  std::lock_guard lock(impl_->commit);
  if (impl_->degraded) return Fail(Degraded(impl_->degraded->Message()));
  return impl_->Flush();
}

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
  if (d.degraded) return Fail(Degraded(d.degraded->code() + ": " + d.degraded->Message()));
  ASSAY_TRY(d.Flush());
  RecorderState s = State();
  s.checkpoints = d.thinned;
  s.checkpoints.insert(s.checkpoints.end(), d.recent.begin(), d.recent.end());
  return fn(s);
}

Result<> Recorder::Recover() {
  Impl& d = *impl_;
  std::vector<std::string> missed;
  std::uint64_t more = 0;
  {
    std::lock_guard lock(d.commit);
    if (!d.degraded) return {};
    ASSAY_TRY(d.tpm->Reconnect());
    ASSAY_ASSIGN(const Values present, d.ReadPcr());
    if (d.tail && present == d.values) {
      if (auto r = d.tpm->Extend(tpm::RawExtend::ForRecorder(), d.options.pcr, d.tail->extends); !r)
        return Fail(d.Disturbed(r.error()));
    } else if (d.tail ? present != d.tail->next : present != d.values) {
      const bool reset =
          std::all_of(present.begin(), present.end(), [](const Digest& v) { return v.AllBytes(0); });
      return Fail(
          d.Disturbed(reset ? Error(StateError("recorder.pcr-reset", "the TPM was reset: start anew"))
                            : Error(StateError("recorder.pcr-unexplained", "the PCR is not the list's"))));
    }
    std::lock_guard guard(d.look);
    if (d.tail) {
      d.Note(*d.tail);
      d.tail.reset();
    }
    d.degraded.reset();
    missed.swap(d.missed);
    more = std::exchange(d.missed_more, 0);
  }
  if (more > 0) missed.push_back(fmt::format("({} more)", more));
  const Context context{.time_ms = 0, .pid = getpid(), .uid = 0, .comm = "assayd", .hook = ""};
  for (const std::string& path : missed) ASSAY_TRY(RecordViolation(Violation::kUnmeasurable, path, context));
  return {};
}

Result<UniqueFd> Recorder::OpenList() const { return assay::Open(impl_->File("list"), O_RDONLY); }
Result<UniqueFd> Recorder::OpenJournal() const { return assay::Open(impl_->File("journal"), O_RDONLY); }

Result<std::uint64_t> Recorder::OffsetOf(std::uint64_t record) const {
  const Impl& d = *impl_;
  std::uint64_t from = 0, offset = 0, end = 0;
  {
    std::lock_guard guard(d.look);
    if (record > d.count) return Fail(UsageError("no such record yet"));
    if (record == d.count) return d.bytes;
    from = record / kOffsetStride;
    offset = d.offsets[from];
    end = d.bytes;
  }
  ASSAY_ASSIGN(const UniqueFd fd, OpenList());
  ASSAY_ASSIGN(const MappedFile file, MappedFile::OfFd(fd.get()));
  ima::ListReader reader(file.view().subspan(offset, end - offset), d.options.list_bank,
                         from * kOffsetStride);
  while (reader.next_index() < record) {
    ASSAY_ASSIGN(const std::optional<ima::RecordView> view, reader.Next());
    if (!view) return Fail(StateError("recorder.list", "the list ends early"));
  }
  return offset + reader.offset();
}

int Recorder::GrowthFd() const { return impl_->growth.get(); }
const RecorderOptions& Recorder::options() const { return impl_->options; }

}  // namespace assay::measure
