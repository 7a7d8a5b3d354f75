// Internal: the recorder's state, shared by recorder.cc (use), recorder_commit.cc (records and groups on
// their way) and recorder_start.cc (start and reconciliation).
//
//   std::lock_guard lock(impl.commit);
//   std::unique_lock open(impl.grouping);
//   ASSAY_TRY(impl.WriteGroup());                                   // the open group becomes the list's
//   tail, ASSAY_TRY(impl.Finish());                                       // and is extended
//   ASSAY_TRY(impl.Write(impl.MakeStep("ima-ng", data, false)));
//   open.unlock();                                                  // the next group may be opened
//   ASSAY_TRY(impl.Finish());
//
// Contract: three mutexes, taken in this order. `commit` is held from a record's writing to the end of its
// extend. `grouping` guards the open group; held as well while a record is written, since the group's number
// is the next record's, and let go while the TPM works: entries wait for no extend and no quote (but for the
// extend of a group that a record on its own closes: nothing may come between the two). `look`
// guards what the two share: that is written with `look` and `commit` held (`last`: `look` and either) and
// may be read with one of them (`last`: with `look`). After an error, `tail` tells whether the step is in the
// list (and perhaps in the PCR: Recover() finds out) or nowhere.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "list/list.h"
#include "measure/record/journal.h"
#include "measure/record/recorder.h"
#include "measure/system/violation_record.h"

namespace assay::measure {

using Values = std::vector<Digest>;  // one for each active bank, in the TPM's order

inline constexpr std::string_view kNg = ima::TemplateName(ima::Template::kNg),
                                  kBuf = ima::TemplateName(ima::Template::kBuf), kStartName = "assay-start";
inline constexpr std::uint64_t kOffsetStride = 64;

struct Key {
  std::uint64_t a = 0, b = 0;
  friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
  std::size_t operator()(const Key& k) const noexcept { return k.a; }
};

// One record on its way: what is written, and what the PCR becomes.
struct Step {
  Bytes record;
  Values extends, next;
  std::vector<std::pair<Key, Key>> paths;  // path -> content, once it is committed
  std::vector<JournalEntry> journal;       // index is set when committed
  std::string pending;                     // the group's write-ahead file, not needed once it is committed
  std::uint64_t entries = 1;
  std::uint64_t violations = 0;
  bool start = false;
  bool kept = true;  // false: the list is full, only the PCR gets it
};

Error Degraded(const Error& reason);  // StateError "recorder.degraded"

struct Recorder::Impl {
  RecorderOptions options;
  tpm::Tpm* tpm = nullptr;
  std::vector<HashAlg> banks;
  std::size_t list_bank = 0;  // position in banks
  UniqueFd lock_file, list, journal, pending, growth;
  std::array<std::uint8_t, 32> salt{};  // of the keys: nobody can prepare two contents that fall together

  std::mutex commit;
  std::mutex grouping;
  mutable std::mutex look;
  Values values;
  // Banks (positions in banks) whose first record is the kernel's and was extended as zero-padded SHA-1, as a
  // kernel does that lacks the bank's hash. Kept beside the list, in the file "padded".
  std::vector<std::size_t> padded;
  std::uint64_t count = 0, bytes = 0, entries = 0, violations = 0, starts = 0, journal_bytes = 0;
  std::uint64_t overflow = 0;
  std::unordered_map<Key, Key, KeyHash> last;  // path -> last content
  // Paths with a content in the open group: it is later than the one that the tail has.
  std::unordered_set<Key, KeyHash> overtaken;
  std::vector<std::uint64_t> offsets;  // of each kOffsetStride-th record
  Checkpoints checkpoints;
  std::optional<Error> degraded;
  std::optional<Step> tail;  // written, but it is not known whether it was extended
  std::vector<std::string> missed;
  std::uint64_t missed_more = 0;

  // The open group: under `grouping`.
  Bytes group;
  Step group_step;
  std::chrono::steady_clock::time_point group_since;
  std::condition_variable group_opened;
  std::thread timer;
  bool stop = false;  // under `grouping`

  Result<> Fault(std::string_view at) const { return options.fault ? options.fault(at) : Result<>(); }
  std::string File(std::string_view name) const { return options.dir + "/" + std::string(name); }
  std::string PendingPath(std::uint64_t number) const { return File("pending." + std::to_string(number)); }
  Key PathKey(std::string_view path, std::optional<std::string_view> cgroup = std::nullopt) const;
  Key ContentKey(ByteView digest) const;

  // recorder_commit.cc
  Result<Values> ReadPcr();
  Values After(const Values& from, const Values& extends) const;
  Step MakeStep(std::string_view name, ByteView data, bool violation) const;
  void Learn(const std::pair<Key, Key>& content);
  bool Present(const std::pair<Key, Key>& content) const;
  void Note(const Step& step);
  std::uint64_t NextNumber() const;
  std::uint64_t End() const;
  std::optional<Error> Degradation() const;
  Result<> WriteAhead(const Step& step);
  Result<> Write(Step step);  // wants `grouping`, as WriteGroup() does
  Step MakeGroupStep(ByteView encoded) const;
  Result<> WriteGroup();
  Result<> Finish();
  Result<> Commit(Step step);
  void Settle();
  Result<> CommitGroup();
  Result<> Flush();
  Result<> Append(Step step, ByteView encoded);  // wants only `grouping`
  Result<> Reserve(std::uint64_t from);
  Error Disturbed(const Error& e);
  void Miss(const std::string& path);
  Result<Recorded> Add(std::string_view name, const Bytes& data, bool violation, bool grouped,
                       std::optional<std::pair<Key, Key>> content, const Context& context,
                       const std::string& path, bool start);
  Result<std::optional<Recorded>> Known(const Step& step, const std::string& path);
  Result<std::optional<Recorded>> AddToGroup(const Step& step, ByteView encoded, const std::string& path);
  Result<Recorded> AddAlone(Step step, const std::string& path, std::optional<Step> beside = std::nullopt);
  Result<Recorded> AddWithProgram(ViolationRecord record, const Context& context);
  std::pair<Key, Key> ViolationContent(const ViolationRecord& record) const;
  void TimerLoop();

  // recorder.cc
  Result<> Resume();

  // recorder_start.cc
  Result<> Start();
  Result<> OpenFiles();
  Result<> ReadPadded();
  Values ExtendsOf(const ima::RecordView& record) const;
  void Account(const ima::RecordView& record, Step& step) const;
  Result<> Reconcile();
  Result<> ReadOverflow(const Values& present);
  Result<> AdoptPending();
  Result<> Begin(const Values& present);
  std::size_t CapsBetween(const Values& from, const Values& present) const;
  Result<> AdoptCaps(std::size_t caps);
  std::optional<Values> FirstExtends(const ima::RecordView& first, const Values& present,
                                     std::size_t caps) const;
  Result<> AdoptBootAggregate(const Values& present);
  Result<> Retire();
  Result<> ReadJournal();
  void RemoveFiles(std::string_view prefix, const std::string& except) const;
};

}  // namespace assay::measure
