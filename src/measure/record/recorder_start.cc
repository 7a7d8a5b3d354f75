#include "measure/record/recorder_start.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/errors.h"
#include "base/log.h"
#include "base/mapped.h"
#include "list/cap.h"
#include "measure/lists/list_stream.h"
#include "measure/record/errors.h"
#include "measure/record/open_group.h"
#include "measure/record/state_files.h"
#include "measure/system/violation_record.h"
#include "tpm/errors.h"

namespace assay::measure {
namespace {

constexpr std::string_view kStartName = "assay-start";
constexpr std::size_t kMaxOverflowFile = 4096, kMaxPaddedFile = 256;

bool IsA(const ima::RecordView& record, ima::Template t) {
  return record.template_name == ima::TemplateName(t);
}

}  // namespace

Result<> Reconciliation::ReadPadded() {
  padded_.clear();
  const std::string path = parts_.files.Path("padded");
  if (access(path.c_str(), F_OK) != 0) return {};
  ASSAY_ASSIGN(const Bytes names, ReadFile(path, kMaxPaddedFile));
  const std::vector<HashAlg>& banks = parts_.pcr.banks();
  for (std::size_t i = 0; i < banks.size(); ++i)
    if (AsText(names).find(HashName(banks[i])) != std::string_view::npos) padded_.push_back(i);
  return {};
}

// What the TPM was given for a record that is in the list.
Values Reconciliation::ExtendsOf(const ima::RecordView& record) const {
  const std::vector<HashAlg>& banks = parts_.pcr.banks();
  Values out;
  for (const HashAlg bank : banks) out.push_back(ima::ExtendValue(bank, record));
  if (record.index == 0)
    for (const std::size_t i : padded_)
      out[i] = ima::ExtendValue(banks[i], record, ima::BankHash::kPaddedSha1);
  return out;
}

void Reconciliation::AccountOne(const ima::RecordView& r, const Result<ima::Entry>& entry, Step& step) const {
  step.violations += r.violation() ? 1 : 0;
  if (!entry) return;  // this recorder's own lists decode; a foreign record proves nothing about a path
  const auto add = [&](Content content, std::uint64_t record) {
    content.record = record;
    step.contents.push_back(content);
  };
  if (IsA(r, ima::Template::kBuf)) {
    if (entry->path == kStartName) step.start = true;
    if (entry->path != kViolationRecord) return;
    const Result<ViolationRecord> v = ParseViolation(AsText(entry->buffer));
    if (!v) return;
    // The violation is the record before this one and belongs to this program. A violation by another program
    // at the same path is not recorded yet.
    add(parts_.contents.OfProgram(*v), r.index - 1);
    add(parts_.contents.OfFile(v->path, std::nullopt, v->program.view()), r.index - 1);
    return;
  }
  const bool with_cgroup = IsA(r, ima::Template::kNgCgroup);
  if ((!IsA(r, ima::Template::kNg) && !with_cgroup) || !entry->file_digest) return;
  const ByteView digest = r.violation() ? ByteView() : ByteView(entry->file_digest->bytes);
  add(parts_.contents.OfFile(entry->path, with_cgroup ? std::optional(entry->cgroup) : std::nullopt, digest),
      r.index);
}

// Puts what a record says into the tables.
void Reconciliation::Account(const ima::RecordView& record, Step& step) const {
  const Result<ima::Entry> entry = ima::Decode(record);
  if (IsA(record, ima::Template::kBuf) && !record.violation() && entry && entry->path == ima::kGroupName) {
    if (const auto inner = ima::DecodeGroup(entry->buffer)) {
      step.entries = inner->size();
      for (const ima::InnerRecord& i : *inner) {
        const ima::OpenedRecord opened = ima::OpenInner(record, i);
        AccountOne(opened.view, opened.entry, step);
      }
      return;
    }
  }
  AccountOne(record, entry, step);
}

// Notes a record that is in the list and that the PCR explains.
void Reconciliation::Note(const Step& step) {
  parts_.ledger.Settle(step);
  parts_.contents.Learn(step.contents);
}

Result<Reconciliation::Replayed> Reconciliation::ReplayList() {
  struct stat st{};
  if (fstat(parts_.files.list(), &st) != 0) return Fail(OsError("fstat", "list", errno));
  ListStream stream(parts_.files.list(), parts_.pcr.list_alg(), {}, static_cast<std::uint64_t>(st.st_size));
  Replayed replayed;  // records are committed one by one, so that only the last can lack its extend
  while (true) {
    const Result<std::optional<ima::RecordView>> next = stream.Next();
    // Only the write of the last record can have been cut, and that was not extended yet.
    if (!next || !*next) break;
    Step step;
    step.extends = ExtendsOf(**next);
    replayed.before = parts_.ledger.values();
    replayed.last_extends = step.extends;
    step.next = RecorderPcr::After(replayed.before, step.extends);
    step.record = ToBytes((*next)->raw);
    Account(**next, step);
    Note(step);
  }
  return replayed;
}

Result<> Reconciliation::DropTornTail() const {
  struct stat st{};
  if (fstat(parts_.files.list(), &st) != 0) return Fail(OsError("fstat", "list", errno));
  const auto size = static_cast<std::uint64_t>(st.st_size);
  const std::uint64_t bytes = parts_.ledger.totals().bytes;
  if (bytes == size) return {};
  log::Warn("recorder: {} bytes of a record that was never finished are dropped", size - bytes);
  return parts_.files.Truncate(bytes);
}

Result<std::optional<Step>> Reconciliation::Reconcile() {
  const RecorderPcr& pcr = parts_.pcr;
  parts_.ledger.Reset();
  ASSAY_TRY(ReadJournal());
  ASSAY_ASSIGN(const Values present, pcr.Read());
  ASSAY_TRY(ReadPadded());
  ASSAY_ASSIGN(const Replayed replayed, ReplayList());
  const bool reset = present == pcr.Zero();
  if (access(parts_.files.Path("overflow").c_str(), F_OK) == 0) {
    if (parts_.options.allow_retire && reset) return Retire();
    ASSAY_TRY(ReadOverflow(present));
    return std::optional<Step>();
  }
  const std::uint64_t count = parts_.ledger.totals().count;
  const Values values = parts_.ledger.values();
  if (count == 0) {
    ASSAY_TRY(DropTornTail());
    return Begin(present);
  }
  if (present == values) {
    ASSAY_TRY(DropTornTail());
    return std::optional<Step>();
  }
  if (present == replayed.before) {
    log::Warn("recorder: one record was written and not extended: it is extended now");
    ASSAY_TRY(pcr.Extend(replayed.last_extends));
    ASSAY_TRY(DropTornTail());
    return std::optional<Step>();
  }
  if (const std::size_t caps = CapsBetween(values, present); caps > 0) {
    ASSAY_TRY(DropTornTail());
    ASSAY_TRY(AdoptCaps(caps));
    return std::optional<Step>();
  }
  if (reset && parts_.options.allow_retire) return Retire();
  if (reset)
    return Fail(
        StateError(RecorderError::kPcrReset, "the TPM was reset: its PCR does not know the list any more"));
  const std::size_t bank = pcr.list_bank();
  return Fail(StateError(RecorderError::kPcrUnexplained,
                         fmt::format("PCR {} is {}, the list's {} records make it {}", pcr.index(),
                                     present[bank].hex(), count, values[bank].hex())));
}

Result<> Reconciliation::ReadOverflow(const Values& present) {
  const std::vector<HashAlg>& banks = parts_.pcr.banks();
  ASSAY_ASSIGN(const Bytes file, ReadFile(parts_.files.Path("overflow"), kMaxOverflowFile));
  ASSAY_ASSIGN(const OverflowState s, ParseOverflow(file));
  const Error unexplained =
      StateError(RecorderError::kPcrUnexplained, "the full list and its PCR do not fit together");
  if (s.banks.size() != banks.size()) return Fail(unexplained);
  Values before, extends;
  for (std::size_t i = 0; i < banks.size(); ++i) {
    if (s.banks[i].before.alg() != banks[i]) return Fail(unexplained);
    before.push_back(s.banks[i].before);
    extends.push_back(s.banks[i].extend);
  }
  const Values values = RecorderPcr::After(before, extends);
  parts_.ledger.SetFull(s, values);
  if (present == values) return {};
  if (present == before) return parts_.pcr.Extend(extends);
  return Fail(unexplained);
}

Result<std::optional<Step>> Reconciliation::Retire() {
  log::Warn("recorder: the TPM was reset: the former list is put aside as list.old");
  ASSAY_TRY(parts_.files.Retire());
  padded_.clear();
  parts_.ledger.Reset();
  parts_.contents.Clear();
  ASSAY_ASSIGN(const Values present, parts_.pcr.Read());
  return Begin(present);
}

// How often the PCR was capped since it had the value `from`. 0: caps alone do not explain its value.
std::size_t Reconciliation::CapsBetween(const Values& from, const Values& present) const {
  const Step cap = parts_.pcr.MakeStep(ima::Template::kBuf, ima::CapData(), Meaning::kContent);
  Values value = from;
  for (std::size_t caps = 1; caps <= ima::kMaxCaps; ++caps) {
    value = RecorderPcr::After(value, cap.extends);
    if (value == present) return caps;
  }
  return 0;
}

// The PCR was capped before this recorder began: the list says so, and explains the PCR again. Nothing is
// extended.
Result<> Reconciliation::AdoptCaps(std::size_t caps) {
  if (caps > 0)
    log::Warn("recorder: the PCR was capped {} time(s): no attester was started in the initramfs", caps);
  for (std::size_t i = 0; i < caps; ++i) {
    Step step = parts_.pcr.MakeStep(ima::Template::kBuf, ima::CapData(), Meaning::kContent);
    step.next = RecorderPcr::After(parts_.ledger.values(), step.extends);
    ASSAY_TRY(PWriteAll(parts_.files.list(), step.record, static_cast<off_t>(parts_.ledger.totals().bytes)));
    Note(step);
  }
  return {};
}

// What the kernel extended for its first record, if the PCR holds that and then so many caps. A bank whose
// hash the kernel lacks got the SHA-1 value, padded.
std::optional<Values> Reconciliation::FirstExtends(const ima::RecordView& first, const Values& present,
                                                   std::size_t caps) const {
  const std::vector<HashAlg>& banks = parts_.pcr.banks();
  const Values values = parts_.ledger.values();
  Values extends;
  for (std::size_t i = 0; i < banks.size(); ++i) {
    bool met = false;
    for (const ima::BankHash how : {ima::BankHash::kOwn, ima::BankHash::kPaddedSha1}) {
      const Digest extend = ima::ExtendValue(banks[i], first, how);
      Digest value = ExtendPcr(values[i], extend);
      for (std::size_t n = 0; n < caps; ++n) value = ExtendPcr(value, ima::CapExtend(banks[i]));
      if (value != present[i]) continue;
      extends.push_back(extend);
      met = true;
      break;
    }
    if (!met) return std::nullopt;
  }
  return extends;
}

// An empty list begins with boot_aggregate. It is the kernel's own record if the kernel's IMA has made this
// one and no other.
Result<std::optional<Step>> Reconciliation::Begin(const Values& present) {
  if (present != parts_.pcr.Zero()) {
    ASSAY_TRY(AdoptBootAggregate(present));
    return std::optional<Step>();
  }
  // As Linux has it since 5.8: over PCR 0 to 9 of the bank, in a bank of SHA-1 over PCR 0 to 7.
  const HashAlg bank = parts_.pcr.list_alg();
  tpm::BankSelection boot{.bank = static_cast<std::uint16_t>(bank), .pcrs = {}};
  const std::uint32_t boot_pcrs = bank == HashAlg::kSha1 ? 8 : 10;
  for (std::uint32_t i = 0; i < boot_pcrs; ++i) boot.pcrs.push_back(i);
  ASSAY_ASSIGN(const tpm::PcrValues read, parts_.pcr.tpm().ReadPcrs({boot}));
  Hasher hasher(bank);
  const auto of_bank = read.find(boot.bank);
  if (of_bank == read.end() || of_bank->second.size() != boot_pcrs)
    return Fail(StateError(tpm::TpmFault::kNoSuchPcr, "the TPM lacks a boot PCR"));
  for (const auto& [index, value] : of_bank->second) hasher.Update(value.view());
  return parts_.pcr.MakeStep(ima::Template::kNg, ima::EncodeNg(hasher.Finish(), "boot_aggregate"),
                             Meaning::kContent);
}

Result<> Reconciliation::AdoptBootAggregate(const Values& present) {
  if (const std::size_t caps = CapsBetween(parts_.ledger.values(), present); caps > 0) return AdoptCaps(caps);
  const Result<Bytes> kernel = ReadFile(parts_.options.kernel_list, ima::kMaxRecord);
  if (!kernel && !kernel.error().Is(IoError::kTooLarge))
    return Fail(StateError(RecorderError::kPcrInUse,
                           fmt::format("PCR {} was extended by something else before", parts_.options.pcr)));
  const Error busy = StateError(
      RecorderError::kKernelIma,
      fmt::format(
          "the kernel's own IMA records in PCR {}: let its list be read (engine/engine: \"kernel-ima\"), or "
          "take another PCR (record/pcr)",
          parts_.options.pcr));
  if (!kernel) return Fail(busy);
  ima::ListReader reader(*kernel, HashAlg::kSha1);
  ASSAY_ASSIGN(const std::optional<ima::RecordView> first, reader.Next());
  if (!first) return Fail(StateError(RecorderError::kPcrInUse, "the kernel's list is empty, its PCR is not"));
  ASSAY_ASSIGN(const std::optional<ima::RecordView> second, reader.Next());
  if (second) return Fail(busy);
  Step step = parts_.pcr.MakeStep(first->template_name, first->data, first->violation());
  std::size_t caps = 0;
  std::optional<Values> extends = FirstExtends(*first, present, caps);
  while (!extends && caps < ima::kMaxCaps) extends = FirstExtends(*first, present, ++caps);
  if (!extends)
    return Fail(
        StateError(RecorderError::kPcrInUse,
                   fmt::format("PCR {} holds more than the kernel's boot_aggregate", parts_.options.pcr)));
  const std::vector<HashAlg>& banks = parts_.pcr.banks();
  std::string names;
  for (std::size_t i = 0; i < banks.size(); ++i)
    if ((*extends)[i] != step.extends[i]) names += fmt::format("{}\n", HashName(banks[i]));
  step.extends = *extends;
  if (!names.empty()) {
    ASSAY_TRY(WriteFileAtomic(parts_.files.Path("padded"), AsBytes(names)));
    ASSAY_TRY(ReadPadded());
  }
  ASSAY_TRY(PWriteAll(parts_.files.list(), step.record, 0));
  step.next = RecorderPcr::After(parts_.ledger.values(), step.extends);
  Note(step);
  return AdoptCaps(caps);
}

// The group that was open when the process died. Its whole entries are committed; an entry that is cut was
// never answered for. A file with another number belongs to a group that is already in the list.
Result<std::optional<Step>> Reconciliation::PendingGroup() {
  const std::uint64_t number = parts_.ledger.totals().count;
  const std::string path = parts_.files.PendingPath(number);
  parts_.files.Remove("pending.", path);
  Result<Bytes> file = ReadFile(path, parts_.options.group_bytes + ima::kMaxRecord);
  if (!file) return std::optional<Step>();
  Bytes whole = std::move(*file);
  whole.resize(WholeEntries(whole));
  if (whole.empty()) {
    parts_.files.Remove("pending.", "");
    return std::optional<Step>();
  }
  Step step = MakeGroupStep(parts_.pcr, whole);
  step.pending = path;
  ima::ListReader reader(step.record, parts_.pcr.list_alg(), number);
  ASSAY_ASSIGN(const std::optional<ima::RecordView> view, reader.Next());
  Account(*view, step);
  return step;
}

// The journal is no evidence, so the part that can't be parsed is dropped, and recording goes on.
Result<> Reconciliation::ReadJournal() {
  ASSAY_ASSIGN(const MappedFile file, MappedFile::OfFd(parts_.files.journal()));
  const Result<JournalPart> part = ParseJournal(file.view(), ~std::uint64_t{0});
  if (!part) log::Warn("recorder: the journal is dropped: {}", part.error().Message());
  const std::uint64_t whole = part ? part->whole : 0;
  parts_.ledger.SetJournalBytes(whole);
  if (whole != file.view().size() && ftruncate(parts_.files.journal(), static_cast<off_t>(whole)) != 0)
    return Fail(OsError("ftruncate", "journal", errno));
  return {};
}

}  // namespace assay::measure
