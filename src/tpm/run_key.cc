#include "tpm/run_key.h"

#include <cstring>

#include "base/crypto.h"
#include "base/log.h"
#include "tpm/errors.h"
#include "tpm/tpm_impl.h"

namespace assay::tpm {
namespace {

constexpr std::size_t kAuthSize = 32;

}  // namespace

bool HasResourceManager(std::string_view tcti) {
  return tcti.starts_with("device:/dev/tpmrm") || tcti == "tabrmd" || tcti.starts_with("tabrmd:");
}

Result<Bytes> Tpm::Impl::CreateRunKey() {
  ASSAY_ASSIGN(const Bytes auth, RandomBytes(kAuthSize));
  TPM2B_PUBLIC wanted = RunKeyTemplate();
  // A primary key is derived from its template. The template contains random numbers that are not kept, so
  // nobody can derive this key again.
  ASSAY_ASSIGN(const Bytes x, RandomBytes(kAuthSize));
  ASSAY_ASSIGN(const Bytes y, RandomBytes(kAuthSize));
  Fill(wanted.publicArea.unique.ecc.x, x);
  Fill(wanted.publicArea.unique.ecc.y, y);
  TPM2B_SENSITIVE_CREATE sensitive{};
  Fill(sensitive.sensitive.userAuth, auth);
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION creation_pcrs{};
  EsysPtr<TPM2B_PUBLIC> pub;
  EsysPtr<TPM2B_CREATION_DATA> creation;
  EsysPtr<TPM2B_DIGEST> creation_hash;
  EsysPtr<TPMT_TK_CREATION> ticket;
  ESYS_TR handle = kNone;
  ASSAY_TRY(Run("TPM2_CreatePrimary", [&] {
    return Esys_CreatePrimary(ctx(), ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, kNone, kNone, &sensitive, &wanted,
                              &outside, &creation_pcrs, &handle, Out(pub), Out(creation), Out(creation_hash),
                              Out(ticket));
  }));
  run.handle = handle;
  run.auth = auth;
  ASSAY_TRY(
      Run("the run key's handle", [&] { return Esys_TR_GetTpmHandle(ctx(), handle, &run.tpm_handle); }));
  ASSAY_ASSIGN(run.name, NameOf(handle));
  ASSAY_TRY(GiveAuth());
  ASSAY_ASSIGN(Bytes area, Marshalled(pub->publicArea, Tss2_MU_TPMT_PUBLIC_Marshal, "the run key"));
  ASSAY_ASSIGN(const KeyPublic parsed, ParsePublic(area));
  ASSAY_TRY(CheckRunKey(parsed));
  return area;
}

Result<Bytes> Tpm::Impl::NameOf(ESYS_TR handle) {
  EsysPtr<TPM2B_NAME> name;
  ASSAY_TRY(Run("an object's name", [&] { return Esys_TR_GetName(ctx(), handle, Out(name)); }));
  return Bytes(name->name, name->name + name->size);
}

Result<> Tpm::Impl::GiveAuth() {
  TPM2B_AUTH auth{};
  Fill(auth, run.auth);
  const ESYS_TR key = run.handle;
  return Run("the run key's authorisation", [&] { return Esys_TR_SetAuth(ctx(), key, &auth); });
}

// Called after Open(). Where connections share their objects, the key still exists. Another program's key may
// have got its handle, so the name is compared.
void Tpm::Impl::FindRunKey() {
  if (run.name.empty()) return;
  ESYS_TR handle = kNone;
  const TPM2_HANDLE known = run.tpm_handle;
  const auto found = [&]() ASSAY_REQUIRES(mutex) -> Result<> {
    ASSAY_TRY(Run("TPM2_ReadPublic",
                  [&] { return Esys_TR_FromTPMPublic(ctx(), known, kNone, kNone, kNone, &handle); }));
    ASSAY_ASSIGN(const Bytes name, NameOf(handle));
    if (name != run.name)
      return Fail(StateError(RunKeyError::kLost, "the run key's handle belongs to another object"));
    run.handle = handle;
    return GiveAuth();
  };
  const Result<> done = found();
  if (done) return;
  if (run.handle == kNone && handle != kNone) Esys_TR_Close(ctx(), &handle);
  run.handle = kNone;
  log::Warn("tpm: the run key no longer exists: {}", done.error().Message());
}

Result<Bytes> Tpm::Impl::SignWithRunKey(ByteView statement) {
  if (run.handle == kNone)
    return Fail(gone ? Error(TpmError(TpmError::Kind::kGone, "TPM2_Sign", TSS2_TCTI_RC_NO_CONNECTION))
                     : Error(StateError(RunKeyError::kLost, "the TPM has lost the key of this run")));
  TPM2B_DIGEST digest{};
  Fill(digest, Hash(HashAlg::kSha256, statement).view());
  const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL, .details = {}};  // the scheme of the key itself
  // The key is not restricted, so the TPM needs no ticket.
  const TPMT_TK_HASHCHECK validation = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL, .digest = {}};
  EsysPtr<TPMT_SIGNATURE> signature;
  const ESYS_TR key = run.handle;
  ASSAY_TRY(Run("TPM2_Sign", [&] {
    return Esys_Sign(ctx(), key, ESYS_TR_PASSWORD, kNone, kNone, &digest, &scheme, &validation,
                     Out(signature));
  }));
  return Marshalled(*signature, Tss2_MU_TPMT_SIGNATURE_Marshal, "the run key's signature");
}

Result<Bytes> Tpm::Impl::SaveRunKey() {
  if (run.handle == kNone)
    return Fail(StateError(RunKeyError::kLost, "the TPM has lost the key of this run"));
  EsysPtr<TPMS_CONTEXT> context;
  const ESYS_TR key = run.handle;
  ASSAY_TRY(Run("TPM2_ContextSave", [&] { return Esys_ContextSave(ctx(), key, Out(context)); }));
  return Marshalled(*context, Tss2_MU_TPMS_CONTEXT_Marshal, "the run key's context");
}

Result<> Tpm::Impl::LoadRunKey(const SavedRunKey& saved) {
  TPMS_CONTEXT context{};
  size_t used = 0;
  const TSS2_RC read =
      Tss2_MU_TPMS_CONTEXT_Unmarshal(saved.context.data(), saved.context.size(), &used, &context);
  if (read != TSS2_RC_SUCCESS) return Fail(TpmError(TpmError::Kind::kRefused, "the run key's context", read));
  ASSAY_ASSIGN(const KeyPublic wanted, ParsePublic(saved.public_area));
  ESYS_TR handle = kNone;
  ASSAY_TRY(Run("TPM2_ContextLoad", [&] { return Esys_ContextLoad(ctx(), &context, &handle); }));
  run.handle = handle;
  run.auth = saved.auth;
  ASSAY_TRY(
      Run("the run key's handle", [&] { return Esys_TR_GetTpmHandle(ctx(), handle, &run.tpm_handle); }));
  ASSAY_ASSIGN(run.name, NameOf(handle));
  if (run.name != wanted.name)
    return Fail(StateError(RunKeyError::kLost, "the saved context is of another key than this run's"));
  return GiveAuth();
}

void Tpm::Impl::ForgetRunKey() {
  // Where another program flushed the key, its own object may have the handle now.
  if (run.handle != kNone && !gone && Holds(run.handle)) Esys_FlushContext(ctx(), run.handle);
  Wipe(run.auth);
  run = {};
}

Result<std::unique_ptr<RunKey>> RunKey::Connect(Tpm& tpm) {
  std::unique_ptr<RunKey> key(new RunKey());
  key->tpm_ = &tpm;
  if (HasResourceManager(tpm.tcti())) {
    ASSAY_ASSIGN(key->own_, Tpm::Connect(tpm.tcti()));
    key->tpm_ = key->own_.get();
  }
  return key;
}

Result<std::unique_ptr<RunKey>> RunKey::Create(Tpm& tpm) {
  ASSAY_ASSIGN(std::unique_ptr<RunKey> key, Connect(tpm));
  Tpm::Impl& impl = *key->tpm_->impl_;
  const MutexLock lock(impl.mutex);
  if (!impl.run.name.empty()) return Fail(UsageError("a connection has one run key"));
  Result<Bytes> made = impl.CreateRunKey();
  if (!made) {
    impl.ForgetRunKey();
    return Fail(made.error());
  }
  key->public_ = std::move(*made);
  return key;
}

Result<std::unique_ptr<RunKey>> RunKey::Load(Tpm& tpm, const SavedRunKey& saved) {
  ASSAY_ASSIGN(std::unique_ptr<RunKey> key, Connect(tpm));
  Tpm::Impl& impl = *key->tpm_->impl_;
  const MutexLock lock(impl.mutex);
  if (!impl.run.name.empty()) return Fail(UsageError("a connection has one run key"));
  if (Result<> loaded = impl.LoadRunKey(saved); !loaded) {
    impl.ForgetRunKey();
    return Fail(loaded.error());
  }
  key->public_ = saved.public_area;
  return key;
}

Result<SavedRunKey> RunKey::Save() {
  Tpm::Impl& impl = *tpm_->impl_;
  const MutexLock lock(impl.mutex);
  ASSAY_ASSIGN(Bytes context, impl.SaveRunKey());
  return SavedRunKey{.context = std::move(context), .auth = impl.run.auth, .public_area = public_};
}

RunKey::~RunKey() {
  Tpm::Impl& impl = *tpm_->impl_;
  const MutexLock lock(impl.mutex);
  if (!public_.empty()) impl.ForgetRunKey();
}

Result<Bytes> RunKey::Sign(ByteView statement) {
  if (lost_) return Fail(StateError(RunKeyError::kLost, "the TPM has lost the key of this run"));
  Tpm::Impl& impl = *tpm_->impl_;
  const MutexLock lock(impl.mutex);
  Result<Bytes> signature = impl.SignWithRunKey(statement);
  if (signature || signature.error().Is(TpmFailure::kBusy)) return signature;
  // If the key's own connection broke, the key is lost. The shared connection may come back, and the key with
  // it.
  if (own_ == nullptr && impl.gone) return signature;
  lost_ = true;
  return Fail(
      StateError(RunKeyError::kLost, "the TPM has lost the key of this run: " + signature.error().Message()));
}

}  // namespace assay::tpm
