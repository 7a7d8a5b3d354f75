// The identity of the TPM: its EK, the certificate that its maker put into NV, and the proof that an AK is in
// the same TPM.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "tpm/ek_certificate.h"
#include "tpm/errors.h"
#include "tpm/tpm_impl.h"

namespace assay::tpm {
namespace {

// TCG EK Credential Profile 2.5, sections 2.2.1.4 and 2.2.1.5: indices of the certificates, low range and
// high range, and of their chain. TCG Registry of Reserved TPM 2.0 Handles and Localities 1.1, table 2: EKs
// that the maker may have made persistent. What comes first is used.
struct EkPlace {
  EkKind kind;
  std::uint32_t certificate, persistent;
};
constexpr EkPlace kEkPlaces[] = {
    {EkKind::kEccP256, 0x01C0000A, 0x81010002},     {EkKind::kRsa2048, 0x01C00002, 0x81010001},
    {EkKind::kEccP384, 0x01C00016, 0x81010016},     {EkKind::kEccP256High, 0x01C00014, 0x81010014},
    {EkKind::kRsa2048High, 0x01C00012, 0x81010012}, {EkKind::kRsa3072, 0x01C0001C, 0x8101001C},
};
constexpr std::uint32_t kChainFirst = 0x01C00100;
constexpr std::uint32_t kChainIndices = 16;

const EkPlace& PlaceOf(EkKind kind) {
  return *std::find_if(std::begin(kEkPlaces), std::end(kEkPlaces),
                       [&](const EkPlace& place) { return place.kind == kind; });
}

constexpr std::uint16_t kNvChunk = 512;  // every TPM's buffer holds this (TPM_PT_NV_BUFFER_MAX)

// Whether the public area without the key itself is the template.
bool FitsTemplate(TPMT_PUBLIC area, EkKind kind) {
  const TPM2B_PUBLIC wanted = EkTemplate(kind);
  area.unique = wanted.publicArea.unique;
  const auto bytes = [](const TPMT_PUBLIC& p) { return Marshalled(p, Tss2_MU_TPMT_PUBLIC_Marshal, "an EK"); };
  const Result<Bytes> a = bytes(area), b = bytes(wanted.publicArea);
  return a && b && *a == *b;
}

}  // namespace

Result<Tpm::Impl::LoadedEk> Tpm::Impl::LoadEk(EkKind kind) {
  LoadedEk out;
  EsysPtr<TPM2B_PUBLIC> pub;
  const auto read_public = [&]() ASSAY_REQUIRES(mutex) {
    EsysPtr<TPM2B_NAME> name, qualified;
    return Run("TPM2_ReadPublic", [&] {
      return Esys_ReadPublic(ctx(), out.handle, kNone, kNone, kNone, Out(pub), Out(name), Out(qualified));
    });
  };
  const auto done = [&]() -> Result<LoadedEk> {
    ASSAY_ASSIGN(out.public_area, Marshalled(pub->publicArea, Tss2_MU_TPMT_PUBLIC_Marshal, "the EK"));
    return std::move(out);
  };
  // A persistent EK of the maker saves deriving the key. It must fit the template.
  const Result<> found = Run("TPM2_ReadPublic", [&] {
    return Esys_TR_FromTPMPublic(ctx(), PlaceOf(kind).persistent, kNone, kNone, kNone, &out.handle);
  });
  if (!found && gone) return Fail(found.error());
  if (found) {
    out.kind = LoadedEk::Kind::kInTpm;
    ASSAY_TRY(read_public());
    if (FitsTemplate(pub->publicArea, kind)) return done();
    Release(kind, out);
  }
  const bool kept = kept_ek != kNone && identity && identity->kind == kind;
  if (kind == EkKind::kEccP256 || kept) {
    out.kind = LoadedEk::Kind::kKept;
    out.handle = kept_ek;
    if (kind == EkKind::kEccP256) {
      ASSAY_ASSIGN(out.handle, Ek());
    }
    ASSAY_TRY(read_public());
    return done();
  }
  ASSAY_ASSIGN(out.handle, Primary(EkTemplate(kind), pub));
  out.kind = LoadedEk::Kind::kDerived;
  return done();
}

void Tpm::Impl::Release(EkKind which, LoadedEk& ek_in) {
  // The identity's own EK stays loaded, so that a verifier can't cause it to be derived again and again.
  if (ek_in.kind == LoadedEk::Kind::kDerived && identity && identity->kind == which) {
    kept_ek = ek_in.handle;
    return;
  }
  if (ek_in.kind == LoadedEk::Kind::kDerived) Esys_FlushContext(ctx(), ek_in.handle);
  // This closes only the ESYS object; the key stays in the TPM.
  if (ek_in.kind == LoadedEk::Kind::kInTpm) Esys_TR_Close(ctx(), &ek_in.handle);
}

// The content of an index; nullopt: the index does not exist or was never written.
Result<std::optional<Bytes>> Tpm::Impl::ReadNv(std::uint32_t index, std::size_t max) {
  ESYS_TR nv = kNone;
  const Result<> found = Run("TPM2_NV_ReadPublic",
                             [&] { return Esys_TR_FromTPMPublic(ctx(), index, kNone, kNone, kNone, &nv); });
  if (!found) {
    if (IsResponse(found.error(), TPM2_RC_HANDLE)) return std::optional<Bytes>();
    return Fail(found.error());
  }
  const auto read = [&]() ASSAY_REQUIRES(mutex) -> Result<std::optional<Bytes>> {
    EsysPtr<TPM2B_NV_PUBLIC> pub;
    EsysPtr<TPM2B_NAME> name;
    ASSAY_TRY(Run("TPM2_NV_ReadPublic",
                  [&] { return Esys_NV_ReadPublic(ctx(), nv, kNone, kNone, kNone, Out(pub), Out(name)); }));
    const std::size_t size = pub->nvPublic.dataSize;
    if (size > max)
      return Fail(StateError(TpmFault::kNvSize, fmt::format("NV index {:#x} has {} bytes", index, size)));
    if ((pub->nvPublic.attributes & TPMA_NV_WRITTEN) == 0) return std::optional<Bytes>();
    Bytes content;
    while (content.size() < size) {
      const auto n = static_cast<UINT16>(std::min<std::size_t>(kNvChunk, size - content.size()));
      EsysPtr<TPM2B_MAX_NV_BUFFER> data;
      const auto with = [&](ESYS_TR right) ASSAY_REQUIRES(mutex) {
        return Run("TPM2_NV_Read", [&] {
          return Esys_NV_Read(ctx(), right, nv, ESYS_TR_PASSWORD, kNone, kNone, n,
                              static_cast<UINT16>(content.size()), Out(data));
        });
      };
      // Usually every user may read a certificate; some makers allow it only to the owner.
      if (Result<> mine = with(nv); !mine) {
        if (gone) return Fail(mine.error());
        if (const Result<> owners = with(ESYS_TR_RH_OWNER); !owners) {
          const Error why = AboutPassword(owners.error(), kOwner);
          return Fail(why.Is(TpmFault::kPassword) ? why : mine.error());
        }
      }
      if (data->size != n)
        return Fail(
            StateError(TpmFault::kAnswer, fmt::format("NV index {:#x}: another size than asked", index)));
      content.insert(content.end(), data->buffer, data->buffer + data->size);
    }
    return std::optional(std::move(content));
  };
  Result<std::optional<Bytes>> content = read();
  Esys_TR_Close(ctx(), &nv);
  return content;
}

// An error of NV must not keep the attester from measuring. The attester then has no certificate, and tells
// the verifier why.
Result<std::optional<Bytes>> Tpm::Impl::ReadCertificate(EkKind kind, std::string& why_not) {
  const auto unreadable = [&](const Error& error) {
    why_not = fmt::format("NV index {:#x}: {}", PlaceOf(kind).certificate, error.Message());
    log::Warn("tpm: the EK's certificate can't be read: {}", why_not);
    return std::optional<Bytes>();
  };
  const Result<std::optional<Bytes>> raw = ReadNv(PlaceOf(kind).certificate, kMaxEkCertificate);
  if (!raw) {
    if (gone) return Fail(raw.error());
    return unreadable(raw.error());
  }
  if (!*raw) return std::optional<Bytes>();
  const Result<Bytes> certificate = TrimDer(**raw);
  if (certificate) return std::optional(*certificate);
  return unreadable(certificate.error());
}

Result<Bytes> Tpm::EkPublic(EkKind kind) {
  const MutexLock lock(impl_->mutex);
  Result<Impl::LoadedEk> ek = impl_->LoadEk(kind);
  if (!ek && impl_->ForgetLostKeys(ek.error())) ek = impl_->LoadEk(kind);
  ASSAY_TRY(ek);
  impl_->Release(kind, *ek);
  return std::move(ek->public_area);
}

Result<EkIdentity> Tpm::Identity() {
  const MutexLock lock(impl_->mutex);
  if (impl_->identity) return *impl_->identity;
  Result<EkIdentity> id = impl_->ReadIdentity();
  if (!id && impl_->ForgetLostKeys(id.error())) id = impl_->ReadIdentity();
  return id;
}

Result<EkIdentity> Tpm::Impl::ReadIdentity() {
  EkIdentity id;
  for (const EkPlace& place : kEkPlaces) {
    ASSAY_ASSIGN(std::optional<Bytes> certificate, ReadCertificate(place.kind, id.certificate_error));
    if (!certificate) continue;
    id.kind = place.kind;
    id.certificate = std::move(*certificate);
    break;
  }
  // The certificates of a chain follow each other across the indices.
  for (std::uint32_t i = 0; i < kChainIndices && !id.certificate.empty(); ++i) {
    const Result<std::optional<Bytes>> part = ReadNv(kChainFirst + i, kMaxEkChain);
    if (!part && gone) return Fail(part.error());
    if (!part || !*part || id.chain.size() + (*part)->size() > kMaxEkChain) break;
    id.chain.insert(id.chain.end(), (*part)->begin(), (*part)->end());
  }
  ASSAY_ASSIGN(LoadedEk loaded, LoadEk(id.kind));
  id.public_area = std::move(loaded.public_area);
  identity = id;
  Release(id.kind, loaded);
  return id;
}

// The authorisation for an EK; closed by Esys_FlushContext() unless it is the password.
Result<ESYS_TR> Tpm::Impl::AuthoriseEk(EkKind kind) {
  if (IsHighRange(kind)) return ESYS_TR_PASSWORD;  // its own, which is empty
  ASSAY_ASSIGN(const ESYS_TR session, PolicySession());
  const Result<> done = Run("TPM2_PolicySecret", [&] {
    EsysPtr<TPM2B_TIMEOUT> timeout;
    EsysPtr<TPMT_TK_AUTH> ticket;
    return Esys_PolicySecret(ctx(), ESYS_TR_RH_ENDORSEMENT, session, ESYS_TR_PASSWORD, kNone, kNone, nullptr,
                             nullptr, nullptr, 0, Out(timeout), Out(ticket));
  });
  if (done) return session;
  Esys_FlushContext(ctx(), session);
  return Fail(AboutPassword(done.error(), kEndorsement));
}

Result<Bytes> Tpm::Impl::Activate(ESYS_TR ak, EkKind ek_kind, ESYS_TR ek_handle, ByteView credential,
                                  ByteView secret) {
  TPM2B_ID_OBJECT blob{};
  TPM2B_ENCRYPTED_SECRET wrapped{};
  if (credential.size() > sizeof(blob.credential) || secret.size() > sizeof(wrapped.secret))
    return Fail(UsageError("the credential is larger than any can be"));
  blob.size = static_cast<UINT16>(credential.size());
  std::copy(credential.begin(), credential.end(), blob.credential);
  wrapped.size = static_cast<UINT16>(secret.size());
  std::copy(secret.begin(), secret.end(), wrapped.secret);
  ASSAY_ASSIGN(const ESYS_TR ak_session, PolicySession());
  const Result<ESYS_TR> ek_session = AuthoriseEk(ek_kind);
  const auto activate = [&]() ASSAY_REQUIRES(mutex) -> Result<Bytes> {
    ASSAY_TRY(ek_session);
    ASSAY_TRY(SatisfyAkPolicy(ak_session, TPM2_CC_ActivateCredential));
    EsysPtr<TPM2B_DIGEST> found;
    ASSAY_TRY(Run("TPM2_ActivateCredential", [&] {
      return Esys_ActivateCredential(ctx(), ak, ek_handle, ak_session, *ek_session, kNone, &blob, &wrapped,
                                     Out(found));
    }));
    return Bytes(found->buffer, found->buffer + found->size);
  };
  Result<Bytes> out = activate();
  Esys_FlushContext(ctx(), ak_session);
  if (ek_session && *ek_session != ESYS_TR_PASSWORD) Esys_FlushContext(ctx(), *ek_session);
  return out;
}

Result<Bytes> Tpm::Impl::ActivateBy(AkKind kind, const Bytes& ak_area, EkKind ek_kind, ByteView credential,
                                    ByteView secret) {
  ASSAY_ASSIGN(const ESYS_TR key, AkHandle(kind, ak_area));
  ASSAY_ASSIGN(LoadedEk loaded, LoadEk(ek_kind));
  Result<Bytes> found = Activate(key, ek_kind, loaded.handle, credential, secret);
  Release(ek_kind, loaded);
  return found;
}

Result<Bytes> Tpm::ActivateCredential(const Ak& ak, EkKind kind, ByteView credential, ByteView secret) {
  const MutexLock lock(impl_->mutex);
  const auto activate = [&]() ASSAY_REQUIRES(impl_->mutex) {
    return impl_->ActivateBy(ak.kind_, ak.public_, kind, credential, secret);
  };
  Result<Bytes> found = activate();
  if (!found && impl_->ForgetLostKeys(found.error())) found = activate();
  return found;
}

}  // namespace assay::tpm
