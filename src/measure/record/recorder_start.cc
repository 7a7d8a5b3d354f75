// The recorder's start: the list, its PCR and the state files brought together again (docs/formats/state.md).
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/crypto.h"
#include "base/log.h"
#include "base/mapped.h"
#include "list/cap.h"
#include "measure/lists/list_stream.h"
#include "measure/record/recorder_impl.h"
#include "measure/record/state_files.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxOverflowFile = 4096, kMaxPaddedFile = 256;

bool AllZero(const Values& values) {
  return std::all_of(values.begin(), values.end(), [](const Digest& d) { return d.AllBytes(0); });
}

}  // namespace

Result<> Recorder::Impl::Start() {
  ASSAY_ASSIGN(banks, tpm->ActiveBanks(options.pcr));
  const auto bank = std::find(banks.begin(), banks.end(), options.list_bank);
  if (bank == banks.end())
    return Fail(StateError("recorder.no-bank",
                           fmt::format("the TPM has no active {} bank", HashName(options.list_bank))));
  list_bank = static_cast<std::size_t>(bank - banks.begin());
  ASSAY_ASSIGN(const Bytes random, RandomBytes(salt.size()));
  std::copy(random.begin(), random.end(), salt.begin());
  ASSAY_TRY(OpenFiles());
  ASSAY_TRY(ReadJournal());
  ASSAY_TRY(Reconcile());
  ASSAY_TRY(AdoptPending());
  ASSAY_ASSIGN(const Values present, ReadPcr());
  if (present != values)
    return Fail(
        StateError("recorder.pcr-unexplained", "the PCR changed while the list was being reconciled"));
  return {};
}

Result<> Recorder::Impl::OpenFiles() {
  ASSAY_TRY(MakeDirs(options.dir, 0700));
  ASSAY_ASSIGN(lock_file, assay::Open(File("lock"), O_RDWR | O_CREAT));
  if (flock(lock_file.get(), LOCK_EX | LOCK_NB) != 0)
    return Fail(StateError("recorder.locked", "another recorder runs in " + options.dir));
  // For one that stands by until we end.
  if (ftruncate(lock_file.get(), 0) != 0) return Fail(OsError("ftruncate", "lock", errno));
  ASSAY_TRY(PWriteAll(lock_file.get(), AsBytes(std::to_string(getpid())), 0));
  RemoveFiles("overflow.", "");  // written beside the file proper by one that was killed
  ASSAY_ASSIGN(list, assay::Open(File("list"), O_RDWR | O_CREAT));
  ASSAY_ASSIGN(journal, assay::Open(File("journal"), O_RDWR | O_CREAT));
  growth.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!growth) return Fail(OsError("eventfd", "", errno));
  return {};
}

Result<> Recorder::Impl::ReadPadded() {
  padded.clear();
  if (access(File("padded").c_str(), F_OK) != 0) return {};
  ASSAY_ASSIGN(const Bytes names, ReadFile(File("padded"), kMaxPaddedFile));
  for (std::size_t i = 0; i < banks.size(); ++i)
    if (AsText(names).find(HashName(banks[i])) != std::string_view::npos) padded.push_back(i);
  return {};
}

// What the TPM was given for a record that is in the list.
Values Recorder::Impl::ExtendsOf(const ima::RecordView& record) const {
  Values out;
  for (const HashAlg bank : banks) out.push_back(ima::ExtendValue(bank, record));
  if (record.index == 0)
    for (const std::size_t i : padded)
      out[i] = ima::ExtendValue(banks[i], record, ima::BankHash::kPaddedSha1);
  return out;
}

// Files of ours whose names begin so, but for one.
void Recorder::Impl::RemoveFiles(std::string_view prefix, const std::string& except) const {
  std::error_code ignored;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(options.dir, ignored))
    if (entry.path().filename().string().starts_with(prefix)) names.push_back(entry.path().string());
  for (const std::string& name : names)
    if (name != except && unlink(name.c_str()) != 0)
      log::Warn("{}", OsError("unlink", name, errno).Message());
}

// What a record says, for the tables.
void Recorder::Impl::Account(const ima::RecordView& record, Step& step) const {
  auto add = [&](const ima::RecordView& r, const Result<ima::Entry>& entry) {
    step.violations += r.violation() ? 1 : 0;
    if (!entry) return;  // our own lists decode; a foreign record proves nothing about a path
    if (entry->path == kStartName && r.template_name == kBuf) step.start = true;
    if (entry->path == kViolationRecord && r.template_name == kBuf) {
      // The violation before it is this program's: another one's at the same path is not recorded yet.
      if (const Result<ViolationRecord> v = ParseViolation(AsText(entry->buffer))) {
        step.paths.push_back(ViolationContent(*v));
        step.paths.emplace_back(PathKey(v->path), ContentKey(v->program.view()));
      }
    }
    const bool with_cgroup = r.template_name == ima::TemplateName(ima::Template::kNgCgroup);
    if ((r.template_name != kNg && !with_cgroup) || !entry->file_digest) return;
    step.paths.emplace_back(with_cgroup ? PathKey(entry->path, entry->cgroup) : PathKey(entry->path),
                            ContentKey(r.violation() ? ByteView() : ByteView(entry->file_digest->bytes)));
  };
  const Result<ima::Entry> entry = ima::Decode(record);
  if (record.template_name == kBuf && !record.violation() && entry && entry->path == ima::kGroupName) {
    if (const auto inner = ima::DecodeGroup(entry->buffer)) {
      step.entries = inner->size();
      for (const ima::InnerRecord& i : *inner) {
        const ima::OpenedRecord opened = ima::OpenInner(record, i);
        add(opened.view, opened.entry);
      }
      return;
    }
  }
  add(record, entry);
}

Result<> Recorder::Impl::Reconcile() {
  for (const HashAlg bank : banks) values.push_back(Digest::Filled(bank, 0));
  ASSAY_ASSIGN(const Values present, ReadPcr());
  ASSAY_TRY(ReadPadded());
  struct stat st{};
  if (fstat(list.get(), &st) != 0) return Fail(OsError("fstat", "list", errno));
  const auto size = static_cast<std::uint64_t>(st.st_size);
  ListStream stream(list.get(), banks[list_bank], {}, size);
  Values before;  // the last record; records are committed one by one, so no other can lack its extend
  Values extends;
  while (true) {
    const Result<std::optional<ima::RecordView>> next = stream.Next();
    // Only the write of the last record can have been cut, and that was not extended yet.
    if (!next || !*next) break;
    Step step;
    extends = ExtendsOf(**next);
    step.extends = extends;
    step.next = After(values, extends);
    step.record = ToBytes((*next)->raw);
    Account(**next, step);
    before = values;
    Note(step);
  }
  const auto agreed = [&]() -> Result<> {
    if (bytes == size) return {};
    log::Warn("recorder: {} bytes of a record that was never finished are dropped", size - bytes);
    if (ftruncate(list.get(), static_cast<off_t>(bytes)) != 0)
      return Fail(OsError("ftruncate", "list", errno));
    return {};
  };
  if (access(File("overflow").c_str(), F_OK) == 0) return ReadOverflow(present);
  if (count == 0) {
    ASSAY_TRY(agreed());
    return Begin(present);
  }
  if (present == values) return agreed();
  if (present == before) {
    log::Warn("recorder: one record was written and not extended: it is extended now");
    ASSAY_TRY(tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, extends));
    return agreed();
  }
  if (const std::size_t caps = CapsBetween(values, present); caps > 0) {
    ASSAY_TRY(agreed());
    return AdoptCaps(caps);
  }
  if (AllZero(present) && options.allow_retire) return Retire();
  if (AllZero(present))
    return Fail(
        StateError("recorder.pcr-reset", "the TPM was reset: its PCR does not know the list any more"));
  return Fail(StateError("recorder.pcr-unexplained",
                         fmt::format("PCR {} is {}, the list's {} records make it {}", options.pcr,
                                     present[list_bank].hex(), count, values[list_bank].hex())));
}

Result<> Recorder::Impl::ReadOverflow(const Values& present) {
  if (options.allow_retire && AllZero(present)) return Retire();
  ASSAY_ASSIGN(const Bytes file, ReadFile(File("overflow"), kMaxOverflowFile));
  ASSAY_ASSIGN(const OverflowState s, ParseOverflow(file));
  const Error unexplained =
      StateError("recorder.pcr-unexplained", "the full list and its PCR do not fit together");
  if (s.banks.size() != banks.size()) return Fail(unexplained);
  Values before, extends;
  for (std::size_t i = 0; i < banks.size(); ++i) {
    if (s.banks[i].before.alg() != banks[i]) return Fail(unexplained);
    before.push_back(s.banks[i].before);
    extends.push_back(s.banks[i].extend);
  }
  overflow = s.overflow;
  entries = s.entries;
  violations = s.violations;
  values = After(before, extends);
  if (present == values) return {};
  if (present == before) return tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, extends);
  return Fail(unexplained);
}

Result<> Recorder::Impl::Retire() {
  log::Warn("recorder: the TPM was reset: the former list is put aside as list.old");
  // A pending group belongs to the former list; without a list, the next start finds nothing to adopt.
  RemoveFiles("pending.", "");
  RemoveFiles("overflow", "");
  RemoveFiles("padded", "");
  padded.clear();
  if (rename(File("list").c_str(), File("list.old").c_str()) != 0)
    return Fail(OsError("rename", File("list"), errno));
  count = bytes = entries = violations = starts = journal_bytes = overflow = 0;
  last.clear();
  offsets.clear();
  checkpoints.Clear();
  ASSAY_ASSIGN(list, assay::Open(File("list"), O_RDWR | O_CREAT | O_TRUNC));
  ASSAY_ASSIGN(journal, assay::Open(File("journal"), O_RDWR | O_CREAT | O_TRUNC));
  for (std::size_t i = 0; i < banks.size(); ++i) values[i] = Digest::Filled(banks[i], 0);
  ASSAY_ASSIGN(const Values present, ReadPcr());
  return Begin(present);
}

// How often the PCR was capped since it was `from`; 0: that is not what happened to it.
std::size_t Recorder::Impl::CapsBetween(const Values& from, const Values& present) const {
  const Step cap = MakeStep(kBuf, ima::CapData(), false);
  Values value = from;
  for (std::size_t caps = 1; caps <= ima::kMaxCaps; ++caps) {
    value = After(value, cap.extends);
    if (value == present) return caps;
  }
  return 0;
}

// The PCR was capped before us: the list says so, and explains the PCR again. Nothing is extended.
Result<> Recorder::Impl::AdoptCaps(std::size_t caps) {
  if (caps > 0)
    log::Warn("recorder: the PCR was capped {} time(s): no attester was started in the initramfs", caps);
  for (std::size_t i = 0; i < caps; ++i) {
    Step step = MakeStep(kBuf, ima::CapData(), false);
    step.next = After(values, step.extends);
    ASSAY_TRY(PWriteAll(list.get(), step.record, static_cast<off_t>(bytes)));
    Note(step);
  }
  return {};
}

// What the kernel extended for its first record, if the PCR holds that and then so many caps. A bank whose
// hash the kernel lacks got the SHA-1 value, padded.
std::optional<Values> Recorder::Impl::FirstExtends(const ima::RecordView& first, const Values& present,
                                                   std::size_t caps) const {
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

// An empty list begins with boot_aggregate: the kernel's own record, where its IMA has made one and nothing
// else.
Result<> Recorder::Impl::Begin(const Values& present) {
  if (!AllZero(present)) return AdoptBootAggregate(present);
  // As Linux has it since 5.8: over PCR 0 to 9 of the bank.
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
  return Commit(MakeStep(kNg, ima::EncodeNg(hasher.Finish(), "boot_aggregate"), false));
}

Result<> Recorder::Impl::AdoptBootAggregate(const Values& present) {
  if (const std::size_t caps = CapsBetween(values, present); caps > 0) return AdoptCaps(caps);
  const Result<Bytes> kernel = ReadFile(options.kernel_list, ima::kMaxRecord);
  if (!kernel && kernel.error().code() != "io.too-large")
    return Fail(StateError("recorder.pcr-in-use",
                           fmt::format("PCR {} was extended by something else before", options.pcr)));
  const Error busy = StateError(
      "recorder.kernel-ima",
      fmt::format(
          "the kernel's own IMA records in PCR {}: let its list be read (engine/engine: \"kernel-ima\"), or "
          "take another PCR (record/pcr)",
          options.pcr));
  if (!kernel) return Fail(busy);
  ima::ListReader reader(*kernel, HashAlg::kSha1);
  ASSAY_ASSIGN(const std::optional<ima::RecordView> first, reader.Next());
  if (!first) return Fail(StateError("recorder.pcr-in-use", "the kernel's list is empty, its PCR is not"));
  ASSAY_ASSIGN(const std::optional<ima::RecordView> second, reader.Next());
  if (second) return Fail(busy);
  Step step = MakeStep(first->template_name, first->data, first->violation());
  std::size_t caps = 0;
  std::optional<Values> extends = FirstExtends(*first, present, caps);
  while (!extends && caps < ima::kMaxCaps) extends = FirstExtends(*first, present, ++caps);
  if (!extends)
    return Fail(StateError("recorder.pcr-in-use",
                           fmt::format("PCR {} holds more than the kernel's boot_aggregate", options.pcr)));
  std::string names;
  for (std::size_t i = 0; i < banks.size(); ++i)
    if ((*extends)[i] != step.extends[i]) names += fmt::format("{}\n", HashName(banks[i]));
  step.extends = *extends;
  if (!names.empty()) {
    ASSAY_TRY(WriteFileAtomic(File("padded"), AsBytes(names)));
    ASSAY_TRY(ReadPadded());
  }
  ASSAY_TRY(PWriteAll(list.get(), step.record, 0));
  step.next = After(values, step.extends);
  Note(step);
  return AdoptCaps(caps);
}

// A group that was open when the process died: complete entries are committed, a torn one was never answered
// for. A file with another number is of a group that is in the list.
Result<> Recorder::Impl::AdoptPending() {
  RemoveFiles("pending.", PendingPath(count));
  Result<Bytes> file = ReadFile(PendingPath(count), options.group_bytes + ima::kMaxRecord);
  if (!file) return {};
  Bytes whole = std::move(*file);
  whole.resize(WholeEntries(whole));
  if (whole.empty()) {
    RemoveFiles("pending.", "");
    return {};
  }
  Step step = MakeGroupStep(whole);
  ima::ListReader reader(step.record, banks[list_bank]);
  ASSAY_ASSIGN(const std::optional<ima::RecordView> view, reader.Next());
  Account(*view, step);
  return Commit(std::move(step));
}

// The journal is a help: what doesn't parse is dropped, and recording goes on.
Result<> Recorder::Impl::ReadJournal() {
  ASSAY_ASSIGN(const MappedFile file, MappedFile::OfFd(journal.get()));
  const Result<JournalPart> part = ParseJournal(file.view(), ~std::uint64_t{0});
  if (!part) log::Warn("recorder: the journal is dropped: {}", part.error().Message());
  journal_bytes = part ? part->whole : 0;
  if (journal_bytes != file.view().size() && ftruncate(journal.get(), static_cast<off_t>(journal_bytes)) != 0)
    return Fail(OsError("ftruncate", "journal", errno));
  return {};
}

}  // namespace assay::measure
