// The identity that the machine's maker put into the TPM: the certificates of an IAK and of an IDevID in NV,
// and statements by their keys.
#include <fmt/format.h>

#include "base/log.h"
#include "tpm/device_certificate.h"
#include "tpm/errors.h"
#include "tpm/tpm_impl.h"

namespace assay::tpm {
namespace {

// TCG Registry of Reserved TPM 2.0 Handles and Localities 1.1: NV indices of the chain of the IDevID's
// certificates, of the chain of the IAK's, and the keys that the maker may have made persistent.
constexpr std::uint32_t kIdevidNv = 0x01C90000, kIakNv = 0x01C90100, kLastNv = 0x01C901FF;
constexpr std::uint32_t kFirstKey = 0x81020000, kLastKey = 0x8102FFFF;
constexpr std::size_t kMaxIndices = 32, kMaxKeys = 64;

std::string_view TextOf(DeviceKey key) { return key == DeviceKey::kIak ? "IAK" : "IDevID"; }

// The certificates that one index holds: a single one, or several in a row.
Result<std::vector<Bytes>> Elements(ByteView content) {
  if (Result<Bytes> one = TrimDer(content); one) return std::vector<Bytes>{std::move(*one)};
  ASSAY_ASSIGN(std::vector<Bytes> several, SplitDer(content));
  if (several.empty()) return Fail(ParseError("device-certificate", 0, "there is no certificate"));
  return several;
}

}  // namespace

Result<std::vector<std::uint32_t>> Tpm::Impl::Handles(std::uint32_t first, std::uint32_t last,
                                                      std::size_t max) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t next = first; next <= last;) {
    EsysPtr<TPMS_CAPABILITY_DATA> data;
    TPMI_YES_NO more = 0;
    ASSAY_TRY(Run("TPM2_GetCapability", [&] {
      return Esys_GetCapability(ctx(), kNone, kNone, kNone, TPM2_CAP_HANDLES, next, TPM2_MAX_CAP_HANDLES,
                                &more, Out(data));
    }));
    const TPML_HANDLE& handles = data->data.handles;
    for (UINT32 i = 0; i < handles.count; ++i) {
      if (handles.handle[i] < next || handles.handle[i] > last || out.size() == max) return out;
      out.push_back(handles.handle[i]);
      next = handles.handle[i] + 1;
    }
    if (handles.count == 0 || more != TPM2_YES) break;
  }
  return out;
}

// The certificates in the indices of one range. `error` says which index can't be read.
Result<std::vector<Bytes>> Tpm::Impl::DeviceCertificates(std::uint32_t first, std::uint32_t last,
                                                         std::string& error) {
  std::vector<Bytes> out;
  Bytes together;
  std::string unreadable;
  const auto note = [&](std::uint32_t index, const Error& why) {
    if (unreadable.empty()) unreadable = fmt::format("NV index {:#x}: {}", index, why.Message());
  };
  const Result<std::vector<std::uint32_t>> indices = Handles(first, last, kMaxIndices);
  if (!indices && gone) return Fail(indices.error());
  if (!indices) {
    error = indices.error().Message();
    return out;
  }
  for (const std::uint32_t index : *indices) {
    const Result<std::optional<Bytes>> content = ReadNv(index, kMaxEkChain);
    if (!content && gone) return Fail(content.error());
    if (!content) note(index, content.error());
    if (!content || !*content) continue;
    together.insert(together.end(), (*content)->begin(), (*content)->end());
    Result<std::vector<Bytes>> elements = Elements(**content);
    if (!elements) note(index, elements.error());
    if (elements)
      for (Bytes& element : *elements) out.push_back(std::move(element));
  }
  if (unreadable.empty()) return out;
  // A chain that is larger than an index goes on in the next one.
  if (Result<std::vector<Bytes>> whole = SplitDer(together); whole && whole->size() > out.size())
    return std::move(*whole);
  if (error.empty()) error = std::move(unreadable);
  log::Warn("tpm: a certificate of the device can't be read: {}", error);
  return out;
}

// An error of NV must not keep the attester from measuring, so it is put into the identity for the verifier.
Result<DeviceIdentity> Tpm::Impl::ReadDevice() {
  DeviceIdentity id;
  const auto put = [](Bytes& where, const Bytes& what) {
    if (where.empty()) where = what;
  };
  for (const auto& [first, last] : {std::pair{kIakNv, kLastNv}, {kIdevidNv, kIakNv - 1}}) {
    ASSAY_ASSIGN(const std::vector<Bytes> found, DeviceCertificates(first, last, id.error));
    for (const Bytes& der : found) {
      const Result<DeviceFacts> facts = ReadDeviceCertificate(der);
      if (!facts) {
        if (id.error.empty())
          id.error = fmt::format("NV indices from {:#x} on: {}", first, facts.error().Message());
      } else if (facts->ca) {
        if (id.chain.size() + der.size() <= kMaxEkChain)
          id.chain.insert(id.chain.end(), der.begin(), der.end());
      } else {
        put(facts->restricted || first == kIakNv ? id.iak : id.idevid, der);
      }
    }
  }
  return id;
}

Result<DeviceIdentity> Tpm::ReadDeviceIdentity() {
  const MutexLock lock(impl_->mutex);
  return impl_->ReadDevice();
}

// A persistent key that the certificate is for; nullopt: there is none.
Result<std::optional<std::uint32_t>> Tpm::Impl::PersistentKey(ByteView certificate) {
  ASSAY_ASSIGN(const std::vector<std::uint32_t> handles, Handles(kFirstKey, kLastKey, kMaxKeys));
  for (const std::uint32_t handle : handles) {
    ASSAY_ASSIGN(const OpenKey key, OpenPersistent(handle));
    ESYS_TR object = key.handle;
    Esys_TR_Close(ctx(), &object);
    const Result<KeyPublic> area = ParsePublic(key.public_area);
    if (area && IsForKey(certificate, *area)) return std::optional(handle);
  }
  return std::optional<std::uint32_t>();
}

Result<Tpm::Impl::OpenKey> Tpm::Impl::OpenPersistent(std::uint32_t handle) {
  OpenKey key;
  ASSAY_TRY(Run("TPM2_ReadPublic",
                [&] { return Esys_TR_FromTPMPublic(ctx(), handle, kNone, kNone, kNone, &key.handle); }));
  EsysPtr<TPM2B_PUBLIC> pub;
  EsysPtr<TPM2B_NAME> name, qualified;
  const Result<> read = Run("TPM2_ReadPublic", [&] {
    return Esys_ReadPublic(ctx(), key.handle, kNone, kNone, kNone, Out(pub), Out(name), Out(qualified));
  });
  if (!read) {
    Esys_TR_Close(ctx(), &key.handle);
    return Fail(read.error());
  }
  ASSAY_ASSIGN(key.public_area, Marshalled(pub->publicArea, Tss2_MU_TPMT_PUBLIC_Marshal, "a persistent key"));
  return key;
}

// The key, opened: the maker's persistent one, else made again from its template.
Result<Tpm::Impl::OpenKey> Tpm::Impl::OpenDeviceKey(DeviceKey which, ByteView certificate) {
  DeviceKeyState& state = device_keys[which];
  if (state.saved) {
    OpenKey key{.handle = kNone, .transient = true, .public_area = state.public_area};
    const Result<> loaded =
        Run("TPM2_ContextLoad", [&] { return Esys_ContextLoad(ctx(), &*state.saved, &key.handle); });
    if (loaded) return key;
    if (gone || IsResponse(loaded.error(), TPM2_RC_OBJECT_MEMORY)) return Fail(loaded.error());
    state.saved.reset();  // a context is void after a reset of the TPM
  }
  ASSAY_ASSIGN(const std::optional<std::uint32_t> persistent, PersistentKey(certificate));
  if (persistent) return OpenPersistent(*persistent);
  ASSAY_ASSIGN(const DeviceFacts facts, ReadDeviceCertificate(certificate));
  const std::optional<TPM2B_PUBLIC> from = DeviceTemplate(which, facts.key);
  const Error none = StateError(
      TpmFault::kNoDeviceKey, fmt::format("the TPM has no key for the certificate of the {}", TextOf(which)));
  if (!from) return Fail(none);
  OpenKey key{.handle = kNone, .transient = true, .public_area = {}};
  EsysPtr<TPM2B_PUBLIC> pub;
  ASSAY_ASSIGN(key.handle, Primary(*from, pub));
  const Result<Bytes> area = Marshalled(pub->publicArea, Tss2_MU_TPMT_PUBLIC_Marshal, "a device key");
  const Result<KeyPublic> parsed = area ? ParsePublic(*area) : Fail(area.error());
  if (!parsed || !IsForKey(certificate, *parsed)) {
    Esys_FlushContext(ctx(), key.handle);
    state.failed = none;  // so that a verifier can't cause it to be derived again and again
    return Fail(none);
  }
  key.public_area = *area;
  EsysPtr<TPMS_CONTEXT> saved;
  if (Run("TPM2_ContextSave", [&] { return Esys_ContextSave(ctx(), key.handle, Out(saved)); })) {
    state.saved = *saved;
    state.public_area = *area;
  }
  return key;
}

void Tpm::Impl::CloseKey(OpenKey& key) {
  if (key.transient)
    Esys_FlushContext(ctx(), key.handle);
  else
    Esys_TR_Close(ctx(), &key.handle);
}

// Flushes what can be made again: a TPM without a resource manager holds three objects.
void Tpm::Impl::MakeRoom() {
  for (ESYS_TR* key : {&ek, &kept_ek}) {
    if (*key != kNone) Esys_FlushContext(ctx(), *key);
    *key = kNone;
  }
}

Result<SignedQuote> Tpm::Impl::CertifyBy(DeviceKey which, ByteView certificate, AkKind ak_kind,
                                         const Bytes& ak_area, ByteView qualifying) {
  ASSAY_ASSIGN(const ESYS_TR ak, AkHandle(ak_kind, ak_area));
  ASSAY_ASSIGN(OpenKey key, OpenDeviceKey(which, certificate));
  const auto certify = [&]() ASSAY_REQUIRES(mutex) -> Result<SignedQuote> {
    ASSAY_ASSIGN(const KeyPublic area, ParsePublic(key.public_area));
    // A key has a signing scheme of its own, or the command names one.
    TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL, .details = {}};
    if (area.scheme == TPM2_ALG_NULL) {
      scheme.scheme = area.type == TPM2_ALG_ECC ? TPM2_ALG_ECDSA : TPM2_ALG_RSASSA;
      scheme.details.any.hashAlg = area.kind == KeyPublic::Kind::kEccP384 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;
    }
    TPM2B_DATA data{};
    Fill(data, qualifying);
    const AkCreation& made = ak_creations[ak_kind];
    EsysPtr<TPM2B_ATTEST> attest;
    EsysPtr<TPMT_SIGNATURE> signature;
    ASSAY_TRY(Run("TPM2_CertifyCreation", [&] {
      return Esys_CertifyCreation(ctx(), key.handle, ak, ESYS_TR_PASSWORD, kNone, kNone, &data, &made.hash,
                                  &scheme, &made.ticket, Out(attest), Out(signature));
    }));
    SignedQuote out;
    out.attest = Bytes(attest->attestationData, attest->attestationData + attest->size);
    ASSAY_ASSIGN(out.signature, Marshalled(*signature, Tss2_MU_TPMT_SIGNATURE_Marshal, "the signature"));
    return out;
  };
  Result<SignedQuote> out = certify();
  CloseKey(key);
  // A wrong password counts against the TPM's lockout, so it is tried once only.
  if (!out && (IsResponse(out.error(), TPM2_RC_AUTH_FAIL) || IsResponse(out.error(), TPM2_RC_BAD_AUTH)))
    device_keys[which].failed = out.error();
  return out;
}

Result<SignedQuote> Tpm::CertifyAk(const Ak& ak, DeviceKey by, ByteView certificate, ByteView qualifying) {
  if (qualifying.size() > 64) return Fail(UsageError("qualifying data has at most 64 bytes"));
  const MutexLock lock(impl_->mutex);
  if (const std::optional<Error>& failed = impl_->device_keys[by].failed) return Fail(*failed);
  const auto certify = [&]() ASSAY_REQUIRES(impl_->mutex) {
    return impl_->CertifyBy(by, certificate, ak.kind_, ak.public_, qualifying);
  };
  Result<SignedQuote> made = certify();
  if (!made && IsResponse(made.error(), TPM2_RC_OBJECT_MEMORY)) {
    impl_->MakeRoom();
    made = certify();
  }
  if (!made && impl_->ForgetLostKeys(made.error())) made = certify();
  return made;
}

}  // namespace assay::tpm
