// Internal: what the parts of Tpm share: the connection, the loaded keys, and Run(), which repeats a command
// that the TPM asks to repeat.
//
//   // given: const auto& impl
//   EsysPtr<TPMS_TIME_INFO> time;
//   ASSAY_TRY(impl.Run("TPM2_ReadClock",
//                      [&] { return Esys_ReadClock(impl.ctx(), kNone, kNone, kNone, Out(time)); }));
//
// Contract: the caller holds `mutex`. Close() forgets all handles: keys are primary keys and are derived anew
// on the next connection.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include "base/mutex.h"
#include "tpm/esys.h"
#include "tpm/templates.h"
#include "tpm/tpm.h"

namespace assay::tpm {

struct SavedRunKey;

inline constexpr ESYS_TR kNone = ESYS_TR_NONE;
inline constexpr TPMT_SYM_DEF kNoSymmetric = {.algorithm = TPM2_ALG_NULL, .keyBits = {}, .mode = {}};

template <typename T, typename Marshal>
Result<Bytes> Marshalled(const T& value, Marshal marshal, std::string_view what) {
  Bytes out(8192);
  size_t used = 0;
  const TSS2_RC rc = marshal(&value, out.data(), out.size(), &used);
  if (rc != TSS2_RC_SUCCESS) return Fail(TpmError(TpmError::Kind::kRefused, std::string(what), rc));
  out.resize(used);
  return out;
}

// explicit_bzero() takes no null pointer, which an empty vector may have.
inline void Wipe(Bytes& secret) {
  if (!secret.empty()) explicit_bzero(secret.data(), secret.size());
}

// Whether the TPM answered with this code (without the number of the parameter, handle or session).
bool IsResponse(const Error& error, TPM2_RC wanted);

inline constexpr std::string_view kEndorsement = "endorsement", kOwner = "owner";

struct Tpm::Impl {
  ~Impl();
  std::string tcti_name;
  Passwords passwords;
  Error AboutPassword(const Error& error, std::string_view hierarchy);
  Mutex mutex;
  TctiPtr tcti ASSAY_GUARDED_BY(mutex);
  EsysContextPtr esys ASSAY_GUARDED_BY(mutex);
  bool gone ASSAY_GUARDED_BY(mutex) = true;
  std::map<AkKind, ESYS_TR> aks ASSAY_GUARDED_BY(mutex);
  // The ticket by which the TPM knows that it made the AK.
  struct AkCreation {
    TPM2B_DIGEST hash{};
    TPMT_TK_CREATION ticket{};
  };
  std::map<AkKind, AkCreation> ak_creations ASSAY_GUARDED_BY(mutex);
  ESYS_TR ek ASSAY_GUARDED_BY(mutex) = kNone;  // the ECC one, which sessions are salted with

  // Not checked: commands call it in the functions that they hand to Run(), which runs them under the mutex.
  ESYS_CONTEXT* ctx() const ASSAY_NO_THREAD_SAFETY_ANALYSIS { return esys.get(); }
  Result<> Run(const char* call, const std::function<TSS2_RC()>& command) ASSAY_REQUIRES(mutex);
  void Close() ASSAY_REQUIRES(mutex);
  Result<> Attach() ASSAY_REQUIRES(mutex);  // the connection alone: nothing is sent
  Result<> Open() ASSAY_REQUIRES(mutex);
  Result<> FlushLeftovers() ASSAY_REQUIRES(mutex);
  // lost_keys.cc
  std::atomic<std::uint64_t> lost_keys{0};  // how often keys had to be derived again
  // After a failed command: whether the TPM has lost a key or session of this connection, or another
  // program's object has its handle. The keys are then forgotten, and the command is worth another try.
  bool ForgetLostKeys(const Error& error) ASSAY_REQUIRES(mutex);
  bool Holds(ESYS_TR key) ASSAY_REQUIRES(mutex);
  Result<ESYS_TR> Primary(const TPM2B_PUBLIC& public_template, EsysPtr<TPM2B_PUBLIC>& out,
                          AkCreation* creation = nullptr) ASSAY_REQUIRES(mutex);
  Result<ESYS_TR> Ek() ASSAY_REQUIRES(mutex);
  Result<ESYS_TR> AkHandle(AkKind kind, const Bytes& public_area) ASSAY_REQUIRES(mutex);
  Result<ESYS_TR> PolicySession() ASSAY_REQUIRES(mutex);
  Result<> SatisfyAkPolicy(ESYS_TR session, TPM2_CC command) ASSAY_REQUIRES(mutex);
  Result<PcrValues> ReadPcrs(const PcrSelection& selection, ESYS_TR session) ASSAY_REQUIRES(mutex);
  Result<SignedQuote> Quote(ESYS_TR key, ESYS_TR session, const PcrSelection& selection, ByteView qualifying)
      ASSAY_REQUIRES(mutex);
  Result<SignedQuote> QuoteBy(AkKind kind, const Bytes& public_area, const PcrSelection& selection,
                              ByteView qualifying) ASSAY_REQUIRES(mutex);
  Result<Digest> ReadProtected(HashAlg bank, std::uint32_t pcr) ASSAY_REQUIRES(mutex);

  // identity.cc
  // Read once: a TPM that is exchanged shows by its AK.
  std::optional<EkIdentity> identity ASSAY_GUARDED_BY(mutex);
  // The identity's, if it had to be derived: that takes a chip seconds.
  ESYS_TR kept_ek ASSAY_GUARDED_BY(mutex) = kNone;
  struct LoadedEk {
    enum class Kind { kDerived, kKept, kInTpm };  // flushed after use; kept loaded; a persistent key
    ESYS_TR handle = kNone;
    Kind kind = Kind::kDerived;
    Bytes public_area;
  };
  Result<LoadedEk> LoadEk(EkKind kind) ASSAY_REQUIRES(mutex);
  void Release(EkKind which, LoadedEk& ek_in) ASSAY_REQUIRES(mutex);
  Result<std::optional<Bytes>> ReadNv(std::uint32_t index, std::size_t max) ASSAY_REQUIRES(mutex);
  Result<std::optional<Bytes>> ReadCertificate(EkKind kind, std::string& why_not) ASSAY_REQUIRES(mutex);
  Result<ESYS_TR> AuthoriseEk(EkKind kind) ASSAY_REQUIRES(mutex);
  Result<Bytes> Activate(ESYS_TR ak, EkKind ek_kind, ESYS_TR ek_handle, ByteView credential, ByteView secret)
      ASSAY_REQUIRES(mutex);
  Result<Bytes> ActivateBy(AkKind kind, const Bytes& ak_area, EkKind ek_kind, ByteView credential,
                           ByteView secret) ASSAY_REQUIRES(mutex);
  Result<EkIdentity> ReadIdentity() ASSAY_REQUIRES(mutex);

  // device_identity.cc
  struct OpenKey {
    ESYS_TR handle = kNone;
    bool transient = false;  // flushed when it is closed
    Bytes public_area;       // TPMT_PUBLIC
  };
  struct DeviceKeyState {
    std::optional<TPMS_CONTEXT> saved;  // of a key that was made from its template
    Bytes public_area;                  // of that key
    std::optional<Error> failed;        // it is not tried again
  };
  std::map<DeviceKey, DeviceKeyState> device_keys ASSAY_GUARDED_BY(mutex);
  Result<std::vector<std::uint32_t>> Handles(std::uint32_t first, std::uint32_t last, std::size_t max)
      ASSAY_REQUIRES(mutex);
  Result<std::vector<Bytes>> DeviceCertificates(std::uint32_t first, std::uint32_t last, std::string& error)
      ASSAY_REQUIRES(mutex);
  Result<DeviceIdentity> ReadDevice() ASSAY_REQUIRES(mutex);
  Result<std::optional<std::uint32_t>> PersistentKey(ByteView certificate) ASSAY_REQUIRES(mutex);
  Result<OpenKey> OpenPersistent(std::uint32_t handle) ASSAY_REQUIRES(mutex);
  Result<OpenKey> OpenDeviceKey(DeviceKey which, ByteView certificate) ASSAY_REQUIRES(mutex);
  void CloseKey(OpenKey& key) ASSAY_REQUIRES(mutex);
  void MakeRoom() ASSAY_REQUIRES(mutex);
  Result<SignedQuote> CertifyBy(DeviceKey which, ByteView certificate, AkKind ak_kind, const Bytes& ak_area,
                                ByteView qualifying) ASSAY_REQUIRES(mutex);

  // run_key.cc
  struct RunKeyState {
    ESYS_TR handle = kNone;
    TPM2_HANDLE tpm_handle = 0;  // to find it again on another connection
    Bytes auth, name;            // empty: there is no run key
  };
  RunKeyState run ASSAY_GUARDED_BY(mutex);
  Result<Bytes> CreateRunKey() ASSAY_REQUIRES(mutex);  // TPMT_PUBLIC
  Result<Bytes> NameOf(ESYS_TR handle) ASSAY_REQUIRES(mutex);
  Result<> GiveAuth() ASSAY_REQUIRES(mutex);
  void FindRunKey() ASSAY_REQUIRES(mutex);
  Result<Bytes> SignWithRunKey(ByteView statement) ASSAY_REQUIRES(mutex);
  Result<Bytes> SaveRunKey() ASSAY_REQUIRES(mutex);  // TPMS_CONTEXT
  Result<> LoadRunKey(const SavedRunKey& saved) ASSAY_REQUIRES(mutex);
  void ForgetRunKey() ASSAY_REQUIRES(mutex);
};

}  // namespace assay::tpm
