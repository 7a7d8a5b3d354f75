// Keys that the TPM has lost while the connection stayed: after a suspend or a reset, or because another
// program flushed them. They are primary keys, so they are derived again.
#include "base/log.h"
#include "tpm/errors.h"
#include "tpm/tpm_impl.h"

namespace assay::tpm {
namespace {

// TPM 2.0 Library part 2, table 17: TPM_RC_REFERENCE_S0 to _S6, a session that is not loaded.
bool IsLostSession(std::uint32_t rc) { return rc >= TPM2_RC_REFERENCE_S0 && rc <= TPM2_RC_REFERENCE_S6; }

}  // namespace

// Whether the TPM has exactly this key under the handle.
bool Tpm::Impl::Holds(ESYS_TR key) {
  EsysPtr<TPM2B_PUBLIC> pub;
  EsysPtr<TPM2B_NAME> name, qualified;
  const Result<> read = Run("TPM2_ReadPublic", [&] {
    return Esys_ReadPublic(ctx(), key, kNone, kNone, kNone, Out(pub), Out(name), Out(qualified));
  });
  if (!read) return false;
  const Result<Bytes> known = NameOf(key);
  return known && Equal(*known, ByteView(name->name, name->size));
}

bool Tpm::Impl::ForgetLostKeys(const Error& error) {
  const auto* failed = error.As<TpmError>();
  if (gone || failed == nullptr || failed->kind != TpmFailure::kRefused) return false;
  bool lost = IsLostSession(failed->rc);
  const auto look = [&](ESYS_TR& key) ASSAY_REQUIRES(mutex) {
    if (key == kNone || Holds(key)) return false;
    Esys_TR_Close(ctx(), &key);
    key = kNone;
    return true;
  };
  if (look(ek)) lost = true;
  if (look(kept_ek)) lost = true;
  for (auto key = aks.begin(); key != aks.end();) {
    if (look(key->second)) {
      key = aks.erase(key);
      lost = true;
    } else {
      ++key;
    }
  }
  // The connection may have ended meanwhile; then nothing is tried again.
  if (!lost || gone) return false;
  ++lost_keys;
  log::Warn("tpm: the TPM has lost a key or session of ours, which is made again: {}", error.Message());
  return true;
}

std::uint64_t Tpm::LostKeys() const { return impl_->lost_keys; }

}  // namespace assay::tpm
