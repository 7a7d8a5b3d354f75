// The run key: a signing key that dies with the process that made it, so that a process that takes its place
// can't sign in its name.
//
//   // given: Tpm& tpm, ByteView statement
//   ASSAY_ASSIGN(std::unique_ptr<RunKey> key, RunKey::Create(tpm));
//   const Bytes& public_area = key->public_area();           // TPMT_PUBLIC, for the list
//   ASSAY_ASSIGN(Bytes signature, key->Sign(statement));     // TPMT_SIGNATURE over SHA-256(statement)
//
// Contract: docs/formats/tpm.md, "The run key". The key is made in the NULL hierarchy from random numbers
// that are not kept, and is used with a random authorisation value that only this object holds. Where a
// resource manager separates connections, the key has a connection of its own, and the TPM forgets the key
// when the connection closes, however the process ends. Without a resource manager the key lives in the
// shared connection, and only the authorisation value protects it from other users of the TPM. A key that the
// TPM has lost is never made again: Sign() then fails with StateError "run-key.lost", lost() is true, and the
// attester has to start a new run.
//
// Save() is for a successor of this process in the same run (daemon/handover.h): the TPM's own encrypted copy
// of the key (TPM2_ContextSave), which this TPM alone can load until it is reset, and the authorisation
// value. A process that has both can sign as this run: they go from process to process and never into a file.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "tpm/tpm.h"

namespace assay::tpm {

// Whether a resource manager (the kernel's, or tpm2-abrmd) stands behind this TCTI, so that each connection
// has transient objects of its own. An unknown TCTI counts as one without.
bool HasResourceManager(std::string_view tcti);

struct SavedRunKey {
  Bytes context;  // TPMS_CONTEXT, as ESYS writes it
  Bytes auth;
  Bytes public_area;  // TPMT_PUBLIC
};

class RunKey {
 public:
  // tpm outlives the key.
  static Result<std::unique_ptr<RunKey>> Create(Tpm& tpm);
  // The same key again. StateError "run-key.lost" where the TPM gives another one, or none.
  static Result<std::unique_ptr<RunKey>> Load(Tpm& tpm, const SavedRunKey& saved);
  ~RunKey();
  RunKey(const RunKey&) = delete;
  RunKey& operator=(const RunKey&) = delete;

  const Bytes& public_area() const { return public_; }
  bool lost() const { return lost_; }
  Result<Bytes> Sign(ByteView statement);
  Result<SavedRunKey> Save();  // this one goes on signing until it is destroyed

 private:
  RunKey() = default;
  static Result<std::unique_ptr<RunKey>> Connect(Tpm& tpm);
  std::unique_ptr<Tpm> own_;  // the connection of its own
  Tpm* tpm_ = nullptr;        // points to own_, or to the shared connection
  Bytes public_;
  std::atomic<bool> lost_{false};
};

}  // namespace assay::tpm
