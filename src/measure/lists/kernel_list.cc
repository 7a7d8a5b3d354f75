#include "measure/lists/kernel_list.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/event_fd.h"
#include "base/mutex.h"
#include "list/list.h"
#include "measure/lists/errors.h"
#include "measure/lists/kernel_snapshot.h"
#include "tpm/errors.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxCommandLine = std::size_t{64} << 10;

// What a record says, without its column, which depends on the file that it was read from.
Digest IdOf(const ima::RecordView& record) {
  const std::uint8_t kind = record.violation() ? 1 : 0;
  Hasher hasher(HashAlg::kSha256);
  hasher.Update(ByteView(&kind, 1)).Update(record.template_name).Update(record.data);
  return hasher.Finish();
}

}  // namespace

struct KernelList::Impl {
  KernelListOptions options;
  tpm::Tpm* tpm = nullptr;
  std::string path;      // of the kernel's file
  bool staging = false;  // other programs can stage and delete records
  // Without staging its position is after the bytes that were read. With staging it keeps others from
  // staging and deleting while the attester runs: who opens a list for writing gets EBUSY.
  UniqueFd kernel;
  HashAlg bank = HashAlg::kSha256;   // that is served and quoted
  HashAlg columns = HashAlg::kSha1;  // of the kernel's file
  UniqueFd copy;
  EventFd growth;
  Mutex quiescing ASSAY_ACQUIRED_BEFORE(mutex);  // one quote at a time

  mutable Mutex mutex;
  std::vector<std::uint64_t> ends ASSAY_GUARDED_BY(mutex);  // the end of each record in the copy
  std::uint64_t violations ASSAY_GUARDED_BY(mutex) = 0;
  Digest value ASSAY_GUARDED_BY(mutex);
  Checkpoints checkpoints ASSAY_GUARDED_BY(mutex);
  std::optional<Error> fault ASSAY_GUARDED_BY(mutex);
  // With staging: what the records say, and the bytes that the last look found.
  std::vector<Digest> ids ASSAY_GUARDED_BY(mutex);
  std::size_t seen_bytes ASSAY_GUARDED_BY(mutex) = 0;
  Digest seen ASSAY_GUARDED_BY(mutex);
  std::uint64_t stored_bytes ASSAY_GUARDED_BY(mutex) = 0;  // of the copy, in `store`
  std::optional<std::uint32_t> first_resets
      ASSAY_GUARDED_BY(mutex);  // the TPM's count when the list was opened
  tpm::ClockInfo clock ASSAY_GUARDED_BY(mutex);

  std::uint64_t bytes() const ASSAY_REQUIRES(mutex) { return ends.empty() ? 0 : ends.back(); }
  RecorderState StateAt(std::uint64_t count) const ASSAY_REQUIRES(mutex);
  Result<> Read() ASSAY_REQUIRES(mutex);
  Result<> ReadStaged() ASSAY_REQUIRES(mutex);
  Result<> AppendAll(ByteView added) ASSAY_REQUIRES(mutex);
  Result<std::optional<std::size_t>> FindJoin(ByteView list, const Digest& present) ASSAY_REQUIRES(mutex);
  Result<> Join() ASSAY_REQUIRES(mutex);
  Result<> TakeStored() ASSAY_REQUIRES(mutex);
  Result<> Store() ASSAY_REQUIRES(mutex);
  Result<> Append(const ima::RecordView& record) ASSAY_REQUIRES(mutex);
  void Forget() ASSAY_REQUIRES(mutex);
  Result<> Begin() {
    const MutexLock lock(mutex);
    Forget();
    return staging ? Join() : Read();
  }
  Result<> NoReset();
  Result<Digest> Present() const;
  std::optional<std::uint64_t> CountFor(const Digest& present) const ASSAY_REQUIRES(mutex);
};

// The state after `count` records.
RecorderState KernelList::Impl::StateAt(std::uint64_t count) const {
  RecorderState s;
  s.count = s.entries = count;
  s.violations = violations;
  s.list_bytes = count == 0 ? 0 : ends[count - 1];
  s.degraded = fault.has_value();
  if (fault) {
    s.degraded_code = fault->code();
    s.degraded_reason = fault->code() + ": " + fault->Message();
  }
  s.reset_count = clock.reset_count;
  s.restart_count = clock.restart_count;
  s.pcr_values = {{bank, value}};
  return s;
}

Result<> KernelList::Impl::Append(const ima::RecordView& record) {
  const bool fits =
      record.violation() ||
      Equal(record.template_digest, ima::TemplateDigest(columns, record.template_name, record.data).view());
  if (!fits)
    return Fail(StateError(
        KernelImaError::kColumn,
        fmt::format("record {} of the kernel's list has a hash that is not that of its data", ends.size())));
  const Digest column = record.violation() ? Digest::Filled(bank, 0)
                                           : ima::TemplateDigest(bank, record.template_name, record.data);
  const Bytes encoded = ima::EncodeRecord(record.pcr, column, record.template_name, record.data);
  if (bytes() + encoded.size() > kMaxKernelList)
    return Fail(StateError(KernelImaError::kTooLarge, "the kernel's list is too large to be kept"));
  ASSAY_TRY(PWriteAll(copy.get(), encoded, static_cast<off_t>(bytes())));
  ends.push_back(bytes() + encoded.size());
  violations += record.violation() ? 1 : 0;
  if (record.pcr == options.pcr) value = ExtendPcr(value, ima::ExtendValue(bank, record));
  checkpoints.Add(ends.size(), value);
  if (staging) ids.push_back(IdOf(record));
  return {};
}

void KernelList::Impl::Forget() {
  ends.clear();
  ids.clear();
  violations = 0;
  checkpoints.Clear();
  seen_bytes = 0;
  value = Digest::Filled(bank, 0);
}

Result<> KernelList::Impl::AppendAll(ByteView added) {
  ima::ListReader reader(added, columns, ends.size());
  Result<std::optional<ima::RecordView>> next = reader.Next();
  for (; next && *next; next = reader.Next()) ASSAY_TRY(Append(**next));
  if (!next)
    return Fail(
        StateError(KernelImaError::kTorn, "the kernel's list can't be read: " + next.error().Message()));
  if (!added.empty()) growth.Signal();
  return {};
}

// Reads what the kernel has added. The file continues where the last read ended, and ends with a whole
// record.
Result<> KernelList::Impl::Read() {
  if (staging) return ReadStaged();
  ASSAY_ASSIGN(const Bytes added, ReadAll(kernel.get(), kMaxKernelList));
  return AppendAll(added);
}

// The list begins as the last look found it, unless records were deleted since.
Result<> KernelList::Impl::ReadStaged() {
  ASSAY_ASSIGN(const Bytes list, ReadSnapshot(path));
  const ByteView all(list);
  if (all.size() < seen_bytes || Hash(HashAlg::kSha256, all.first(seen_bytes)) != seen) return Join();
  if (all.size() == seen_bytes) return {};
  const std::uint64_t before = bytes();
  ASSAY_TRY(AppendAll(all.subspan(seen_bytes)));
  seen_bytes = all.size();
  seen = Hash(HashAlg::kSha256, all);
  return bytes() == before ? Result<>() : Store();
}

// Where `list` goes on in what is known, so that both together explain the PCR; nothing where they do not.
Result<std::optional<std::size_t>> KernelList::Impl::FindJoin(ByteView list, const Digest& present) {
  std::vector<Digest> found;
  std::vector<Digest> extends;  // of the PCR, or empty for a record of another one
  ima::ListReader reader(list, columns, ends.size());
  while (true) {
    auto next = reader.Next();
    if (!next) return Fail(StateError(KernelImaError::kTorn, "the kernel's list: " + next.error().Message()));
    if (!*next) break;
    found.push_back(IdOf(**next));
    extends.push_back((*next)->pcr == options.pcr ? ima::ExtendValue(bank, **next) : Digest());
  }
  for (const std::size_t join : JoinsOf(ids, found)) {
    Digest v = value;
    bool explained = v == present;
    for (std::size_t i = ids.size() - join; i < found.size() && !explained; ++i) {
      if (extends[i].size() != 0) v = ExtendPcr(v, extends[i]);
      explained = v == present;
    }
    if (explained) return std::optional(join);
  }
  return std::optional<std::size_t>();
}

// Takes up a list whose beginning may be gone. The PCR is read first, so that the list has all that it has.
Result<> KernelList::Impl::Join() {
  ASSAY_ASSIGN(const Digest present, Present());
  ASSAY_ASSIGN(const Bytes list, ReadSnapshot(path));
  ASSAY_ASSIGN(std::optional<std::size_t> join, FindJoin(list, present));
  if (!join && ids.empty()) {
    ASSAY_TRY(TakeStored());
    ASSAY_ASSIGN(join, FindJoin(list, present));
  }
  if (!join)
    return Fail(StateError(
        KernelImaError::kTrimmed,
        fmt::format("PCR {} has records that are neither in the kernel's list nor in what was read of it: "
                    "they were deleted, or something else extends the PCR",
                    options.pcr)));
  std::size_t known = ids.size() - *join;
  ima::ListReader reader(list, columns);
  while (known-- > 0) ASSAY_TRY(reader.Next());
  ASSAY_TRY(AppendAll(ByteView(list).subspan(reader.offset())));
  seen_bytes = list.size();
  seen = Hash(HashAlg::kSha256, list);
  return Store();
}

// What an attester before this one has kept. It is only good if the PCR confirms it.
Result<> KernelList::Impl::TakeStored() {
  if (options.store.empty() || access(options.store.c_str(), F_OK) != 0) return {};
  ASSAY_ASSIGN(const Bytes stored, ReadFile(options.store, kMaxKernelList));
  const HashAlg of_file = std::exchange(columns, bank);
  ima::ListReader reader(stored, bank);
  Result<> taken;
  while (taken) {
    const auto next = reader.Next();
    if (!next || !*next) break;  // a record at the end that was not written as a whole
    taken = Append(**next);
  }
  columns = of_file;
  if (!taken) Forget();
  return {};
}

// Only what is new is written, unless the file holds another boot's list.
Result<> KernelList::Impl::Store() {
  if (options.store.empty()) return {};
  ASSAY_ASSIGN(const UniqueFd store, assay::Open(options.store, O_WRONLY | O_CREAT | O_NOFOLLOW));
  Bytes added(bytes() - stored_bytes);
  ASSAY_TRY(PReadExact(copy.get(), added.data(), added.size(), static_cast<off_t>(stored_bytes)));
  ASSAY_TRY(PWriteAll(store.get(), added, static_cast<off_t>(stored_bytes)));
  if (ftruncate(store.get(), static_cast<off_t>(bytes())) != 0)
    return Fail(OsError("ftruncate", options.store, errno));
  stored_bytes = bytes();
  return {};
}

Result<Digest> KernelList::Impl::Present() const {
  const auto id = static_cast<std::uint16_t>(bank);
  ASSAY_ASSIGN(const tpm::PcrValues values, tpm->ReadPcrs({{.bank = id, .pcrs = {options.pcr}}}));
  const auto of_bank = values.find(id);
  if (of_bank == values.end() || !of_bank->second.contains(options.pcr))
    return Fail(
        StateError(tpm::TpmFault::kNoSuchPcr, fmt::format("the TPM has no active {} bank", HashName(bank))));
  return of_bank->second.at(options.pcr);
}

// The kernel does not notice that the TPM was reset, and its list then lacks a PCR that proves it.
Result<> KernelList::Impl::NoReset() {
  ASSAY_ASSIGN(const tpm::ClockInfo now, tpm->ReadClock());
  const MutexLock lock(mutex);
  clock = now;
  if (!first_resets) first_resets = now.reset_count;
  if (now.reset_count == *first_resets) return {};
  const Error reset =
      StateError(KernelImaError::kPcrReset,
                 fmt::format("the TPM was reset {} time(s) since the attester has read the list",
                             now.reset_count - *first_resets));
  fault = reset;
  return Fail(reset);
}

// The number of records that give this PCR value. The kernel extends after it has appended, so the PCR may
// lack the last records.
std::optional<std::uint64_t> KernelList::Impl::CountFor(const Digest& present) const {
  const auto all = checkpoints.All();
  const auto it = std::find_if(all.rbegin(), all.rend(), [&](const auto& c) { return c.second == present; });
  return it == all.rend() ? std::nullopt : std::optional(it->first);
}

KernelList::KernelList(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KernelList::~KernelList() = default;
std::uint32_t KernelList::Pcr() const { return impl_->options.pcr; }
HashAlg KernelList::ListBank() const { return impl_->bank; }
int KernelList::GrowthFd() const { return impl_->growth.get(); }

Result<std::unique_ptr<KernelList>> KernelList::Open(KernelListOptions options, tpm::Tpm& tpm) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->tpm = &tpm;
  ASSAY_ASSIGN(const std::vector<HashAlg> banks, tpm.ActiveBanks(impl->options.pcr));
  const std::optional<HashAlg> bank = tpm::BestBank(banks);
  if (!bank)
    return Fail(
        StateError(tpm::TpmFault::kNoBank,
                   fmt::format("PCR {} has no bank of SHA-256, SHA-384 or SHA-512", impl->options.pcr)));
  impl->bank = *bank;
  const std::string classic = impl->options.folder + "/binary_runtime_measurements";
  impl->path = fmt::format("{}_{}", classic, HashName(*bank));
  impl->columns = access(impl->path.c_str(), F_OK) == 0 ? *bank : HashAlg::kSha1;
  if (impl->columns == HashAlg::kSha1) impl->path = classic;
  impl->staging = measure::CanBeStaged(impl->path);
  impl->copy.Reset(memfd_create("kernel-ima", MFD_CLOEXEC));
  if (!impl->copy) return Fail(OsError("memfd_create", "", errno));
  ASSAY_ASSIGN(impl->growth, EventFd::Make());
  auto kernel = impl->staging ? OpenShared(impl->path) : assay::Open(impl->path, O_RDONLY);
  if (!kernel) return Fail(kernel.error().In("the kernel's measurement list"));
  impl->kernel = std::move(*kernel);
  ASSAY_TRY(impl->Begin());
  std::unique_ptr<KernelList> list(new KernelList(std::move(impl)));
  if (list->State().count < 2)
    return Fail(StateError(KernelImaError::kSilent,
                           "the kernel's list has only the boot_aggregate, so no IMA policy measures"));
  // Checks that the list explains the PCR now, and not only at the first challenge.
  ASSAY_TRY(list->Quiesce([](const RecorderState&) { return Result<>(); }));
  return list;
}

Result<> KernelList::Sync() {
  Impl& d = *impl_;
  const MutexLock lock(d.mutex);
  const Result<> read = d.Read();
  if (!read) d.fault = read.error();
  return read;
}

bool KernelList::CanBeStaged() const { return impl_->staging; }

Result<> KernelList::Health() const {
  const MutexLock lock(impl_->mutex);
  return impl_->fault ? Result<>(Fail(*impl_->fault)) : Result<>();
}

std::string KernelList::PolicyOptions() {
  const auto line = ReadFile("/proc/cmdline", kMaxCommandLine);
  if (!line) return {};
  std::string out;
  std::string_view rest = AsText(*line);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find_first_of(" \n"), rest.size());
    const std::string_view word = rest.substr(0, end);
    if (word.starts_with("ima")) out += (out.empty() ? "" : " ") + std::string(word);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

RecorderState KernelList::State() const {
  const MutexLock lock(impl_->mutex);
  return impl_->StateAt(impl_->ends.size());
}

Result<> KernelList::Quiesce(const std::function<Result<>(const RecorderState&)>& fn) {
  Impl& d = *impl_;
  const MutexLock one(d.quiescing);
  ASSAY_TRY(d.NoReset());
  bool explained = false;
  for (int i = 0; i < kTries; ++i) {
    // The list is read after the PCR, so that it has every record that the PCR has.
    ASSAY_ASSIGN(const Digest present, d.Present());
    ASSAY_TRY(Sync());
    std::optional<RecorderState> state;
    {
      const MutexLock lock(d.mutex);
      const std::optional<std::uint64_t> count = d.CountFor(present);
      explained = count.has_value();
      if (!count) continue;
      state = d.StateAt(*count);
      state->checkpoints = d.checkpoints.All();
      std::erase_if(state->checkpoints, [&](const auto& c) { return c.first > *count; });
    }
    ASSAY_TRY(fn(*state));
    ASSAY_ASSIGN(const Digest after, d.Present());
    if (after == present) return {};
  }
  if (explained)
    return Fail(
        StateError(KernelImaError::kBusy, "the kernel measures faster than can be quoted: ask again"));
  const Error unexplained = StateError(
      KernelImaError::kPcrUnexplained,
      fmt::format("the kernel's list does not explain PCR {}: something else extends it", d.options.pcr));
  const MutexLock lock(d.mutex);
  d.fault = unexplained;
  return Fail(unexplained);
}

// The file is opened again, so that a reader has a position of its own and can't write.
Result<UniqueFd> KernelList::OpenList() const {
  return assay::Open(fmt::format("/proc/self/fd/{}", impl_->copy.get()), O_RDONLY);
}
Result<UniqueFd> KernelList::OpenJournal() const { return assay::Open("/dev/null", O_RDONLY); }

Result<std::uint64_t> KernelList::OffsetOf(std::uint64_t record) const {
  const MutexLock lock(impl_->mutex);
  if (record > impl_->ends.size()) return Fail(UsageError("no such record yet"));
  return record == 0 ? 0 : impl_->ends[record - 1];
}

}  // namespace assay::measure
