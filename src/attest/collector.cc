#include "attest/collector.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/fd.h"
#include "base/mapped.h"
#include "measure/journal.h"

namespace assay::attest {
namespace {

constexpr std::size_t kMaxEventLog = std::size_t{16} << 20;

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string BootId() {
  Result<Bytes> id = ReadFile("/proc/sys/kernel/random/boot_id", 64);
  if (!id) return "";
  std::string text(AsText(*id));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

struct Collector::Impl {
  CollectorOptions options;
  measure::Recorder* recorder = nullptr;
  tpm::Tpm* tpm = nullptr;
  tpm::Ak ak;
  tpm::TpmInfo info;
  Bytes ek_public;
  std::mutex one_at_a_time;

  Result<Bytes> List(std::uint64_t first, const measure::RecorderState& s) const;
  Result<Bytes> Context(std::uint64_t first, const measure::RecorderState& s) const;
};

Result<Bytes> Collector::Impl::List(std::uint64_t first, const measure::RecorderState& s) const {
  ASSAY_ASSIGN(const std::uint64_t from, recorder->OffsetOf(first));
  ASSAY_ASSIGN(const UniqueFd fd, recorder->OpenList());
  Bytes list(s.list_bytes - from);
  ASSAY_TRY(PReadExact(fd.get(), list.data(), list.size(), static_cast<off_t>(from)));
  return list;
}

Result<Bytes> Collector::Impl::Context(std::uint64_t first, const measure::RecorderState& s) const {
  ASSAY_ASSIGN(const UniqueFd fd, recorder->OpenJournal());
  ASSAY_ASSIGN(const MappedFile file, MappedFile::OfFd(fd.get()));
  const std::size_t size = std::min<std::size_t>(file.view().size(), s.journal_bytes);
  ASSAY_ASSIGN(const measure::JournalPart part, measure::ParseJournal(file.view().first(size), first));
  Bytes out;
  for (const measure::JournalEntry& e : part.entries) {
    const Bytes line = EncodeContextLine({.index = e.index,
                                          .sub = e.sub,
                                          .time_ms = e.context.time_ms,
                                          .pid = static_cast<std::uint32_t>(e.context.pid),
                                          .uid = e.context.uid,
                                          .comm = e.context.comm,
                                          .hook = e.context.hook});
    out.insert(out.end(), line.begin(), line.end());
  }
  return out;
}

Collector::Collector(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Collector::~Collector() = default;
const tpm::Ak& Collector::ak() const { return impl_->ak; }

Result<std::unique_ptr<Collector>> Collector::Create(CollectorOptions options, measure::Recorder& recorder,
                                                     tpm::Tpm& tpm, tpm::AkKind kind) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->recorder = &recorder;
  impl->tpm = &tpm;
  ASSAY_ASSIGN(impl->ak, tpm.CreateAk(kind));
  ASSAY_ASSIGN(impl->info, tpm.Info());
  ASSAY_ASSIGN(impl->ek_public, tpm.EkPublic());
  return std::unique_ptr<Collector>(new Collector(std::move(impl)));
}

Result<Evidence> Collector::Collect(const Challenge& challenge, const Binding& binding, Level level) {
  Impl& d = *impl_;
  std::lock_guard lock(d.one_at_a_time);
  tpm::PcrSelection selection = challenge.selection;
  if (selection.empty()) {
    selection.push_back({.bank = static_cast<std::uint16_t>(HashAlg::kSha256), .pcrs = {}});
    for (std::uint32_t i = 0; i <= d.recorder->options().pcr; ++i) selection[0].pcrs.push_back(i);
  }
  Evidence e;
  const auto collect = [&](const measure::RecorderState& s) -> Result<> {
    if (challenge.first_record > s.count)
      return Fail(StateError("attest.no-such-record", "the list is shorter: was the machine restarted?"));
    Claims c;
    c.version = ASSAY_VERSION;
    c.hostname = HostName();
    c.boot_id = BootId();
    c.started_ms = d.options.started_ms;
    c.pcr = d.recorder->options().pcr;
    c.list_bank = d.recorder->options().list_bank;
    c.first_record = challenge.first_record;
    c.list_count = s.count;
    c.overflow = s.overflow;
    c.violations = s.violations;
    c.gaps = s.gaps;
    if (d.options.engine) std::tie(c.engine, c.engine_state) = d.options.engine();
    c.nonce = challenge.nonce;
    c.binding = binding;
    c.tpm_manufacturer = d.info.manufacturer;
    c.tpm_vendor = d.info.vendor;
    c.tpm_firmware = d.info.firmware;
    c.tpm_software = d.info.software;
    c.level = level;
    for (const auto& [records, value] : s.checkpoints)
      c.checkpoints.emplace_back(records, ToBytes(value.view()));
    ASSAY_ASSIGN(const tpm::PcrValues values, d.tpm->ReadPcrs(selection));
    for (const auto& [bank, of_bank] : values) {
      c.pcrs.emplace_back(bank, std::vector<std::pair<std::uint32_t, Bytes>>{});
      for (const auto& [index, value] : of_bank)
        c.pcrs.back().second.emplace_back(index, ToBytes(value.view()));
    }
    if (level == Level::kFull && challenge.want_context) {
      ASSAY_ASSIGN(e.context, d.Context(challenge.first_record, s));
    }
    if (level != Level::kQuote && challenge.want_list) {
      ASSAY_ASSIGN(e.list, d.List(challenge.first_record, s));
    }
    e.claims = EncodeClaims(c);
    ASSAY_ASSIGN(
        tpm::SignedQuote quote,
        d.tpm->MakeQuote(d.ak, selection, Qualifying(challenge.nonce, binding, e.claims, e.context)));
    e.attest = std::move(quote.attest);
    e.signature = std::move(quote.signature);
    return {};
  };
  Result<> done = d.recorder->Quiesce(collect);
  if (!done && done.error().code() == "recorder.degraded")
    return Fail(StateError("attest.degraded", done.error().Message()));
  ASSAY_TRY(done);
  e.ak_public = d.ak.public_area();
  e.ek_public = d.ek_public;
  if (challenge.want_event_log && level != Level::kQuote) {
    if (Result<Bytes> log = ReadFile(d.options.event_log, kMaxEventLog); log) e.event_log = std::move(*log);
  }
  return e;
}

}  // namespace assay::attest
