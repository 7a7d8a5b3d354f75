#include "tpm/tpm.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "tpm/errors.h"
#include "tpm/tpm_impl.h"

namespace assay::tpm {
namespace {

constexpr auto kRetryFor = std::chrono::seconds(5);
constexpr std::size_t kMaxPassword = 64;  // TPM 2.0 Library part 1: a digest of the largest hash

TpmError::Kind Classify(TSS2_RC rc) {
  if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER) return TpmError::Kind::kGone;
  switch (rc) {
    case TPM2_RC_INITIALIZE:  // it was reset and not started: Reconnect() does that
      return TpmError::Kind::kGone;
    case TPM2_RC_LOCKOUT:
      return TpmError::Kind::kLockout;
    case TPM2_RC_RETRY:
    case TPM2_RC_YIELDED:
    case TPM2_RC_TESTING:
    case TPM2_RC_NV_RATE:
      return TpmError::Kind::kBusy;
    default:
      return TpmError::Kind::kRefused;
  }
}

// Runs a command, and repeats it while the TPM asks for that.
TSS2_RC WithRetry(const std::function<TSS2_RC()>& command) {
  const auto deadline = std::chrono::steady_clock::now() + kRetryFor;
  for (auto wait = std::chrono::milliseconds(2);; wait = std::min(wait * 2, std::chrono::milliseconds(200))) {
    const TSS2_RC rc = command();
    if (rc == TSS2_RC_SUCCESS || Classify(rc) != TpmError::Kind::kBusy) return rc;
    if (std::chrono::steady_clock::now() + wait > deadline) return rc;
    std::this_thread::sleep_for(wait);
  }
}

TPML_PCR_SELECTION ToTss(const PcrSelection& selection) {
  TPML_PCR_SELECTION out{};
  for (const BankSelection& bank : selection) {
    if (out.count == TPM2_NUM_PCR_BANKS) break;
    TPMS_PCR_SELECTION& s = out.pcrSelections[out.count++];
    s.hash = bank.bank;
    s.sizeofSelect = 3;
    for (const std::uint32_t pcr : bank.pcrs)
      if (pcr < 24) s.pcrSelect[pcr / 8] |= static_cast<BYTE>(1U << (pcr % 8));
  }
  return out;
}

}  // namespace

bool IsResponse(const Error& error, TPM2_RC wanted) {
  const auto* e = error.As<TpmError>();
  if (e == nullptr || (e->rc & TSS2_RC_LAYER_MASK) != TSS2_TPM_RC_LAYER) return false;
  // A format-one code also holds the number of the parameter, handle or session, which is masked out here.
  const TPM2_RC rc = (e->rc & TPM2_RC_FMT1) != 0 ? e->rc & (TPM2_RC_FMT1 | 0x3F) : e->rc;
  return rc == wanted;
}

TpmError::TpmError(Kind kind_in, std::string call_in, std::uint32_t rc_in)
    : kind(kind_in), call(std::move(call_in)), rc(rc_in) {}

std::string TpmError::Message() const {
  const char* meaning = kind == Kind::kGone      ? "the TPM does not answer"
                        : kind == Kind::kLockout ? "the TPM is locked out"
                        : kind == Kind::kBusy    ? "the TPM stays busy"
                                                 : "the TPM refused";
  return fmt::format("{}: {} ({:#x}: {})", call, meaning, rc, rc == 0 ? "" : Tss2_RC_Decode(rc));
}

Result<> Tpm::Impl::Run(const char* call, const std::function<TSS2_RC()>& command) {
  if (gone) return Fail(TpmError(TpmError::Kind::kGone, call, TSS2_TCTI_RC_NO_CONNECTION));
  const TSS2_RC rc = WithRetry(command);
  if (rc == TSS2_RC_SUCCESS) return {};
  const TpmError::Kind kind = Classify(rc);
  if (kind == TpmError::Kind::kGone) gone = true;
  return Fail(TpmError(kind, call, rc));
}

void Tpm::Impl::Close() {
  aks.clear();
  ek = kNone;
  kept_ek = kNone;
  run.handle = kNone;
  esys.reset();
  tcti.reset();
  gone = true;
}

Result<> Tpm::Impl::Attach() {
  Close();
  TSS2_TCTI_CONTEXT* raw_tcti = nullptr;
  TSS2_RC rc = Tss2_TctiLdr_Initialize(tcti_name.c_str(), &raw_tcti);
  if (rc != TSS2_RC_SUCCESS) return Fail(TpmError(TpmError::Kind::kGone, "connecting to " + tcti_name, rc));
  tcti.reset(raw_tcti);
  ESYS_CONTEXT* raw_esys = nullptr;
  rc = Esys_Initialize(&raw_esys, tcti.get(), nullptr);
  if (rc != TSS2_RC_SUCCESS) return Fail(TpmError(TpmError::Kind::kGone, "connecting to " + tcti_name, rc));
  esys.reset(raw_esys);
  gone = false;
  TPM2B_AUTH endorsement{}, owner{};
  Fill(endorsement, passwords.endorsement);
  Fill(owner, passwords.owner);
  const Result<> given = Run("the hierarchies' passwords", [&] {
    const TSS2_RC first = Esys_TR_SetAuth(ctx(), ESYS_TR_RH_ENDORSEMENT, &endorsement);
    return first == TSS2_RC_SUCCESS ? Esys_TR_SetAuth(ctx(), ESYS_TR_RH_OWNER, &owner) : first;
  });
  explicit_bzero(&endorsement, sizeof(endorsement));
  explicit_bzero(&owner, sizeof(owner));
  return given;
}

Tpm::Impl::~Impl() {
  Wipe(passwords.endorsement);
  Wipe(passwords.owner);
}

// An error of the TPM about the password of a hierarchy, with what to do about it.
Error Tpm::Impl::AboutPassword(const Error& error, std::string_view hierarchy) {
  const auto* e = error.As<TpmError>();
  if (e == nullptr || (!IsResponse(error, TPM2_RC_BAD_AUTH) && !IsResponse(error, TPM2_RC_AUTH_FAIL)))
    return error;
  return StateError(
      TpmFault::kPassword,
      fmt::format("the {} hierarchy has {} password ({}: {:#x})", hierarchy,
                  (hierarchy == kOwner ? passwords.owner : passwords.endorsement).empty() ? "a" : "another",
                  e->call, e->rc));
}

Result<> Tpm::Impl::Open() {
  ASSAY_TRY(Attach());
  ASSAY_TRY(Run("TPM2_Startup", [&] {
    const TSS2_RC started = Esys_Startup(ctx(), TPM2_SU_CLEAR);
    return started == TPM2_RC_INITIALIZE ? TSS2_RC_SUCCESS : started;  // usually the TPM was started before
  }));
  // A software TPM has no resource manager, so the objects of a killed process are flushed here.
  if (tcti_name.starts_with("swtpm:")) ASSAY_TRY(FlushLeftovers());
  FindRunKey();
  return {};
}

Result<> Tpm::Impl::FlushLeftovers() {
  for (const std::uint32_t first : {TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST}) {
    ASSAY_ASSIGN(const std::vector<std::uint32_t> handles, Handles(first, UINT32_MAX, TPM2_MAX_CAP_HANDLES));
    for (const std::uint32_t handle : handles) {
      if (!run.name.empty() && handle == run.tpm_handle) continue;
      // The handle for flushing a session includes its type; the listed handle does not.
      ESYS_TR object = kNone;
      TSS2_RC rc = Esys_TR_FromTPMPublic(ctx(), handle, kNone, kNone, kNone, &object);
      if (rc == TSS2_RC_SUCCESS) rc = Esys_FlushContext(ctx(), object);
      if (rc != TSS2_RC_SUCCESS) log::Debug("tpm: flushing {:#x}: {}", handle, Tss2_RC_Decode(rc));
    }
  }
  return {};
}

Result<ESYS_TR> Tpm::Impl::Primary(const TPM2B_PUBLIC& public_template, EsysPtr<TPM2B_PUBLIC>& out,
                                   AkCreation* of) {
  const TPM2B_SENSITIVE_CREATE sensitive{};
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION creation_pcrs{};
  EsysPtr<TPM2B_CREATION_DATA> creation;
  EsysPtr<TPM2B_DIGEST> creation_hash;
  EsysPtr<TPMT_TK_CREATION> ticket;
  ESYS_TR handle = kNone;
  const Result<> made = Run("TPM2_CreatePrimary", [&] {
    return Esys_CreatePrimary(ctx(), ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, kNone, kNone, &sensitive,
                              &public_template, &outside, &creation_pcrs, &handle, Out(out), Out(creation),
                              Out(creation_hash), Out(ticket));
  });
  if (!made) return Fail(AboutPassword(made.error(), kEndorsement));
  if (of != nullptr) *of = {.hash = *creation_hash, .ticket = *ticket};
  return handle;
}

Result<ESYS_TR> Tpm::Impl::Ek() {
  if (ek == kNone) {
    EsysPtr<TPM2B_PUBLIC> pub;
    ASSAY_ASSIGN(ek, Primary(EkTemplate(EkKind::kEccP256), pub));
  }
  return ek;
}

Result<PcrValues> Tpm::Impl::ReadPcrs(const PcrSelection& selection, ESYS_TR session) {
  constexpr int kTries = 8;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    PcrValues values;
    TPML_PCR_SELECTION left = ToTss(selection);
    std::optional<UINT32> counter;
    bool changed = false;
    while (!changed) {
      const bool any = std::any_of(left.pcrSelections, left.pcrSelections + left.count, [](const auto& s) {
        return (s.pcrSelect[0] | s.pcrSelect[1] | s.pcrSelect[2]) != 0;
      });
      if (!any) return values;
      UINT32 update = 0;
      EsysPtr<TPML_PCR_SELECTION> read;
      EsysPtr<TPML_DIGEST> digests;
      ASSAY_TRY(Run("TPM2_PCR_Read", [&] {
        return Esys_PCR_Read(ctx(), session, kNone, kNone, &left, &update, Out(read), Out(digests));
      }));
      // All values must be of the same moment. The TPM's update counter tells whether a PCR was extended
      // between two reads.
      changed = counter.value_or(update) != update;
      counter = update;
      UINT32 next = 0;
      for (UINT32 b = 0; b < read->count; ++b) {
        const TPMS_PCR_SELECTION& s = read->pcrSelections[b];
        for (std::uint32_t pcr = 0; pcr < s.sizeofSelect * 8U; ++pcr) {
          if ((s.pcrSelect[pcr / 8] >> (pcr % 8) & 1) == 0) continue;
          if (next >= digests->count)
            return Fail(StateError(TpmFault::kAnswer, "TPM2_PCR_Read: fewer values than PCRs"));
          const TPM2B_DIGEST& d = digests->digests[next++];
          if (const auto alg = HashFromTpmAlg(s.hash)) {
            ASSAY_ASSIGN(Digest value, Digest::Of(*alg, {d.buffer, d.size}));
            values[s.hash][pcr] = value;
          }
          for (UINT32 i = 0; i < left.count; ++i)
            if (left.pcrSelections[i].hash == s.hash)
              left.pcrSelections[i].pcrSelect[pcr / 8] &= static_cast<BYTE>(~(1U << (pcr % 8)));
        }
      }
      if (next == 0)
        return Fail(StateError(TpmFault::kNoSuchPcr, "the TPM has no " + SelectionText(selection)));
    }
  }
  return Fail(StateError(TpmFault::kPcrMoving, "the PCRs change faster than they can be read"));
}

Tpm::Tpm(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tpm::~Tpm() = default;

namespace {

// The library prints messages to stderr by default. They are switched off, since our errors report them.
void QuietLibrary() {
  static std::once_flag quiet;
  std::call_once(quiet, [] { setenv("TSS2_LOG", "all+NONE", 0); });  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

Result<std::unique_ptr<Tpm>> Tpm::Unconnected(const std::string& tcti, Passwords passwords) {
  QuietLibrary();
  for (const Bytes& password : {passwords.endorsement, passwords.owner})
    if (password.size() > kMaxPassword)
      return Fail(UsageError("the password of a hierarchy has at most 64 bytes"));
  auto impl = std::make_unique<Impl>();
  impl->tcti_name = tcti;
  impl->passwords = std::move(passwords);
  return std::unique_ptr<Tpm>(new Tpm(std::move(impl)));
}

Result<std::unique_ptr<Tpm>> Tpm::Connect(const std::string& tcti, Passwords passwords) {
  ASSAY_ASSIGN(std::unique_ptr<Tpm> tpm, Unconnected(tcti, std::move(passwords)));
  ASSAY_TRY(tpm->Reconnect());
  return tpm;
}

Result<TpmInfo> Tpm::Look(const std::string& tcti) {
  QuietLibrary();
  auto impl = std::make_unique<Impl>();
  impl->tcti_name = tcti;
  {
    const MutexLock lock(impl->mutex);
    ASSAY_TRY(impl->Attach());
  }
  Tpm tpm(std::move(impl));
  return tpm.Info();
}

Result<> Tpm::Reconnect() {
  const MutexLock lock(impl_->mutex);
  return impl_->Open();
}

const std::string& Tpm::tcti() const { return impl_->tcti_name; }

Result<TpmInfo> Tpm::Info() {
  const MutexLock lock(impl_->mutex);
  EsysPtr<TPMS_CAPABILITY_DATA> data;
  TPMI_YES_NO more = 0;
  ASSAY_TRY(impl_->Run("TPM2_GetCapability", [&] {
    return Esys_GetCapability(impl_->ctx(), kNone, kNone, kNone, TPM2_CAP_TPM_PROPERTIES,
                              TPM2_PT_MANUFACTURER, 8, &more, Out(data));
  }));
  std::map<UINT32, UINT32> properties;
  const TPML_TAGGED_TPM_PROPERTY& list = data->data.tpmProperties;
  for (UINT32 i = 0; i < list.count; ++i)
    properties[list.tpmProperty[i].property] = list.tpmProperty[i].value;
  const auto text = [&](UINT32 first, int words) {
    std::string s;
    for (int w = 0; w < words; ++w)
      for (int shift = 24; shift >= 0; shift -= 8) {
        const char c = static_cast<char>(properties[first + static_cast<UINT32>(w)] >> shift & 0xFF);
        if (IsPrintableAscii(c)) s += c;
      }
    s.erase(s.find_last_not_of(' ') + 1);
    return s;
  };
  TpmInfo info;
  info.manufacturer = text(TPM2_PT_MANUFACTURER, 1);
  info.vendor = text(TPM2_PT_VENDOR_STRING_1, 4);
  const UINT32 firmware = properties[TPM2_PT_FIRMWARE_VERSION_1];
  info.firmware = fmt::format("{}.{}", firmware >> 16, firmware & 0xFFFF);
  info.software = info.vendor.starts_with("SW") || info.vendor.find("fTPM") != std::string::npos ||
                  info.manufacturer == "IBM" || info.manufacturer == "MSFT";
  return info;
}

Result<ClockInfo> Tpm::ReadClock() {
  const MutexLock lock(impl_->mutex);
  EsysPtr<TPMS_TIME_INFO> time;
  ASSAY_TRY(impl_->Run("TPM2_ReadClock",
                       [&] { return Esys_ReadClock(impl_->ctx(), kNone, kNone, kNone, Out(time)); }));
  const TPMS_CLOCK_INFO& c = time->clockInfo;
  return ClockInfo{.clock = c.clock,
                   .reset_count = c.resetCount,
                   .restart_count = c.restartCount,
                   .safe = c.safe == TPM2_YES};
}

Result<std::vector<HashAlg>> Tpm::ActiveBanks(std::uint32_t pcr) {
  if (pcr >= 24) return Fail(UsageError("a PCR number must be 0 to 23"));
  const MutexLock lock(impl_->mutex);
  EsysPtr<TPMS_CAPABILITY_DATA> data;
  TPMI_YES_NO more = 0;
  ASSAY_TRY(impl_->Run("TPM2_GetCapability", [&] {
    return Esys_GetCapability(impl_->ctx(), kNone, kNone, kNone, TPM2_CAP_PCRS, 0, 1, &more, Out(data));
  }));
  std::vector<HashAlg> banks;
  const TPML_PCR_SELECTION& assigned = data->data.assignedPCR;
  for (UINT32 i = 0; i < assigned.count; ++i) {
    const TPMS_PCR_SELECTION& s = assigned.pcrSelections[i];
    if (s.sizeofSelect <= pcr / 8 || (s.pcrSelect[pcr / 8] >> (pcr % 8) & 1) == 0) continue;
    const auto alg = HashFromTpmAlg(s.hash);
    if (alg && CanHash(*alg))
      banks.push_back(*alg);
    else
      log::Warn("tpm: PCR {} has a bank {:#06x} that can't be extended here, so quotes can't use it", pcr,
                s.hash);
  }
  if (banks.empty())
    return Fail(StateError(TpmFault::kNoBank, fmt::format("PCR {} has no usable bank", pcr)));
  return banks;
}

Result<PcrValues> Tpm::ReadPcrs(const PcrSelection& selection) {
  const MutexLock lock(impl_->mutex);
  return impl_->ReadPcrs(selection, kNone);
}

Result<Digest> Tpm::ReadPcrProtected(HashAlg bank, std::uint32_t pcr) {
  const MutexLock lock(impl_->mutex);
  Result<Digest> value = impl_->ReadProtected(bank, pcr);
  if (!value && impl_->ForgetLostKeys(value.error())) value = impl_->ReadProtected(bank, pcr);
  return value;
}

Result<Digest> Tpm::Impl::ReadProtected(HashAlg bank, std::uint32_t pcr) {
  ASSAY_ASSIGN(const ESYS_TR salt, Ek());
  const TPMT_SYM_DEF aes = {
      .algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};
  ESYS_TR session = kNone;
  ASSAY_TRY(Run("TPM2_StartAuthSession", [&] {
    return Esys_StartAuthSession(ctx(), salt, kNone, kNone, kNone, kNone, nullptr, TPM2_SE_HMAC, &aes,
                                 TPM2_ALG_SHA256, &session);
  }));
  Esys_TRSess_SetAttributes(ctx(), session, TPMA_SESSION_AUDIT | TPMA_SESSION_CONTINUESESSION, 0xFF);
  const auto alg = static_cast<std::uint16_t>(bank);
  Result<PcrValues> values = ReadPcrs({{.bank = alg, .pcrs = {pcr}}}, session);
  Esys_FlushContext(ctx(), session);
  ASSAY_TRY(values);
  if (!values->contains(alg) || !(*values)[alg].contains(pcr))
    return Fail(StateError(TpmFault::kNoSuchPcr, fmt::format("no PCR {} in bank {}", pcr, HashName(bank))));
  return (*values)[alg][pcr];
}

Result<> Tpm::Extend(RawExtend /*token*/, std::uint32_t pcr, std::span<const Digest> values) {
  if (pcr >= 24) return Fail(UsageError("a PCR number must be 0 to 23"));
  if (values.empty() || values.size() > TPM2_NUM_PCR_BANKS)
    return Fail(UsageError("extend: one value for each bank"));
  TPML_DIGEST_VALUES digests{};
  for (const Digest& value : values) {
    TPMT_HA& d = digests.digests[digests.count++];
    d.hashAlg = static_cast<TPM2_ALG_ID>(value.alg());
    std::memcpy(&d.digest, value.view().data(), value.size());
  }
  const MutexLock lock(impl_->mutex);
  return impl_->Run("TPM2_PCR_Extend", [&] {
    return Esys_PCR_Extend(impl_->ctx(), ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, kNone, kNone, &digests);
  });
}

Result<Ak> Tpm::CreateAk(AkKind kind) {
  const MutexLock lock(impl_->mutex);
  if (const auto old = impl_->aks.find(kind); old != impl_->aks.end()) {
    if (impl_->Holds(old->second)) Esys_FlushContext(impl_->ctx(), old->second);
    impl_->aks.erase(old);
  }
  EsysPtr<TPM2B_PUBLIC> pub;
  ASSAY_ASSIGN(const ESYS_TR handle, impl_->Primary(AkTemplate(kind), pub, &impl_->ak_creations[kind]));
  impl_->aks[kind] = handle;
  Ak ak;
  ak.kind_ = kind;
  ASSAY_ASSIGN(ak.public_, Marshalled(pub->publicArea, Tss2_MU_TPMT_PUBLIC_Marshal, "the AK"));
  ASSAY_ASSIGN(KeyPublic parsed, ParsePublic(ak.public_));
  ASSAY_TRY(CheckAkAttributes(parsed));
  ak.name_ = parsed.name;
  return ak;
}

Result<ESYS_TR> Tpm::Impl::AkHandle(AkKind kind, const Bytes& public_area) {
  if (const auto loaded = aks.find(kind); loaded != aks.end()) return loaded->second;
  EsysPtr<TPM2B_PUBLIC> pub;  // after Reconnect() the same key is derived again
  ASSAY_ASSIGN(const ESYS_TR handle, Primary(AkTemplate(kind), pub, &ak_creations[kind]));
  aks[kind] = handle;
  ASSAY_ASSIGN(const Bytes area, Marshalled(pub->publicArea, Tss2_MU_TPMT_PUBLIC_Marshal, "the AK"));
  if (area != public_area)
    return Fail(StateError(TpmFault::kOtherTpm, "the TPM derived another AK than before"));
  return handle;
}

Result<ESYS_TR> Tpm::Impl::PolicySession() {
  ESYS_TR session = kNone;
  ASSAY_TRY(Run("TPM2_StartAuthSession", [&] {
    return Esys_StartAuthSession(ctx(), kNone, kNone, kNone, kNone, kNone, nullptr, TPM2_SE_POLICY,
                                 &kNoSymmetric, TPM2_ALG_SHA256, &session);
  }));
  Esys_TRSess_SetAttributes(ctx(), session, TPMA_SESSION_CONTINUESESSION, 0xFF);
  return session;
}

Result<> Tpm::Impl::SatisfyAkPolicy(ESYS_TR session, TPM2_CC command) {
  ASSAY_TRY(Run("TPM2_PolicyCommandCode",
                [&] { return Esys_PolicyCommandCode(ctx(), session, kNone, kNone, kNone, command); }));
  TPML_DIGEST branches{};
  for (const Digest& branch : MakeAkPolicy().branches)
    Fill(branches.digests[branches.count++], branch.view());
  return Run("TPM2_PolicyOR", [&] { return Esys_PolicyOR(ctx(), session, kNone, kNone, kNone, &branches); });
}

Result<SignedQuote> Tpm::Impl::Quote(ESYS_TR key, ESYS_TR session, const PcrSelection& selection,
                                     ByteView qualifying) {
  ASSAY_TRY(SatisfyAkPolicy(session, TPM2_CC_Quote));
  TPM2B_DATA data{};
  Fill(data, qualifying);
  const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL, .details = {}};  // the scheme of the key itself
  const TPML_PCR_SELECTION pcrs = ToTss(selection);
  EsysPtr<TPM2B_ATTEST> attest;
  EsysPtr<TPMT_SIGNATURE> signature;
  ASSAY_TRY(Run("TPM2_Quote", [&] {
    return Esys_Quote(ctx(), key, session, kNone, kNone, &data, &scheme, &pcrs, Out(attest), Out(signature));
  }));
  SignedQuote quote;
  quote.attest = Bytes(attest->attestationData, attest->attestationData + attest->size);
  ASSAY_ASSIGN(quote.signature, Marshalled(*signature, Tss2_MU_TPMT_SIGNATURE_Marshal, "the signature"));
  return quote;
}

Result<SignedQuote> Tpm::Impl::QuoteBy(AkKind kind, const Bytes& public_area, const PcrSelection& selection,
                                       ByteView qualifying) {
  ASSAY_ASSIGN(const ESYS_TR key, AkHandle(kind, public_area));
  ASSAY_ASSIGN(const ESYS_TR session, PolicySession());
  Result<SignedQuote> quote = Quote(key, session, selection, qualifying);
  Esys_FlushContext(ctx(), session);
  return quote;
}

Result<SignedQuote> Tpm::MakeQuote(const Ak& ak, const PcrSelection& selection, ByteView qualifying) {
  if (qualifying.size() > 64) return Fail(UsageError("qualifying data has at most 64 bytes"));
  const MutexLock lock(impl_->mutex);
  const auto quote = [&]() ASSAY_REQUIRES(impl_->mutex) {
    return impl_->QuoteBy(ak.kind_, ak.public_, selection, qualifying);
  };
  Result<SignedQuote> made = quote();
  if (!made && impl_->ForgetLostKeys(made.error())) made = quote();
  return made;
}

Result<> Tpm::Shutdown() {
  const MutexLock lock(impl_->mutex);
  return impl_->Run("TPM2_Shutdown",
                    [&] { return Esys_Shutdown(impl_->ctx(), kNone, kNone, kNone, TPM2_SU_CLEAR); });
}

}  // namespace assay::tpm
