#include "attest/collector.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include "attest/errors.h"
#include "base/log.h"
#include "base/mapped.h"
#include "base/mutex.h"
#include "measure/lists/errors.h"
#include "measure/record/errors.h"
#include "measure/record/journal.h"
#include "tpm/errors.h"

namespace assay::attest {
namespace {

constexpr std::size_t kWindow = 1 << 20;  // bytes of the journal that are read at once
constexpr std::chrono::milliseconds kLongestPause{2000};

evidence::HostName HostName() {
  std::array<char, 256> name{};
  return evidence::HostName::OfSystem(gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "");
}

std::string BootId() {
  Result<Bytes> id = ReadFile("/proc/sys/kernel/random/boot_id", 64);
  if (!id) return "";
  std::string text(AsText(*id));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Converts the journal into context lines, up to a size that grows. Most of it is read before the recorder is
// quiesced, and only the newest entries during that time.
class ContextReader {
 public:
  ContextReader(UniqueFd journal, std::uint64_t first) : journal_(std::move(journal)), first_(first) {}
  Result<> ReadUpTo(std::uint64_t journal_bytes);
  Bytes Take() { return std::move(lines_); }

 private:
  UniqueFd journal_;
  std::uint64_t first_;
  std::uint64_t at_ = 0;  // offset of the next entry in the journal
  Bytes lines_;
};

Result<> ContextReader::ReadUpTo(std::uint64_t journal_bytes) {
  if (journal_bytes <= at_) return {};
  ASSAY_ASSIGN(const MappedFile file, MappedFile::OfFd(journal_.get()));
  const std::size_t end = std::min<std::size_t>(file.view().size(), journal_bytes);
  while (at_ < end) {
    const ByteView window = file.view().subspan(at_, std::min<std::size_t>(kWindow, end - at_));
    ASSAY_ASSIGN(const measure::JournalPart part, measure::ParseJournal(window, first_));
    if (part.whole == 0) break;
    at_ += part.whole;
    for (const measure::JournalEntry& e : part.entries) {
      const Bytes line = evidence::EncodeContextLine({.index = e.index,
                                                      .sub = e.sub,
                                                      .time_ms = e.context.time_ms,
                                                      .pid = static_cast<std::uint32_t>(e.context.pid),
                                                      .uid = e.context.uid,
                                                      .comm = e.context.comm,
                                                      .hook = e.context.hook,
                                                      .cgroup = e.context.cgroup,
                                                      .program = e.context.program,
                                                      .script = e.context.script,
                                                      .under = e.context.under});
      lines_.insert(lines_.end(), line.begin(), line.end());
    }
    if (lines_.size() > evidence::kMaxContextPart)
      return Fail(StateError(AttestError::kTooLarge, "the context is too large for one message"));
  }
  return {};
}

}  // namespace

struct Collector::Impl {
  CollectorOptions options;
  measure::ListSource* list = nullptr;
  tpm::Tpm* tpm = nullptr;
  tpm::Ak ak;
  tpm::TpmInfo info;
  tpm::EkIdentity ek;
  Bytes ek_name;
  tpm::DeviceIdentity device;
  Mutex one_at_a_time;
  // Of the next collection: the recorder's turn first.
  std::chrono::steady_clock::time_point not_before ASSAY_GUARDED_BY(one_at_a_time);

  evidence::Claims ClaimsOf(const measure::RecorderState& s, const evidence::Challenge& challenge,
                            const evidence::Binding& binding, evidence::Level level) const;
  // What the challenge asks for, or the usual; each bank is active.
  Result<tpm::PcrSelection> Selection(const evidence::Challenge& challenge) const;
  void CertifyAk(const evidence::Activate& activate, const evidence::Binding& binding,
                 evidence::Activation& out) const;
};

evidence::Claims Collector::Impl::ClaimsOf(const measure::RecorderState& s,
                                           const evidence::Challenge& challenge,
                                           const evidence::Binding& binding, evidence::Level level) const {
  evidence::Claims c;
  c.version = ASSAY_VERSION;
  c.hostname = HostName();
  c.boot_id = BootId();
  c.started_ms = options.started_ms;
  c.pcr = list->Pcr();
  c.list_bank = list->ListBank();
  c.first_record = challenge.first_record;
  c.list_count = s.count;
  c.overflow = s.overflow;
  c.violations = s.violations;
  c.gaps = s.gaps;
  c.recorder = s.degraded_code;
  c.tpm_reset = s.degraded_code == ErrorCode::Of(measure::RecorderError::kPcrReset).name();
  if (options.engine) std::tie(c.engine, c.engine_state) = options.engine();
  c.kernel_policy = options.kernel_policy;
  c.nonce = challenge.nonce;
  c.binding = binding;
  c.tpm_manufacturer = info.manufacturer;
  c.tpm_vendor = info.vendor;
  c.tpm_firmware = info.firmware;
  c.tpm_software = info.software;
  c.level = level;
  // With the PCR value after each record a verifier could test guesses of single records. So only a verifier
  // that may see the list gets them.
  if (level != evidence::Level::kQuote && challenge.want_list) {
    for (const auto& [records, value] : s.checkpoints) c.checkpoints.push_back({records, value});
  }
  return c;
}

Result<tpm::PcrSelection> Collector::Impl::Selection(const evidence::Challenge& challenge) const {
  const auto active = list->State().pcr_values;
  for (const tpm::BankSelection& bank : challenge.selection) {
    if (std::none_of(active.begin(), active.end(),
                     [&](const auto& a) { return static_cast<std::uint16_t>(a.first) == bank.bank; }))
      return Fail(StateError(AttestError::kNoSuchBank, "there is no bank " + tpm::SelectionText({bank})));
  }
  if (!challenge.selection.empty()) return challenge.selection;
  tpm::PcrSelection selection{{.bank = static_cast<std::uint16_t>(list->ListBank()), .pcrs = {}}};
  for (std::uint32_t i = 0; i <= std::max(list->Pcr(), evidence::kLastUsualPcr); ++i)
    selection[0].pcrs.push_back(i);
  return selection;
}

Collector::Collector(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Collector::~Collector() = default;
const tpm::Ak& Collector::ak() const { return impl_->ak; }

Result<std::unique_ptr<Collector>> Collector::Create(CollectorOptions options, measure::ListSource& list,
                                                     tpm::Tpm& tpm, tpm::AkKind kind) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->list = &list;
  impl->tpm = &tpm;
  ASSAY_ASSIGN(impl->ak, tpm.CreateAk(kind));
  ASSAY_ASSIGN(impl->info, tpm.Info());
  ASSAY_ASSIGN(impl->ek, tpm.Identity());
  ASSAY_ASSIGN(const tpm::KeyPublic ek, tpm::ParsePublic(impl->ek.public_area));
  impl->ek_name = ek.name;
  ASSAY_ASSIGN(impl->device, tpm.ReadDeviceIdentity());
  return std::unique_ptr<Collector>(new Collector(std::move(impl)));
}

evidence::Identity Collector::Identify(bool device) const {
  const Impl& d = *impl_;
  const tpm::DeviceIdentity of_device = device ? d.device : tpm::DeviceIdentity{};
  return {.ak_public = d.ak.public_area(),
          .ek_public = d.ek.public_area,
          .ek_certificate = d.ek.certificate,
          .ek_chain = d.ek.chain,
          .iak_certificate = of_device.iak,
          .idevid_certificate = of_device.idevid,
          .device_chain = of_device.chain,
          .device_certificate_error = of_device.error,
          .ek_certificate_error = d.ek.certificate_error,
          .tpm_manufacturer = d.info.manufacturer,
          .tpm_vendor = d.info.vendor,
          .tpm_firmware = d.info.firmware,
          .tpm_software = d.info.software};
}

// A key that can't be used does not keep the host from being enrolled; the verifier is told.
void Collector::Impl::CertifyAk(const evidence::Activate& activate, const evidence::Binding& binding,
                                evidence::Activation& out) const {
  const Bytes qualifying = evidence::DeviceQualifying(activate.nonce, binding);
  const auto by = [&](tpm::DeviceKey key, const char* name, const Bytes& certificate, Bytes& attest,
                      Bytes& signature) {
    if (certificate.empty()) return;
    Result<tpm::SignedQuote> made = tpm->CertifyAk(ak, key, certificate, qualifying);
    if (made) {
      attest = std::move(made->attest);
      signature = std::move(made->signature);
      return;
    }
    if (!out.device_error.empty()) out.device_error += "; ";
    out.device_error += fmt::format("{}: {}", name, made.error().Message());
    log::Warn("enrolment: the machine's {} can't be used: {}", name, made.error().Message());
  };
  by(tpm::DeviceKey::kIak, "IAK", device.iak, out.iak_attest, out.iak_signature);
  by(tpm::DeviceKey::kIdevid, "IDevID", device.idevid, out.idevid_attest, out.idevid_signature);
}

Result<evidence::Activation> Collector::Activate(const evidence::Activate& activate,
                                                 const evidence::Binding& binding) {
  Impl& d = *impl_;
  const MutexLock lock(d.one_at_a_time);
  std::this_thread::sleep_until(d.not_before);
  const auto began = std::chrono::steady_clock::now();
  const Result<Bytes> secret =
      d.tpm->ActivateCredential(d.ak, d.ek.kind, activate.credential, activate.secret);
  evidence::Activation out;
  if (secret && activate.device) d.CertifyAk(activate, binding, out);
  const auto ended = std::chrono::steady_clock::now();
  d.not_before = ended + std::min<std::chrono::steady_clock::duration>(ended - began, kLongestPause);
  if (!secret && secret.error().Is(tpm::TpmFailure::kRefused))
    return Fail(StateError(AttestError::kWrongCredential, secret.error().Message()));
  ASSAY_TRY(secret);
  out.proof = evidence::EnrolProof(*secret, activate.nonce, binding, d.ak.name(), d.ek_name);
  return out;
}

Result<Collected> Collector::Prepare(const evidence::Challenge& challenge, const evidence::Binding& binding,
                                     evidence::Level level) {
  Impl& d = *impl_;
  const MutexLock lock(d.one_at_a_time);
  std::this_thread::sleep_until(d.not_before);
  ASSAY_ASSIGN(const tpm::PcrSelection selection, d.Selection(challenge));
  const bool with_list = level != evidence::Level::kQuote && challenge.want_list;
  const bool with_context = level == evidence::Level::kFull && challenge.want_context;
  Collected out;
  evidence::Evidence& e = out.evidence;
  std::optional<ContextReader> context;
  if (with_context) {
    ASSAY_ASSIGN(UniqueFd journal, d.list->OpenJournal());
    context.emplace(std::move(journal), challenge.first_record);
    ASSAY_TRY(context->ReadUpTo(d.list->State().journal_bytes));
  }
  std::uint64_t list_end = 0;
  bool told_reset = false;
  const auto quote = [&](const measure::RecorderState& s) -> Result<> {
    if (challenge.first_record > s.count)
      return Fail(
          StateError(AttestError::kNoSuchRecord,
                     "the list does not reach so far; after a reboot it is asked for from its beginning"));
    list_end = s.list_bytes;
    evidence::Claims c = d.ClaimsOf(s, challenge, binding, level);
    told_reset = c.tpm_reset;
    ASSAY_ASSIGN(c.pcrs, d.tpm->ReadPcrs(selection));
    if (context) {
      ASSAY_TRY(context->ReadUpTo(s.journal_bytes));
      e.context = context->Take();
    }
    e.claims = evidence::EncodeClaims(c);
    ASSAY_ASSIGN(tpm::SignedQuote made,
                 d.tpm->MakeQuote(d.ak, selection,
                                  evidence::Qualifying(challenge.nonce, binding, e.claims, e.context)));
    e.attest = std::move(made.attest);
    e.signature = std::move(made.signature);
    return {};
  };
  const auto began = std::chrono::steady_clock::now();
  Result<> done = d.list->Quiesce(quote);
  const auto ended = std::chrono::steady_clock::now();
  d.not_before = ended + std::min<std::chrono::steady_clock::duration>(ended - began, kLongestPause);
  if (!done && done.error().Is(measure::KernelImaError::kBusy))
    return Fail(StateError(AttestError::kBusy, done.error().Message()));
  if (!done &&
      (done.error().Is(measure::RecorderError::kDegraded) || done.error().Code<measure::KernelImaError>()))
    return Fail(StateError(AttestError::kDegraded, done.error().Message()));
  ASSAY_TRY(done);
  if (d.options.run) {
    Result<Bytes> signature = d.options.run(evidence::RunStatement(e.attest));
    const bool lost = !signature && signature.error().Is(tpm::RunKeyError::kLost);
    // A reset of the TPM takes the key too; then the verifier has to see the reset.
    if (lost && !told_reset) return Fail(StateError(AttestError::kDegraded, signature.error().Message()));
    if (!lost) {
      ASSAY_TRY(signature);
      e.run_signature = std::move(*signature);
    }
  }
  e.ak_public = d.ak.public_area();
  e.ek_public = d.ek.public_area;
  if (with_list) {
    ASSAY_ASSIGN(out.list_at, d.list->OffsetOf(challenge.first_record));
    out.list_bytes = list_end - out.list_at;
    if (out.list_bytes > evidence::kMaxListPart)
      return Fail(StateError(AttestError::kTooLarge, "the list is too large for one message"));
    ASSAY_ASSIGN(out.list, d.list->OpenList());
  }
  if (challenge.want_event_log && level != evidence::Level::kQuote) {
    if (Result<Bytes> log = ReadFile(d.options.event_log, evidence::kMaxEventLogPart); log) {
      e.event_log = std::move(*log);
    } else if (const auto* os = log.error().As<OsError>(); os == nullptr || os->err != ENOENT) {
      log::Warn("challenge: no event log: {}", log.error().Message());
    }
  }
  return out;
}

Result<evidence::Evidence> Collector::Collect(const evidence::Challenge& challenge,
                                              const evidence::Binding& binding, evidence::Level level) {
  ASSAY_ASSIGN(Collected c, Prepare(challenge, binding, level));
  c.evidence.list.resize(c.list_bytes);
  if (c.list_bytes > 0)
    ASSAY_TRY(PReadExact(c.list.get(), c.evidence.list.data(), c.list_bytes, static_cast<off_t>(c.list_at)));
  return std::move(c.evidence);
}

}  // namespace assay::attest
