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

#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "tpm/esys.h"
#include "tpm/templates.h"
#include "tpm/tpm.h"

namespace assay::tpm {

inline constexpr ESYS_TR kNone = ESYS_TR_NONE;
inline constexpr TPMT_SYM_DEF kNoSymmetric = {.algorithm = TPM2_ALG_NULL, .keyBits = {}, .mode = {}};

template <typename T, typename Marshal>
Result<Bytes> Marshalled(const T& value, Marshal marshal, std::string_view what) {
  Bytes out(4096);
  size_t used = 0;
  const TSS2_RC rc = marshal(&value, out.data(), out.size(), &used);
  if (rc != TSS2_RC_SUCCESS) return Fail(TpmError(TpmError::Kind::kRefused, std::string(what), rc));
  out.resize(used);
  return out;
}

struct Tpm::Impl {
  std::string tcti_name;
  std::mutex mutex;
  TctiPtr tcti;
  EsysContextPtr esys;
  bool gone = true;
  std::map<AkKind, ESYS_TR> aks;
  ESYS_TR ek = kNone;  // the ECC one, which sessions are salted with

  ESYS_CONTEXT* ctx() const { return esys.get(); }
  Result<> Run(const char* call, const std::function<TSS2_RC()>& command);
  void Close();
  Result<> Open();
  Result<> FlushLeftovers();
  Result<ESYS_TR> Primary(const TPM2B_PUBLIC& public_template, EsysPtr<TPM2B_PUBLIC>& out);
  Result<ESYS_TR> Ek();
  Result<ESYS_TR> AkHandle(AkKind kind, const Bytes& public_area);
  Result<ESYS_TR> PolicySession();
  Result<> SatisfyAkPolicy(ESYS_TR session, TPM2_CC command);
  Result<PcrValues> ReadPcrs(const PcrSelection& selection, ESYS_TR session);
  Result<SignedQuote> Quote(ESYS_TR key, ESYS_TR session, const PcrSelection& selection, ByteView qualifying);

  // identity.cc
  std::optional<EkIdentity> identity;  // read once; an exchanged TPM is noticed because its AK differs
  ESYS_TR rsa_ek = kNone;              // kept loaded if it had to be derived, which takes a chip seconds
  struct LoadedEk {
    enum class Kind { kDerived, kKept, kInTpm };  // flushed after use; kept loaded; a persistent key
    ESYS_TR handle = kNone;
    Kind kind = Kind::kDerived;
    Bytes public_area;
  };
  Result<LoadedEk> LoadEk(EkKind kind);
  void Release(EkKind which, LoadedEk& ek_in);
  Result<std::optional<Bytes>> ReadNv(std::uint32_t index, std::size_t max);
  Result<std::optional<Bytes>> ReadCertificate(EkKind kind);
  Result<Bytes> Activate(ESYS_TR ak, ESYS_TR ek_handle, ByteView credential, ByteView secret);

  // run_key.cc
  struct RunKeyState {
    ESYS_TR handle = kNone;
    TPM2_HANDLE tpm_handle = 0;  // to find it again on another connection
    Bytes auth, name;            // empty: there is no run key
  };
  RunKeyState run;
  Result<Bytes> CreateRunKey();  // TPMT_PUBLIC
  Result<Bytes> NameOf(ESYS_TR handle);
  Result<> GiveAuth();
  void FindRunKey();
  Result<Bytes> SignWithRunKey(ByteView statement);
  void ForgetRunKey();
};

}  // namespace assay::tpm
